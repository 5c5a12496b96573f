//! Enforces the time limits of experiments, in case systemd's timers were moved.
//!
//! systemd lets the processes of a unit extend its timers (`EXTEND_TIMEOUT_USEC=`, `sd_notify(3)`). The sandbox closes
//! that socket, but a process outside of it can pass a connected one in. So the coordinator compares the times
//! of each unit with the clock, and acts a little later than systemd should have: it stops the unit for `time` and
//! `start_timeout`, and kills it for `grace`.

mod judge;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bij_coordinator::{Handle, Ports};
use bij_core::port::{Handover, UnitError, UnitRestrainer as _};
use bij_core::{ExperimentId, MonotonicTime, Order, OrderKind, SubState, error_chain};
use bij_hook::{is_foreign_root, runtime_scope};
use bij_host::HostContext;
use bij_systemd::experiment::{SystemdUnits, UnitTimes};
use tokio::time::sleep;

use self::judge::{Overrun, Verdict, judge};
use super::HandoverFiles;

/// Interval of checks while an experiment runs.
const INTERVAL: Duration = Duration::from_secs(2);

/// Number of checks after which the times of a unit are read again, because its limits may have changed.
const CHECKS_PER_READ: u32 = 30;

/// A unit as it was last observed.
#[derive(Debug)]
struct ObservedUnit {
    /// When it was first observed in its state.
    since: MonotonicTime,
    times: UnitTimes,
    /// Checks since its times were read.
    checks: u32,
}

/// Watches the time limits of the units of an installation.
pub(super) struct LimitWatch {
    host: HostContext,
    units: SystemdUnits,
    handover: HandoverFiles,
    observed: BTreeMap<ExperimentId, ObservedUnit>,
}

impl LimitWatch {
    /// Returns the watch, which connects to the service manager when the first experiment runs.
    pub(super) fn new(host: &HostContext) -> Self {
        Self {
            units: SystemdUnits::unconnected(runtime_scope(host)),
            handover: HandoverFiles::new(host.clone()),
            host: host.clone(),
            observed: BTreeMap::new(),
        }
    }

    /// Watches while an experiment runs, and never returns.
    pub(super) async fn watch<P: Ports>(mut self, handle: &Handle<P>) -> Infallible {
        if is_foreign_root(&self.host) {
            return std::future::pending().await;
        }
        let mut running = handle.running_experiments();
        loop {
            // An error means that the loop has ended, and this task is about to be dropped.
            if running.wait_for(|running| !running.loads.is_empty()).await.is_ok()
                && let Err(error) = self.check().await
            {
                log::debug!("cannot check the time limits of units: {}", error_chain(&error));
            }
            sleep(INTERVAL).await;
        }
    }

    async fn check(&mut self) -> Result<(), UnitError> {
        let states = self.units.sub_states().await?;
        self.observed.retain(|id, _| states.iter().any(|(listed, _)| listed == id));
        for (id, state) in states {
            let Some(now) = bij_host::monotonic() else { return Ok(()) };
            if let Verdict::Over(overrun) = self.judge(&id, &state, now).await? {
                self.enforce(&id, overrun).await;
            }
        }
        Ok(())
    }

    /// Judges a unit by its known times, and reads them again if they may have changed or if the unit is over a limit.
    async fn judge(
        &mut self,
        id: &ExperimentId,
        state: &SubState,
        now: MonotonicTime,
    ) -> Result<Verdict, UnitError> {
        let known = self.observed.get_mut(id).filter(|unit| unit.times.sub_state == *state);
        let since = match known {
            Some(unit) => {
                unit.checks += 1;
                let verdict = judge(&unit.times, unit.since, now);
                if unit.checks < CHECKS_PER_READ && !matches!(verdict, Verdict::Over(_)) {
                    return Ok(verdict);
                }
                unit.since
            }
            None => now,
        };
        let times = self.units.times(id).await?;
        // Its state has changed since it was listed, so leave it to the next check.
        if times.sub_state != *state {
            self.observed.remove(id);
            return Ok(Verdict::Unlimited);
        }
        let verdict = judge(&times, since, now);
        self.observed.insert(id.clone(), ObservedUnit { since, times, checks: 0 });
        Ok(verdict)
    }

    async fn enforce(&mut self, id: &ExperimentId, overrun: Overrun) {
        let done = match overrun {
            Overrun::Grace(grace) => {
                log::warn!(
                    BIJ_EXPERIMENT:% = id;
                    "{id} has not stopped within its grace of {grace}, and systemd has not killed it; killing it"
                );
                self.units.kill(id).await
            }
            Overrun::Time(limit) | Overrun::Start(limit) => {
                let what =
                    if matches!(overrun, Overrun::Time(_)) { "time" } else { "start_timeout" };
                let by = format!("bijd: its {what} of {limit} is over");
                log::warn!(
                    BIJ_EXPERIMENT:% = id;
                    "{id} is over its {what} of {limit}, and systemd has not stopped it; stopping it"
                );
                let order = Order { kind: OrderKind::TimeLimit, by };
                if let Err(error) = self.handover.stop(id, &order) {
                    log::warn!("{}", error_chain(&error));
                }
                self.units.begin_stop(id).await
            }
        };
        // The next check tries again.
        if let Err(error) = done {
            log::warn!(BIJ_EXPERIMENT:% = id; "{}", error_chain(&error));
        }
    }
}
