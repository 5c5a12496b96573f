//! The status that heat control reports to the loop.

use std::collections::BTreeMap;

use bij_coordinator::heat::{Because, Living};
use bij_coordinator::policy::ThermalStatus;
use bij_coordinator::{Ports, RunningExperiments};
use bij_core::{Celsius, ExperimentId};

use super::HeatLoop;

impl<P: Ports> HeatLoop<P> {
    /// Returns which starts are on hold for heat, and which experiment could start instead.
    pub(super) fn thermal_status(&self, lives: &RunningExperiments) -> ThermalStatus {
        let keeps = |cpu, limit| self.ladder.blocking_reason(cpu, limit);
        let all = self.capabilities.processors();
        let held = keeps(all, None);
        let own =
            |(id, limit): (&ExperimentId, &Celsius)| Some((id.clone(), keeps(all, Some(*limit))?));
        let fits = |next: &&Living| keeps(next.cpu.min(all), next.max_celsius).is_none();
        let next = lives.next.as_ref().filter(|_| held.is_some()).filter(fits);
        let replacement = next.map(|next| next.experiment.clone());
        let too_hot_for = match held {
            Some(_) => BTreeMap::new(),
            None => lives.limits.iter().filter_map(own).collect(),
        };
        ThermalStatus { level: self.ladder.level().clone(), held, replacement, too_hot_for }
    }
}

/// Returns whether the loop needs the new status: a tenth of a degree makes no difference.
pub(super) fn differs(reported: &ThermalStatus, now: &ThermalStatus) -> bool {
    let limits = |warmth: &ThermalStatus| warmth.too_hot_for.keys().cloned().collect::<Vec<_>>();
    reported.level != now.level
        || reported.replacement != now.replacement
        || limits(reported) != limits(now)
        || match (&reported.held, &now.held) {
            (None, None) => false,
            (Some(reported), Some(now)) => is_far(reported, now),
            (None, Some(_)) | (Some(_), None) => true,
        }
}

fn is_far(reported: &Because, now: &Because) -> bool {
    match (reported, now) {
        (Because::Zone { celsius: reported, .. }, Because::Zone { celsius: now, .. }) => {
            reported.millis().abs_diff(now.millis()) >= 1000
        }
        (reported, now) => reported != now,
    }
}
