//! The whole loop inside another program, with a unit manager of its own: jobs that are up until
//! their work is done. `Store::open` would keep the queue in a file, which outlives the program.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Write as _, stdout};
use std::sync::{Arc, Mutex, PoisonError};

use bij_coordinator::{Adapters, Coordinator, Now, SubmitRequest};
use bij_core::port::{Change, RunQueue, Sample, Started, UnitError, UnitManager};
use bij_core::request::Submit;
use bij_core::spec::ExperimentSpec;
use bij_core::{
    ActiveState, BootId, Bytes, CoordinatorSettings, ExperimentId, Outcome, RunEnd, UnitStatus,
    Uptime,
};
use bij_store::Store;

#[derive(Default)]
struct Jobs(Mutex<BTreeSet<ExperimentId>>);

impl UnitManager for Jobs {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        Ok(Started::Up)
    }
    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(Outcome::Changed)
    }
    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        let up = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = |id| {
            let mut status = UnitStatus::down(id);
            status.active_state = ActiveState::Active;
            status
        };
        Ok(up.into_iter().map(status).collect())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (units, mut store) = (Arc::new(Jobs::default()), Store::in_memory()?);
    let memory = Bytes::new(1 << 30);
    let ids = ["a", "b", "c", "d", "e"].map(str::parse::<ExperimentId>).into_iter().flatten();
    let specs = ids.clone().map(|id| (id.clone(), ExperimentSpec::new(id, Vec::new())));
    let (definitions, board) = (specs.collect::<BTreeMap<_, _>>(), Sample::new(memory, memory));
    let adapters = Adapters::new(Arc::clone(&units), store.connect()?, definitions, board, ());
    let now = Now { at: std::time::UNIX_EPOCH.into(), uptime: Uptime::from_secs(60) };
    let (boot, settings) = (BootId::from_bytes([1; 16]), CoordinatorSettings::default());
    let mut coordinator = Coordinator::open(adapters, boot, settings, now)?;
    coordinator.submit(SubmitRequest::new("me", ids.map(Submit::new)), now)?;
    loop {
        coordinator.settle(now).await;
        let queue = coordinator.queue(now);
        let Some(first) = queue.first() else { return Ok(()) };
        for entry in &queue {
            let reason = entry.waiting_on.first().map_or("", |reason| &reason.text);
            writeln!(stdout(), "{} {} {reason}", entry.id(), entry.state.as_str())?;
        }
        // The first job's work is done: its run is over, and its unit down.
        let run = first.id();
        units.stop(&run.experiment).await?;
        coordinator.unit_changed(run.experiment.clone());
        let end = Change::End { run, end: RunEnd::Success, by: "itself".to_owned() };
        store.change(&[end], now.at)?;
    }
}
