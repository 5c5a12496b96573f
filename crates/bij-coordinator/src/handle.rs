//! A hand on a coordinator that runs elsewhere.
//!
//! The request API, as bij-api and the daemon build on it. Everything below is a method of
//! `Coordinator<P>`; all but `tick`, `next_finished` and `open` are synchronous, quick apart from
//! the store's own fsync, and take the time as their last argument:
//!
//! ```text
//! Coordinator::open(adapters: Adapters<P>, boot: BootId, settings: CoordinatorSettings, now) -> Result<Self, LedgerError>
//! async tick(&mut self, now)                    observe, decide, execute, record; never fails: what fails is a trouble, retried by itself
//! async next_finished(&mut self) -> Finished    waits for a start or stop that is under way (cancel-safe; for ever if there is none)
//! finish(&mut self, Finished, now)              records what became of it
//! next_look(&self) -> Option<TimeSpan>          uptime at which the next tick is due though nothing happens
//! unit_changed(&mut self, ExperimentId)         systemd has said something of its unit: looked at in the next tick
//! resync(&mut self)                             signals may have been lost: everything is looked at in the next tick
//!
//! submit_together(&mut self, Vec<SubmitRequest>, now) -> Vec<Result<Vec<Listed>, RequestError>>   one transaction for all
//! admit(&mut self, &Admission, now) -> Verdict
//! act(&mut self, &[RunRef], &Act, by: &str, now) -> Result<Vec<Acted>, RequestError>
//! edit(&mut self, &RunRef, &Edit, by, now) -> Result<Acted, RequestError>
//! pause(&mut self, Option<GroupName>, paused: bool, by, now) -> Result<Outcome, RequestError>
//! set_group(&mut self, GroupName, slots: Option<u32>, by, now) -> Result<Outcome, RequestError>
//! remove_group(&mut self, &GroupName, by, now) -> Result<Outcome, RequestError>
//! groups(&self) -> Vec<GroupStatus>
//! queue(&mut self, now) -> Vec<Listed>          in starting order, those that are up first
//! why(&mut self, &RunRef, now) -> Result<Why, RequestError>
//! health(&self) -> Vec<HealthReport>
//! status(&self) -> Status
//! events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, RequestError>
//! reload(&mut self, Result<CoordinatorSettings, DefinitionError>, by, now) -> Result<(), RequestError>
//! ```
//!
//! `Handle<P>` is cloned to whoever asks; `serve(coordinator, inbox, clock)` is the loop:
//!
//! ```text
//! let (handle, inbox) = Handle::new();                      // bounded
//! handle.ask(|coordinator, now| coordinator.queue(now)).await   -> Result<T, Gone>
//! handle.submit(SubmitRequest) .await                       -> Result<Result<Vec<Listed>, RequestError>, Gone>; those that wait together share a transaction
//! handle.unit_changed(id), handle.resync()
//! serve(coordinator, inbox, &clock).await                   ends when all handles are gone; run it on a thread of its own, because the store blocks
//! trait Clock { fn now(&self) -> Now; fn sleep(&self, TimeSpan) -> impl Future<Output = ()> + Send; }
//! ```
//!
//! `P: Ports` names the adapters: `trait Ports { type Units: UnitManager; type Store: RunQueue + Ledger; type Definitions:
//! DefinitionSource; type Board: Board; type Handover: Handover; }` (the last two are new ports of bij-core).
