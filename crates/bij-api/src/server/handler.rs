//! What a coordinator does for its clients: two traits, one for everybody and one for those who may
//! change things.

use std::collections::BTreeMap;
use std::future::Future;

use bij_core::queue::{GroupName, RunRef};
use bij_core::{Attempt, ExperimentId, Tally};

use super::Caller;
use crate::Refusal;
use crate::message::{
    Act, Admission, AdmissionRequest, AttemptsQuery, BoardQuery, BoardSample, Changed,
    CoordinatorStatus, Edit, Entry, Event, EventQuery, GroupInfo, GroupSetting, Minutes,
    MinutesQuery, Page, Pausing, PowerSet, PowerSetting, QueueQuery, Submit, SubmitOptions,
    TalliesQuery, UnitDone, UnitVerb, Why,
};

/// Answers what everybody may ask.
pub trait Look: Send + Sync + 'static {
    /// A piece of the queue, in starting order: at most [`PIECE`](crate::PIECE) runs.
    fn queue(&self, query: QueueQuery)
    -> impl Future<Output = Result<Page<Entry>, Refusal>> + Send;

    /// One run, everything that it waits for, and who goes first.
    fn why(&self, run: RunRef) -> impl Future<Output = Result<Why, Refusal>> + Send;

    /// The groups.
    fn groups(&self) -> impl Future<Output = Result<Vec<GroupInfo>, Refusal>> + Send;

    /// The events after a number, oldest first: at most [`PIECE`](crate::PIECE).
    fn events(&self, query: EventQuery)
    -> impl Future<Output = Result<Vec<Event>, Refusal>> + Send;

    /// The samples of the board that are remembered, oldest first: at most [`PIECE`](crate::PIECE).
    fn board(
        &self,
        query: BoardQuery,
    ) -> impl Future<Output = Result<Vec<BoardSample>, Refusal>> + Send;

    /// Attempts, oldest first: at most [`PIECE_OF_HISTORY`](crate::PIECE_OF_HISTORY), of the oldest or of
    /// the newest ([`AttemptsQuery::part`]).
    fn attempts(
        &self,
        query: AttemptsQuery,
    ) -> impl Future<Output = Result<Vec<Attempt>, Refusal>> + Send;

    /// What histories add up to: of at most [`PIECE_OF_HISTORY`](crate::PIECE_OF_HISTORY)
    /// experiments.
    fn tallies(
        &self,
        query: TalliesQuery,
    ) -> impl Future<Output = Result<BTreeMap<ExperimentId, Tally>, Refusal>> + Send;

    /// Minutes of the board, oldest first: at most [`PIECE`](crate::PIECE), the newest.
    fn minutes(&self, query: MinutesQuery)
    -> impl Future<Output = Result<Minutes, Refusal>> + Send;

    /// How the coordinator is.
    fn status(&self) -> impl Future<Output = Result<CoordinatorStatus, Refusal>> + Send;
}

/// Does what those may ask for who may change things; that has been looked at before.
pub trait Steer: Look {
    /// Takes runs into the queue, all or none; they are on the disk before the answer.
    fn submit(
        &self,
        caller: &Caller,
        runs: Vec<Submit>,
        options: SubmitOptions,
    ) -> impl Future<Output = Result<Vec<Entry>, Refusal>> + Send;

    /// Changes a run that waits.
    fn edit(
        &self,
        caller: &Caller,
        run: RunRef,
        edit: Edit,
    ) -> impl Future<Output = Result<Entry, Refusal>> + Send;

    /// Does something to runs, to all or none.
    fn act(
        &self,
        caller: &Caller,
        act: Act,
        runs: Vec<RunRef>,
    ) -> impl Future<Output = Result<Vec<Changed>, Refusal>> + Send;

    /// Pauses or resumes admission; tells whether that changed anything.
    fn pause(
        &self,
        caller: &Caller,
        pausing: Pausing,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Sets up a group or changes it; tells whether that changed anything.
    fn set_group(
        &self,
        caller: &Caller,
        group: GroupSetting,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Forgets a group; tells whether there was one.
    fn remove_group(
        &self,
        caller: &Caller,
        name: GroupName,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Has the board switched to a power mode. It takes as long as the switch.
    fn set_power_mode(
        &self,
        caller: &Caller,
        setting: PowerSetting,
    ) -> impl Future<Output = Result<PowerSet, Refusal>> + Send;

    /// Whether the unit of an experiment may start now.
    fn admit(
        &self,
        caller: &Caller,
        experiment: ExperimentId,
        request: AdmissionRequest,
    ) -> impl Future<Output = Result<Admission, Refusal>> + Send;

    /// Does something to the unit of an experiment, and waits until its job is done.
    fn steer_unit(
        &self,
        caller: &Caller,
        experiment: ExperimentId,
        verb: UnitVerb,
    ) -> impl Future<Output = Result<UnitDone, Refusal>> + Send;

    /// Reads the settings anew.
    fn reload(&self, caller: &Caller) -> impl Future<Output = Result<(), Refusal>> + Send;
}
