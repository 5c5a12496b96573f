//! Answers clients by asking the loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bij_api::message::{
    Act, Admission, AdmissionRequest, AttemptsQuery, BoardQuery, BoardSample, Changed,
    CoordinatorStatus, Edit, Entry, Event, EventQuery, GroupInfo, GroupSetting, Minutes,
    MinutesQuery, Page, Pausing, PowerSet, PowerSetting, QueueQuery, State, Submit, SubmitOptions,
    TalliesQuery, UnitDone, UnitVerb, Why,
};
use bij_api::{Caller, Commands, PAGE_LEN, Queries, Refusal, RefusalKind};
use bij_coordinator::{
    Coordinator, Handle, Health, Now, Ports, QueueEntry, RequestError, RunOutcome, SubmitRequest,
};
use bij_core::port::{Ledger as _, RunQueue as _};
use bij_core::queue::{GroupName, QueuedRun, RunRef};
use bij_core::{
    Attempt, ExperimentId, Outcome, RunId, RunNumber, Tally, TimeSpan, UNATTRIBUTED_STARTS,
    error_chain,
};
use bij_definitions::Definitions;
use bij_store::Reader;
use tokio::time::timeout;

use super::SampleRing;
use super::manager_probe::ManagerProbe;
use super::outage::{self, Outage};
use super::power_watch::PowerWatch;
use super::refusal::{refusal, shutting_down};
use super::reload::Reload;
use super::unit_steering::UnitSteering;
use super::{history, translate};

/// How long a request waits for a run that is just starting, and cannot be changed meanwhile. Clients wait longer for
/// an answer.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon the request is tried again without an event.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Answers the requests of clients.
pub(super) struct RequestHandler<P: Ports> {
    pub(super) loop_: Handle<P>,
    pub(super) manager: ManagerProbe,
    pub(super) definitions: Definitions,
    /// Reads ended runs and attempts.
    pub(super) history: Arc<Reader>,
    /// Why the loop cannot answer.
    pub(super) outage: Outage,
    pub(super) reload: Reload,
    pub(super) power: PowerWatch,
    pub(super) steering: UnitSteering<P::Units>,
    /// The samples of the last hour.
    pub(super) samples: Arc<Mutex<SampleRing>>,
}

impl<P: Ports> RequestHandler<P> {
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Coordinator<P>, Now) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ensure_available()?;
        self.loop_.ask(question).await.map_err(|_| shutting_down())
    }

    /// Refuses a request that the loop cannot answer.
    fn ensure_available(&self) -> Result<(), Refusal> {
        match &*self.outage.borrow() {
            Some(why) => Err(outage::refusal(why)),
            None => Ok(()),
        }
    }

    /// Asks the loop for something that it can refuse.
    async fn request<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Coordinator<P>, Now) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ask(question).await?.map_err(|error| refusal(&error))
    }

    /// Returns the extra settings that `bij start` stored before it started the unit.
    pub(super) fn extras(&self, experiment: &ExperimentId) -> String {
        match self.definitions.extras(experiment) {
            Ok(extras) => extras.map_or_else(String::new, |extras| extras.to_toml()),
            Err(error) => {
                // The `begin` hook finds the same error, and fails the start with it.
                log::debug!("{}", error_chain(&error));
                String::new()
            }
        }
    }

    /// Queues a start that was deferred while the loop could not answer.
    pub(super) async fn queue_deferred_start(
        &self,
        experiment: ExperimentId,
    ) -> Result<(), Refusal> {
        let at_boot = self.manager.is_booting().await;
        let by = if at_boot { "boot" } else { "systemctl start" }.to_owned();
        let extras = self.extras(&experiment);
        let invocation = None;
        let admission = bij_coordinator::Admission { experiment, at_boot, by, invocation, extras };
        let taken = self.ask(move |coordinator, now| coordinator.queue_start(&admission, now));
        taken.await?.map_err(|error| Refusal::new(RefusalKind::Store, error_chain(&error)))
    }

    /// Returns the newest run of an experiment that has no run in the queue.
    fn newest_run(&self, experiment: &ExperimentId) -> Option<RunId> {
        let last = self.history.tally(experiment).ok()?.last.map_or(0, |last| last.run.number.0);
        let named = |number| RunId { experiment: experiment.clone(), number: RunNumber(number) };
        let exists = |number: &u32| {
            let run = RunRef::Run(named(*number));
            matches!(self.history.run_state(&run), Ok(Some(_)))
        };
        // Runs that were cancelled before they started come after it, and have no attempt.
        (last.max(1)..u32::MAX).take_while(exists).last().map(named)
    }
}

impl<P: Ports> Queries for RequestHandler<P> {
    async fn queue(&self, query: QueueQuery) -> Result<Page<Entry>, Refusal> {
        let QueueQuery { experiment, group, state, skip } = query;
        let wanted = move |run: &QueuedRun| {
            experiment.as_ref().is_none_or(|id| run.run.experiment == *id)
                && group.as_ref().is_none_or(|group| run.terms.group == *group)
                && state.is_none_or(|state| State::from(&run.state) == state)
        };
        let part = skip as usize..skip.saturating_add(PAGE_LEN) as usize;
        let asked = self.ask(move |coordinator, now| {
            let (total, listed) = coordinator.part_of_queue(wanted, part, now);
            (total, listed, coordinator.health(), coordinator.newest_event())
        });
        let (total, listed, health, seq) = asked.await?;
        let health: BTreeMap<RunId, Health> =
            health.into_iter().map(|report| (report.run, report.health)).collect();
        let mut entries = translate::Entries::default();
        let entry = |listed: QueueEntry| {
            let health = health.get(&listed.run.run);
            let mut entry = entries.next(listed);
            if let Some(health) = health {
                translate::with_health(&mut entry, health);
            }
            entry
        };
        let items = listed.into_iter().map(entry).collect();
        Ok(Page { items, total: u32::try_from(total).unwrap_or(u32::MAX), seq })
    }

    async fn why(&self, run: RunRef) -> Result<Why, Refusal> {
        let (why, health) = self
            .request(move |coordinator, now| {
                Ok((coordinator.why(&run, now)?, coordinator.health()))
            })
            .await?;
        let mut why = translate::why(why, |experiment| self.newest_run(experiment))?;
        if let Some(report) = health.iter().find(|report| report.run == why.entry.id()) {
            translate::with_health(&mut why.entry, &report.health);
        }
        Ok(why)
    }

    async fn groups(&self) -> Result<Vec<GroupInfo>, Refusal> {
        let groups = self.ask(|coordinator, _| coordinator.groups()).await?;
        Ok(groups.iter().map(translate::group).collect())
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Refusal> {
        let (since, at_most) = (query.since, query.limit());
        let events = self.request(move |coordinator, _| coordinator.events(since, at_most)).await?;
        Ok(events.into_iter().map(Event::from).collect())
    }

    async fn attempts(&self, query: AttemptsQuery) -> Result<Vec<Attempt>, Refusal> {
        history::attempts(&self.history, query).await
    }

    async fn tallies(&self, query: TalliesQuery) -> Result<BTreeMap<ExperimentId, Tally>, Refusal> {
        history::tallies(&self.history, query).await
    }

    async fn minutes(&self, query: MinutesQuery) -> Result<Minutes, Refusal> {
        history::minutes(&self.history, query).await
    }

    async fn board(&self, query: BoardQuery) -> Result<Vec<BoardSample>, Refusal> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let later = samples.after(TimeSpan::from_micros(query.after_usec));
        Ok(later.take(PAGE_LEN as usize).map(translate::sample).collect())
    }

    async fn status(&self) -> Result<CoordinatorStatus, Refusal> {
        Ok(translate::status(self.ask(|coordinator, _| coordinator.status()).await?))
    }
}

impl<P: Ports> Commands for RequestHandler<P> {
    async fn submit(
        &self,
        caller: &Caller,
        runs: Vec<Submit>,
        options: SubmitOptions,
    ) -> Result<Vec<Entry>, Refusal> {
        self.ensure_available()?;
        let SubmitOptions { dry_run } = options;
        let runs = runs.into_iter().map(translate::submit).collect();
        let request = SubmitRequest { runs, by: caller.name.clone(), dry_run };
        let taken = self.loop_.submit(request).await.map_err(|_| shutting_down())?;
        Ok(taken.map_err(|error| refusal(&error))?.into_iter().map(translate::entry).collect())
    }

    async fn edit(&self, caller: &Caller, run: RunRef, edit: Edit) -> Result<Entry, Refusal> {
        let (by, edit) = (caller.name.clone(), translate::edit(edit));
        let why = self.request(move |coordinator, now| {
            let edited = coordinator.edit(&run, &edit, &by, now)?;
            coordinator.why(&RunRef::Run(edited.run), now)
        });
        Ok(translate::why(why.await?, |experiment| self.newest_run(experiment))?.entry)
    }

    async fn act(
        &self,
        caller: &Caller,
        act: Act,
        runs: Vec<RunRef>,
    ) -> Result<Vec<Changed>, Refusal> {
        let (by, act) = (caller.name.clone(), translate::act(act));
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        let mut news = self.loop_.newest_event();
        loop {
            news.borrow_and_update();
            let (runs, act, by) = (runs.clone(), act.clone(), by.clone());
            let acted = self.ask(move |coordinator, now| coordinator.act(&runs, &act, &by, now));
            match acted.await? {
                Ok(acted) => {
                    let changed = |it: RunOutcome| Changed::new(it.run, it.outcome);
                    return Ok(acted.into_iter().map(changed).collect());
                }
                // An event follows when the run has started, or failed to.
                Err(RequestError::JustStarting { .. }) if Instant::now() < deadline => {
                    let _ = timeout(POLL_INTERVAL, news.changed()).await;
                }
                Err(error) => return Err(refusal(&error)),
            }
        }
    }

    async fn pause(&self, caller: &Caller, pausing: Pausing) -> Result<bool, Refusal> {
        let by = caller.name.clone();
        let Pausing { group, paused } = pausing;
        let paused = self
            .request(move |coordinator, now| coordinator.pause(group.as_ref(), paused, &by, now));
        Ok(paused.await? == Outcome::Changed)
    }

    async fn set_group(&self, caller: &Caller, group: GroupSetting) -> Result<bool, Refusal> {
        let by = caller.name.clone();
        let GroupSetting { name, slots } = group;
        let set =
            self.request(move |coordinator, now| coordinator.set_group(&name, slots, &by, now));
        Ok(set.await? == Outcome::Changed)
    }

    async fn remove_group(&self, caller: &Caller, name: GroupName) -> Result<bool, Refusal> {
        let by = caller.name.clone();
        let removed =
            self.request(move |coordinator, now| coordinator.remove_group(&name, &by, now));
        Ok(removed.await? == Outcome::Changed)
    }

    async fn set_power_mode(
        &self,
        caller: &Caller,
        setting: PowerSetting,
    ) -> Result<PowerSet, Refusal> {
        self.ensure_available()?;
        self.power.set(&self.loop_, setting, caller.name.clone()).await
    }

    async fn admit(
        &self,
        _: &Caller,
        experiment: ExperimentId,
        request: AdmissionRequest,
    ) -> Result<Admission, Refusal> {
        let at_boot = request.at_boot || self.manager.is_booting().await;
        // The service manager calls the hook, and does not name the author of the start.
        let [boot, start] = UNATTRIBUTED_STARTS;
        let by = if at_boot { boot } else { start }.to_owned();
        let extras = self.extras(&experiment);
        let invocation = request.invocation.and_then(|invocation| invocation.parse().ok());
        let admission = bij_coordinator::Admission { experiment, at_boot, by, invocation, extras };
        let until = request.until.map(TimeSpan::from_micros);
        let verdict = self.ask(move |coordinator, now| {
            // After the deadline the hook has deferred the start, so an admission would run it twice.
            let is_waiting = until.is_none_or(|until| now.uptime <= until);
            is_waiting.then(|| coordinator.admit(&admission, now))
        });
        let late = || Refusal::new(RefusalKind::Trouble, "the request was answered too late");
        Ok(translate::admission(verdict.await?.ok_or_else(late)?))
    }

    async fn steer_unit(
        &self,
        caller: &Caller,
        experiment: ExperimentId,
        verb: UnitVerb,
    ) -> Result<UnitDone, Refusal> {
        self.steering.steer(caller, &experiment, verb).await
    }

    async fn reload(&self, caller: &Caller) -> Result<(), Refusal> {
        self.ensure_available()?;
        self.reload.reload(&self.loop_, &caller.name).await
    }
}
