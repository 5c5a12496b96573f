//! Every port behind a kill switch.

use std::collections::BTreeMap;

use bij_core::port::{
    AttemptQuery, Board, BoardReadError, Change, Closing, DefinitionSource, FindError,
    FoundDefinition, Handover, HandoverError, Ledger, LedgerError, Opened, Opening, RunQueue,
    Sample, Started, UnitError, UnitManager, ZoneReading,
};
use bij_core::queue::{Event, Queue, QueuedRun, RunRef, Submission};
use bij_core::{
    Attempt, BootId, ExperimentId, Order, Outcome, Progress, RunState, Tally, Timestamp, UnitStatus,
};

use super::{CallKind, KillablePort};

impl<T> KillablePort<T> {
    /// As [`KillablePort::write`], for an asynchronous call.
    async fn write_async<R: Send>(&self, call: impl Future<Output = R> + Send) -> R {
        self.kill_switch.count(CallKind::Write);
        self.kill_switch.cross();
        let answer = call.await;
        self.kill_switch.cross();
        answer
    }

    async fn read_async<R: Send>(&self, call: impl Future<Output = R> + Send) -> R {
        self.kill_switch.count(CallKind::Read);
        self.kill_switch.cross();
        let answer = call.await;
        self.kill_switch.cross();
        answer
    }
}

impl<T: UnitManager> UnitManager for KillablePort<T> {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.write_async(self.inner.start(id)).await
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        self.write_async(self.inner.stop(id)).await
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.write_async(self.inner.restart(id)).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        self.write_async(self.inner.reset_failed(id)).await
    }

    async fn set_enabled(&self, id: &ExperimentId, enabled: bool) -> Result<Outcome, UnitError> {
        self.write_async(self.inner.set_enabled(id, enabled)).await
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        self.read_async(self.inner.status(id)).await
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.read_async(self.inner.list()).await
    }
}

impl<T: RunQueue> RunQueue for KillablePort<T> {
    fn load(&self) -> Result<Queue, LedgerError> {
        self.read(T::load)
    }

    fn submit(
        &mut self,
        submissions: &[Submission],
        at: Timestamp,
    ) -> Result<Vec<QueuedRun>, LedgerError> {
        self.write(|queue| queue.submit(submissions, at))
    }

    fn change(&mut self, changes: &[Change], at: Timestamp) -> Result<Vec<Outcome>, LedgerError> {
        self.write(|queue| queue.change(changes, at))
    }

    fn run_state(&self, run: &RunRef) -> Result<Option<RunState>, LedgerError> {
        self.read(|queue| queue.run_state(run))
    }

    fn events(&self, after: u64, at_most: usize) -> Result<Vec<Event>, LedgerError> {
        self.read(|queue| queue.events(after, at_most))
    }
}

impl<T: Ledger> Ledger for KillablePort<T> {
    fn open(&mut self, opening: &Opening) -> Result<Opened, LedgerError> {
        self.write(|ledger| ledger.open(opening))
    }

    fn close(&mut self, closing: &Closing) -> Result<Outcome, LedgerError> {
        self.write(|ledger| ledger.close(closing))
    }

    fn attempts(&self, query: &AttemptQuery) -> Result<Vec<Attempt>, LedgerError> {
        self.read(|ledger| ledger.attempts(query))
    }

    fn tally(&self, experiment: &ExperimentId) -> Result<Tally, LedgerError> {
        self.read(|ledger| ledger.tally(experiment))
    }

    fn tallies(&self) -> Result<BTreeMap<ExperimentId, Tally>, LedgerError> {
        self.read(T::tallies)
    }

    fn mark_clean_shutdown(&mut self, boot: BootId, at: Timestamp) -> Result<Outcome, LedgerError> {
        self.write(|ledger| ledger.mark_clean_shutdown(boot, at))
    }

    fn ended_cleanly(&self, boot: BootId) -> Result<bool, LedgerError> {
        self.read(|ledger| ledger.ended_cleanly(boot))
    }
}

impl<T: Board> Board for KillablePort<T> {
    fn sample(&self) -> Sample {
        self.read(T::sample)
    }

    fn zones(&self) -> Result<Vec<ZoneReading>, BoardReadError> {
        self.read(T::zones)
    }
}

impl<T: DefinitionSource> DefinitionSource for KillablePort<T> {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        self.read(|definitions| definitions.find(id))
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        self.read(T::ids)
    }
}

impl<T: Handover> Handover for KillablePort<T> {
    fn extras(&self, id: &ExperimentId, extras: &str) -> Result<(), HandoverError> {
        self.kill_switch.count(CallKind::Write);
        self.read(|handover| handover.extras(id, extras))
    }

    fn stop(&self, id: &ExperimentId, order: &Order) -> Result<(), HandoverError> {
        self.kill_switch.count(CallKind::Write);
        self.read(|handover| handover.stop(id, order))
    }

    fn order(&self, id: &ExperimentId) -> Option<Order> {
        self.read(|handover| handover.order(id))
    }

    fn progress(&self, id: &ExperimentId) -> Option<Progress> {
        self.read(|handover| handover.progress(id))
    }
}
