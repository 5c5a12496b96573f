//! What the loop is told of the ladder.

use std::collections::BTreeMap;

use bij_coordinator::heat::{Because, Living};
use bij_coordinator::policy::ThermalStatus;
use bij_coordinator::{Ports, RunningExperiments};
use bij_core::{Celsius, ExperimentId};

use super::Watch;

impl<P: Ports> Watch<P> {
    pub(super) fn warmth(&self, lives: &RunningExperiments) -> ThermalStatus {
        let keeps = |cpu, limit| self.ladder.blocking_reason(cpu, limit);
        let all = self.means.processors();
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

/// Whether a difference is worth a decision: a tenth of a degree is none.
pub(super) fn differs(told: &ThermalStatus, now: &ThermalStatus) -> bool {
    let limits = |warmth: &ThermalStatus| warmth.too_hot_for.keys().cloned().collect::<Vec<_>>();
    told.level != now.level
        || told.replacement != now.replacement
        || limits(told) != limits(now)
        || match (&told.held, &now.held) {
            (None, None) => false,
            (Some(told), Some(now)) => is_far(told, now),
            (None, Some(_)) | (Some(_), None) => true,
        }
}

fn is_far(told: &Because, now: &Because) -> bool {
    match (told, now) {
        (Because::Zone { celsius: told, .. }, Because::Zone { celsius: now, .. }) => {
            told.millis().abs_diff(now.millis()) >= 1000
        }
        (told, now) => told != now,
    }
}
