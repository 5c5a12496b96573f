//! Answers clients by asking the loop.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bij_api::{Caller, HostCommands, QueueCommands, QueueQueries, Refusal, RefusalKind};
use bij_coordinator::{Coordinator, Handle, Now, Ports, RequestError, StartRequest, SubmitRequest};
use bij_core::queue::{Event, GroupName, RunRef};
use bij_core::request::{
    Act, Admission, AdmissionRequest, CoordinatorStatus, Edit, EventQuery, GroupSetting,
    GroupStatus, PAGE_LEN, Page, PauseRequest, PowerModeRequest, PowerSet, QueueEntry, QueueQuery,
    RunOutcome, Submit, SubmitOptions, UnitDone, UnitVerb, Why,
};
use bij_core::{ExperimentId, InvocationId, Outcome, UNATTRIBUTED_STARTS, Uptime, error_chain};
use bij_definition::Definitions;
use bij_store::Reader;
use tokio::time::timeout;

use super::SampleRing;
use super::manager_probe::ManagerProbe;
use super::outage::{self, Outage};
use super::power_watch::PowerWatch;
use super::refusal::{refusal, shutting_down};
use super::reload::Reload;
use super::unit_steering::UnitSteering;

/// How long a request waits for a run that is just starting, and cannot be changed meanwhile. Clients wait longer for
/// an answer.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon the request is tried again without an event.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Answers the requests of clients.
pub(super) struct CoordinatorHandler<P: Ports> {
    pub(super) coordinator: Handle<P>,
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

impl<P: Ports> CoordinatorHandler<P> {
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Coordinator<P>, Now) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ensure_available()?;
        self.coordinator.ask(question).await.map_err(|_| shutting_down())
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
        let start = self.start_request(experiment, at_boot, None);
        let taken = self.ask(move |coordinator, now| coordinator.queue_start(&start, now));
        taken.await?.map_err(|error| Refusal::new(RefusalKind::Store, error_chain(&error)))
    }

    fn start_request(
        &self,
        experiment: ExperimentId,
        at_boot: bool,
        invocation: Option<InvocationId>,
    ) -> StartRequest {
        // The service manager calls the hook, and does not name the author of the start.
        let [boot, start] = UNATTRIBUTED_STARTS;
        let by = if at_boot { boot } else { start }.to_owned();
        let extras = self.extras(&experiment);
        StartRequest { experiment, at_boot, by, invocation, extras }
    }
}

impl<P: Ports> QueueQueries for CoordinatorHandler<P> {
    async fn queue(&self, query: QueueQuery) -> Result<Page<QueueEntry>, Refusal> {
        self.ask(move |coordinator, now| coordinator.queue_page(&query, PAGE_LEN, now)).await
    }

    async fn why(&self, run: RunRef) -> Result<Why, Refusal> {
        self.request(move |coordinator, now| coordinator.why(&run, now)).await
    }

    async fn groups(&self) -> Result<Vec<GroupStatus>, Refusal> {
        self.ask(|coordinator, _| coordinator.groups()).await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Refusal> {
        let (since, at_most) = (query.since, query.limit());
        self.request(move |coordinator, _| coordinator.events(since, at_most)).await
    }

    async fn status(&self) -> Result<CoordinatorStatus, Refusal> {
        self.ask(|coordinator, _| coordinator.status()).await
    }
}

impl<P: Ports> QueueCommands for CoordinatorHandler<P> {
    async fn submit(
        &self,
        caller: &Caller,
        runs: Vec<Submit>,
        options: SubmitOptions,
    ) -> Result<Vec<QueueEntry>, Refusal> {
        self.ensure_available()?;
        let request = SubmitRequest { runs, by: caller.name.clone(), options };
        let submitted = self.coordinator.submit(request).await.map_err(|_| shutting_down())?;
        submitted.map_err(|error| refusal(&error))
    }

    async fn edit(&self, caller: &Caller, run: RunRef, edit: Edit) -> Result<QueueEntry, Refusal> {
        let by = caller.name.clone();
        let why = self.request(move |coordinator, now| {
            let edited = coordinator.edit(&run, &edit, &by, now)?;
            coordinator.why(&RunRef::Run(edited.run), now)
        });
        Ok(why.await?.entry)
    }

    async fn act(
        &self,
        caller: &Caller,
        act: Act,
        runs: Vec<RunRef>,
    ) -> Result<Vec<RunOutcome>, Refusal> {
        let by = caller.name.clone();
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        let mut news = self.coordinator.newest_event();
        loop {
            news.borrow_and_update();
            let (runs, act, by) = (runs.clone(), act.clone(), by.clone());
            let acted = self.ask(move |coordinator, now| coordinator.act(&runs, &act, &by, now));
            match acted.await? {
                // An event follows when the run has started, or failed to.
                Err(RequestError::JustStarting { .. }) if Instant::now() < deadline => {
                    let _ = timeout(POLL_INTERVAL, news.changed()).await;
                }
                acted => return acted.map_err(|error| refusal(&error)),
            }
        }
    }

    async fn pause(&self, caller: &Caller, request: PauseRequest) -> Result<bool, Refusal> {
        let by = caller.name.clone();
        let paused = self.request(move |coordinator, now| coordinator.pause(&request, &by, now));
        Ok(paused.await? == Outcome::Changed)
    }

    async fn set_group(&self, caller: &Caller, group: GroupSetting) -> Result<bool, Refusal> {
        let by = caller.name.clone();
        let set = self.request(move |coordinator, now| coordinator.set_group(&group, &by, now));
        Ok(set.await? == Outcome::Changed)
    }

    async fn remove_group(&self, caller: &Caller, name: GroupName) -> Result<bool, Refusal> {
        let by = caller.name.clone();
        let removed =
            self.request(move |coordinator, now| coordinator.remove_group(&name, &by, now));
        Ok(removed.await? == Outcome::Changed)
    }
}

impl<P: Ports> HostCommands for CoordinatorHandler<P> {
    async fn admit(
        &self,
        _: &Caller,
        experiment: ExperimentId,
        request: AdmissionRequest,
    ) -> Result<Admission, Refusal> {
        let AdmissionRequest { at_boot, until, invocation } = request;
        let at_boot = at_boot || self.manager.is_booting().await;
        let invocation = invocation.and_then(|invocation| invocation.parse().ok());
        let start = self.start_request(experiment, at_boot, invocation);
        let until = until.map(Uptime::from_micros);
        let admission = self.ask(move |coordinator, now| {
            // After the deadline the hook has deferred the start, so an admission would run it twice.
            let is_waiting = until.is_none_or(|until| now.uptime <= until);
            is_waiting.then(|| coordinator.admit(&start, now))
        });
        let late = || Refusal::new(RefusalKind::Trouble, "the request was answered too late");
        admission.await?.ok_or_else(late)
    }

    async fn steer_unit(
        &self,
        caller: &Caller,
        experiment: ExperimentId,
        verb: UnitVerb,
    ) -> Result<UnitDone, Refusal> {
        self.steering.steer(caller, &experiment, verb).await
    }

    async fn set_power_mode(
        &self,
        caller: &Caller,
        setting: PowerModeRequest,
    ) -> Result<PowerSet, Refusal> {
        self.ensure_available()?;
        self.power.set(&self.coordinator, setting, caller.name.clone()).await
    }

    async fn reload(&self, caller: &Caller) -> Result<(), Refusal> {
        self.ensure_available()?;
        self.reload.reload(&self.coordinator, &caller.name).await
    }
}
