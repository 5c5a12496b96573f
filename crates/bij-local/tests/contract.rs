//! The contract of every unit manager, over real processes supervised here.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bij_core::port::{DefinitionSource, FindError, FoundDefinition};
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, TimeSpan};
use bij_local::{Backend, LocalUnits, Options, Supervisor};
use bij_sim::contract::{Behaviour, UnitLab, unit_manager_contract, unit_restrainer_contract};
use bij_store::RobustLedger;
use support::World;

/// Definitions that are made while the supervisor runs.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<BTreeMap<ExperimentId, ExperimentSpec>>>);

impl DefinitionSource for Written {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        support::Definitions(self.0.lock().expect("no thread panics").clone()).find(id)
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        Ok(self.0.lock().expect("no thread panics").keys().cloned().collect())
    }
}

struct Lab {
    definitions: Written,
    units: LocalUnits,
}

impl UnitLab for Lab {
    type Manager = LocalUnits;

    fn manager(&self) -> &LocalUnits {
        &self.units
    }

    async fn define(&self, id: &ExperimentId, behaviour: Behaviour) -> bool {
        let mut definitions = self.definitions.0.lock().expect("no thread panics");
        definitions.insert(id.clone(), behaviour.spec(id));
        // The local supervisor has no admission, so it skips no start.
        behaviour != Behaviour::IsSkipped
    }

    async fn pass(&self, span: TimeSpan) {
        tokio::time::sleep(span.as_duration()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_supervision_keeps_the_contract_of_unit_managers() {
    for backend in [Backend::Watcher, Backend::Auto] {
        let world = World::with_backend(backend);
        let definitions = Written::default();
        let mut options = Options::default();
        options.backend = backend;
        let ledger = RobustLedger::at(&world.layout);
        let layout = world.layout.clone();
        let supervisor =
            Supervisor::new(layout, ledger, definitions.clone(), support::shim(), options);
        let supervisor = Arc::new(supervisor.expect("this machine can supervise"));
        let lab = Lab { definitions, units: LocalUnits::with_supervisor(supervisor) };
        unit_manager_contract(&lab).await;
        unit_restrainer_contract(&lab).await;
    }
}
