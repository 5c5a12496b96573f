//! The requests that a coordinator implements: queries for all users, and commands for callers who may change things,
//! whose rights the server has checked.

use std::collections::BTreeMap;
use std::future::Future;

use bij_core::queue::{Event, GroupName, RunRef};
use bij_core::request::{
    Act, Admission, AdmissionRequest, AttemptsQuery, BoardQuery, CoordinatorStatus, Edit,
    EventQuery, GroupSetting, GroupStatus, Minutes, MinutesQuery, Page, PauseRequest,
    PowerModeRequest, PowerSet, QueueEntry, QueueQuery, RecordedSample, RunOutcome, Submit,
    SubmitOptions, TalliesQuery, UnitDone, UnitVerb, Why,
};
use bij_core::{Attempt, ExperimentId, Tally};

use super::Caller;
use crate::Refusal;

/// Answers every request.
pub trait RequestHandler: QueueQueries + RecordQueries + QueueCommands + HostCommands {}

impl<H: QueueQueries + RecordQueries + QueueCommands + HostCommands> RequestHandler for H {}

/// Queries of the queue.
pub trait QueueQueries: Send + Sync + 'static {
    /// Returns a page of the queue, in starting order: at most [`PAGE_LEN`](bij_core::request::PAGE_LEN) runs.
    fn queue(
        &self,
        query: QueueQuery,
    ) -> impl Future<Output = Result<Page<QueueEntry>, Refusal>> + Send;

    /// Returns a run, its closed gates, and the runs that go before it.
    fn why(&self, run: RunRef) -> impl Future<Output = Result<Why, Refusal>> + Send;

    /// Returns all groups.
    fn groups(&self) -> impl Future<Output = Result<Vec<GroupStatus>, Refusal>> + Send;

    /// Returns the events after a number, oldest first: at most [`PAGE_LEN`](bij_core::request::PAGE_LEN).
    fn events(&self, query: EventQuery)
    -> impl Future<Output = Result<Vec<Event>, Refusal>> + Send;

    /// Returns the status of the coordinator.
    fn status(&self) -> impl Future<Output = Result<CoordinatorStatus, Refusal>> + Send;
}

/// Queries of what was recorded: attempts, and readings of the board.
pub trait RecordQueries: Send + Sync + 'static {
    /// Returns attempts, oldest first: at most [`HISTORY_PAGE_LEN`](bij_core::request::HISTORY_PAGE_LEN), of the oldest or of
    /// the newest ([`AttemptsQuery::part`]).
    fn attempts(
        &self,
        query: AttemptsQuery,
    ) -> impl Future<Output = Result<Vec<Attempt>, Refusal>> + Send;

    /// Returns the tallies of at most [`HISTORY_PAGE_LEN`](bij_core::request::HISTORY_PAGE_LEN) experiments.
    fn tallies(
        &self,
        query: TalliesQuery,
    ) -> impl Future<Output = Result<BTreeMap<ExperimentId, Tally>, Refusal>> + Send;

    /// Returns the stored samples of the board, oldest first: at most [`PAGE_LEN`](bij_core::request::PAGE_LEN).
    fn board(
        &self,
        query: BoardQuery,
    ) -> impl Future<Output = Result<Vec<RecordedSample>, Refusal>> + Send;

    /// Returns the newest minutes of the board, oldest first: at most [`PAGE_LEN`](bij_core::request::PAGE_LEN).
    fn minutes(&self, query: MinutesQuery)
    -> impl Future<Output = Result<Minutes, Refusal>> + Send;
}

/// Commands that change the queue.
pub trait QueueCommands: Send + Sync + 'static {
    /// Submits runs to the queue, all or none; they are on disk before the answer.
    fn submit(
        &self,
        caller: &Caller,
        runs: Vec<Submit>,
        options: SubmitOptions,
    ) -> impl Future<Output = Result<Vec<QueueEntry>, Refusal>> + Send;

    /// Changes a waiting run.
    fn edit(
        &self,
        caller: &Caller,
        run: RunRef,
        edit: Edit,
    ) -> impl Future<Output = Result<QueueEntry, Refusal>> + Send;

    /// Applies an action to runs, to all or none.
    fn act(
        &self,
        caller: &Caller,
        act: Act,
        runs: Vec<RunRef>,
    ) -> impl Future<Output = Result<Vec<RunOutcome>, Refusal>> + Send;

    /// Pauses or resumes admission; returns whether that changed anything.
    fn pause(
        &self,
        caller: &Caller,
        request: PauseRequest,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Creates or changes a group; returns whether that changed anything.
    fn set_group(
        &self,
        caller: &Caller,
        group: GroupSetting,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Removes a group; returns whether it existed.
    fn remove_group(
        &self,
        caller: &Caller,
        name: GroupName,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;
}

/// Commands that concern units, the board and the coordinator itself.
pub trait HostCommands: Send + Sync + 'static {
    /// Decides whether the unit of an experiment may start now.
    fn admit(
        &self,
        caller: &Caller,
        experiment: ExperimentId,
        request: AdmissionRequest,
    ) -> impl Future<Output = Result<Admission, Refusal>> + Send;

    /// Starts, stops, restarts or resets the unit of an experiment; returns when its job is done.
    fn steer_unit(
        &self,
        caller: &Caller,
        experiment: ExperimentId,
        verb: UnitVerb,
    ) -> impl Future<Output = Result<UnitDone, Refusal>> + Send;

    /// Switches the board to a power mode; returns when that is done.
    fn set_power_mode(
        &self,
        caller: &Caller,
        setting: PowerModeRequest,
    ) -> impl Future<Output = Result<PowerSet, Refusal>> + Send;

    /// Reloads the settings.
    fn reload(&self, caller: &Caller) -> impl Future<Output = Result<(), Refusal>> + Send;
}
