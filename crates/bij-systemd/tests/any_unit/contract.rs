//! The contract of unit managers, kept by transient services: no unit file, no template.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bij_core::port::{Started, UnitError, UnitManager, UnitRestrainer};
use bij_core::{
    ActiveState, CpuQuota, ExperimentId, Limit, Outcome, Percent, TimeSpan, UnitStatus,
};
use bij_sim::contract::{Behaviour, UnitLab, unit_manager_contract, unit_restrainer_contract};
use bij_systemd::{
    Manager, ManagerAddress, Property, PropertyValue, TransientService, TransientUnit, UnitDetails,
    UnitFileLife, UnitFilter, UnitName,
};

const PREFIX: &str = "lab-of-";

/// A unit manager as an embedder would write it.
struct TransientUnits {
    manager: Manager,
    behaviours: Mutex<BTreeMap<ExperimentId, Behaviour>>,
    /// The units that are loaded because they are held here.
    held: Mutex<BTreeMap<ExperimentId, TransientUnit>>,
}

fn unit(id: &ExperimentId) -> UnitName {
    UnitName::new(format!("{PREFIX}{id}.service")).unwrap()
}

fn service(id: &ExperimentId, behaviour: Behaviour) -> TransientService {
    let spec = behaviour.spec(id);
    let number = |name: &'static str, value| Property::new(name, PropertyValue::U64(value));
    TransientService::new(unit(id), spec.command)
        .property(Property::new("Restart", PropertyValue::Text("on-failure".to_owned())))
        .property(number("RestartUSec", spec.restart.delay.as_micros()))
        .property(Property::new("StartLimitBurst", PropertyValue::U32(spec.restart.burst)))
        .property(number("StartLimitIntervalUSec", TimeSpan::from_secs(300).as_micros()))
        // Without accounting, cgroup v1 has no figures.
        .property(Property::new("CPUAccounting", PropertyValue::Bool(true)))
}

impl TransientUnits {
    async fn details(&self, id: &ExperimentId) -> Result<UnitDetails, UnitError> {
        Ok(self.manager.status(&unit(id)).await?)
    }

    /// Lets systemd unload a unit that is down.
    async fn release(&self, id: &ExperimentId) -> Result<(), UnitError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(held) = held {
            held.wait().await?;
        }
        Ok(())
    }
}

impl UnitManager for TransientUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        let behaviour = self.behaviours.lock().unwrap().get(id).copied();
        let behaviour = behaviour.ok_or_else(|| UnitError::NotFound(id.clone()))?;
        if !self.details(id).await?.active_state.is_down() {
            return Ok(Started::AlreadyUp);
        }
        self.manager.reset_failed(&unit(id)).await?;
        self.release(id).await?;
        let started = self.manager.start_transient(&service(id, behaviour)).await?;
        let is_failed = started.started().is_failed;
        self.held.lock().unwrap().insert(id.clone(), started);
        if !is_failed {
            return Ok(Started::Up);
        }
        let (verb, result, reason) = ("start", "failed".to_owned(), None);
        Err(UnitError::Job { id: id.clone(), verb, result, reason })
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        if self.details(id).await?.active_state.is_down() {
            return Ok(Outcome::Unchanged);
        }
        self.manager.stop(&unit(id)).await?;
        self.release(id).await?;
        Ok(Outcome::Changed)
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        if self.details(id).await?.active_state != ActiveState::Failed {
            return Ok(Outcome::Unchanged);
        }
        self.manager.reset_failed(&unit(id)).await?;
        self.release(id).await?;
        Ok(Outcome::Changed)
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        let details = self.details(id).await?;
        let mut status = UnitStatus::down(id.clone());
        status.active_state = details.active_state;
        status.sub_state = details.sub_state;
        status.frozen = details.is_frozen == Some(true);
        status.result = details.result;
        status.main_pid = details.main_pid;
        status.invocation = details.invocation;
        status.restarts = details.restarts;
        status.resources = details.resources;
        Ok(status)
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        let filter = UnitFilter::new().pattern(format!("{PREFIX}*.service")).with_resources();
        let listed = self.manager.list(&filter).await?;
        let row = |unit: bij_systemd::ListedUnit| {
            let id = unit.name.as_str().strip_prefix(PREFIX)?.strip_suffix(".service")?;
            let mut status = UnitStatus::down(ExperimentId::new(id).ok()?);
            status.active_state = unit.active_state;
            status.sub_state = unit.sub_state;
            status.resources = unit.resources;
            Some(status)
        };
        Ok(listed.into_iter().filter_map(row).collect())
    }
}

impl UnitRestrainer for TransientUnits {
    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        let details = self.details(id).await?;
        if details.active_state.is_down() || details.is_frozen == Some(frozen) {
            return Ok(Outcome::Unchanged);
        }
        if frozen {
            self.manager.freeze(&unit(id)).await?;
        } else {
            self.manager.thaw(&unit(id)).await?;
        }
        Ok(Outcome::Changed)
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        let details = self.details(id).await?;
        let in_force = details.resources.cpu_quota.and_then(Limit::at).map(CpuQuota::percent);
        if details.active_state.is_down() || in_force == cap {
            return Ok(Outcome::Unchanged);
        }
        let quota = cap.map_or(Limit::Max, |cap| Limit::At(CpuQuota::at_most(cap)));
        let quota = [Property::cpu_quota(quota)];
        self.manager.set_properties(&unit(id), &quota, UnitFileLife::Runtime).await?;
        let in_force = self.details(id).await?.resources.cpu_quota;
        if cap.is_some() && in_force.and_then(Limit::at).is_none() {
            return Err(UnitError::Unsupported("the kernel has no quota for this unit"));
        }
        Ok(Outcome::Changed)
    }
}

struct Lab(TransientUnits);

impl UnitLab for Lab {
    type Manager = TransientUnits;

    fn manager(&self) -> &TransientUnits {
        &self.0
    }

    async fn define(&self, id: &ExperimentId, behaviour: Behaviour) -> bool {
        self.0.behaviours.lock().unwrap().insert(id.clone(), behaviour);
        // A transient service could have a condition, but no typed property of this client describes it.
        behaviour != Behaviour::IsSkipped
    }

    async fn pass(&self, span: TimeSpan) {
        tokio::time::sleep(span.as_duration()).await;
    }
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn transient_services_keep_the_contract_of_unit_managers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let manager = Manager::connect(ManagerAddress::System).await.unwrap();
        let (behaviours, held) = (Mutex::default(), Mutex::default());
        let lab = Lab(TransientUnits { manager, behaviours, held });
        unit_manager_contract(&lab).await;
        unit_restrainer_contract(&lab).await;
    });
}
