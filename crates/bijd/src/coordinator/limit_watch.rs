//! Holds experiments to their limits of time where systemd's timers were moved.
//!
//! systemd lets the processes of a unit move the unit's timers (`EXTEND_TIMEOUT_USEC=`, `sd_notify(3)`). The
//! sandbox closes the socket for that, but a process outside of it can hand a connected one in. So the
//! coordinator compares what systemd tells of each unit with the clock, and steps in a little later than
//! systemd should have: with a stop for `time` and `start_timeout`, with SIGKILL for `grace`.

mod judge;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bij_coordinator::{Handle, Ports};
use bij_core::port::{Handover, UnitError, UnitManager};
use bij_core::{ExperimentId, Order, OrderKind, TimeSpan, error_chain};
use bij_systemd::{SystemdUnits, UnitTimes};
use tokio::time::sleep;

use self::judge::{Overrun, Verdict, judge};
use super::HandoverFiles;
use bij_hook::{is_foreign_root, runtime_scope};
use bij_host::HostContext;

/// How often units are looked at while something runs.
const EVERY: Duration = Duration::from_secs(2);

/// After so many looks the times of a unit are read again, because its limits may have been changed.
const READ_AGAIN_AFTER: u32 = 30;

/// A unit as it was seen last.
#[derive(Debug)]
struct Seen {
    /// When it was first seen in its state, in time since boot.
    since: TimeSpan,
    times: UnitTimes,
    /// Looks since its times were read.
    looks: u32,
}

/// Watches the units of a place.
pub(super) struct LimitWatch {
    host: HostContext,
    units: SystemdUnits,
    handover: HandoverFiles,
    seen: BTreeMap<ExperimentId, Seen>,
}

impl LimitWatch {
    /// Nothing is asked before something runs.
    pub(super) fn new(host: &HostContext) -> Self {
        Self {
            units: SystemdUnits::unconnected(runtime_scope(host)),
            handover: HandoverFiles::new(host.clone()),
            host: host.clone(),
            seen: BTreeMap::new(),
        }
    }

    /// Watches as long as something runs, and never ends.
    pub(super) async fn watch<P: Ports>(mut self, handle: &Handle<P>) -> Infallible {
        if is_foreign_root(&self.host) {
            return std::future::pending().await;
        }
        let mut lives = handle.lives();
        loop {
            // An error means that the loop has ended, and this with it.
            if lives.wait_for(|lives| !lives.living.is_empty()).await.is_ok()
                && let Err(error) = self.look().await
            {
                log::debug!(
                    "limits of time cannot be compared with the clock: {}",
                    error_chain(&error)
                );
            }
            sleep(EVERY).await;
        }
    }

    async fn look(&mut self) -> Result<(), UnitError> {
        let states = self.units.sub_states().await?;
        self.seen.retain(|id, _| states.iter().any(|(listed, _)| listed == id));
        for (id, state) in states {
            let Some(now) = self.host.since_boot() else { return Ok(()) };
            if let Verdict::Over(overrun) = self.judge(&id, &state, now).await? {
                self.step_in(&id, overrun).await;
            }
        }
        Ok(())
    }

    /// Judges a unit by what is known of it, and reads its times where that may have changed or where
    /// something would follow.
    async fn judge(
        &mut self,
        id: &ExperimentId,
        state: &str,
        now: TimeSpan,
    ) -> Result<Verdict, UnitError> {
        let known = self.seen.get_mut(id).filter(|seen| seen.times.sub_state == state);
        let since = match known {
            Some(seen) => {
                seen.looks += 1;
                let verdict = judge(&seen.times, seen.since, now);
                if seen.looks < READ_AGAIN_AFTER && !matches!(verdict, Verdict::Over(_)) {
                    return Ok(verdict);
                }
                seen.since
            }
            None => now,
        };
        let times = self.units.times(id).await?;
        // It has moved on since it was listed; the next look takes it as it is then.
        if times.sub_state != state {
            self.seen.remove(id);
            return Ok(Verdict::Unlimited);
        }
        let verdict = judge(&times, since, now);
        self.seen.insert(id.clone(), Seen { since, times, looks: 0 });
        Ok(verdict)
    }

    async fn step_in(&mut self, id: &ExperimentId, overrun: Overrun) {
        let done = match overrun {
            Overrun::Grace(grace) => {
                log::warn!(
                    BIJ_EXPERIMENT:% = id;
                    "{id} has not left within its grace of {grace}, and systemd has not killed it; it is killed"
                );
                self.units.kill(id).await
            }
            Overrun::Time(limit) | Overrun::Start(limit) => {
                let what =
                    if matches!(overrun, Overrun::Time(_)) { "time" } else { "start_timeout" };
                let by = format!("bijd: its {what} of {limit} is over");
                log::warn!(
                    BIJ_EXPERIMENT:% = id;
                    "{id} is past its {what} of {limit}, and systemd has not stopped it; it is stopped"
                );
                let order = Order { kind: OrderKind::TimeLimit, by };
                if let Err(error) = self.handover.stop(id, &order) {
                    log::warn!("{}", error_chain(&error));
                }
                self.units.begin_stop(id).await
            }
        };
        // What fails is tried again at the next look.
        if let Err(error) = done {
            log::warn!(BIJ_EXPERIMENT:% = id; "{}", error_chain(&error));
        }
    }
}
