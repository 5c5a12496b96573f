//! Measures the processor time that experiments really use: few definitions state it, and most state more.
//!
//! A budget above the use restrains nothing, and a cap above it cools nothing. So the demand of an experiment
//! is the highest use measured since there is a budget, and for some time before: a varying load counts by
//! its peaks, and no experiment's share changes because it pauses.

use std::collections::BTreeMap;

use bij_core::{ExperimentId, TimeSpan, Uptime};

use super::Living;
use super::allocation::{self, Motion, Restraint};
use super::restraints::Restraints;
use super::temperature::seconds_between;

/// Shortest measuring window, in seconds.
const WINDOW: f64 = 4.0;
/// An experiment that uses this share of its cap would use more without it.
const CAP_REACHED: f64 = 0.9;
/// Share of the peak that is kept after each window without a budget: half is left after two minutes.
const PEAK_DECAY: f64 = 0.98;

/// Demand of each experiment that is up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Demands(BTreeMap<ExperimentId, MeasuredDemand>);

#[derive(Clone, Debug, PartialEq)]
struct MeasuredDemand {
    since: Uptime,
    cpu_time: TimeSpan,
    /// Highest use, in percent of one processor; `None` before the first window has ended.
    most: Option<f64>,
}

impl Demands {
    /// Takes in the processor time used since the last window, under these restraints, with or without a
    /// budget.
    pub(super) fn measure(
        &mut self,
        at: Uptime,
        living: &[Living],
        is_budget: bool,
        restraints: &Restraints,
    ) {
        self.0.retain(|id, _| living.iter().any(|one| one.experiment == *id));
        for one in living {
            let Some(cpu_time) = one.cpu_time else { continue };
            let begun = MeasuredDemand { since: at, cpu_time, most: None };
            let measured = self.0.entry(one.experiment.clone()).or_insert(begun);
            let seconds = seconds_between(measured.since, at);
            if seconds < WINDOW {
                continue;
            }
            let taken = cpu_time.saturating_sub(measured.cpu_time).as_secs_f64() / seconds * 100.0;
            (measured.since, measured.cpu_time) = (at, cpu_time);
            let Restraint { cap, motion } = restraints.restraint(&one.experiment);
            let is_limited = cap.is_some_and(|cap| taken >= allocation::percent(cap) * CAP_REACHED)
                // An experiment that waits for a slower GPU uses less processor time as well.
                || one.can_cap_gpu && restraints.gpu.is_some();
            let most =
                if is_budget { measured.most } else { measured.most.map(|most| most * PEAK_DECAY) };
            // The use of a limited experiment is only a lower bound.
            if motion == Motion::Running && (!is_limited || most.is_some()) {
                measured.most = Some(most.unwrap_or_default().max(taken));
            }
        }
    }

    /// Returns what an experiment would use without restraints; as long as that is not known, its quota.
    pub(super) fn demand(&self, one: &Living) -> f64 {
        let most = self.0.get(&one.experiment).and_then(|measured| measured.most);
        // Zero cannot be divided.
        most.map_or(allocation::cpu(one), |most| most.max(1.0).min(allocation::cpu(one)))
    }
}

#[cfg(test)]
mod tests {
    use bij_core::{Hertz, Percent};

    use super::*;
    use crate::heat::tests::scene::{id, living};

    fn demand_after(cap: Option<Percent>, is_budget: bool, taken: &[u32]) -> f64 {
        demand_beside_gpu_limit(None, cap, is_budget, taken)
    }

    fn demand_beside_gpu_limit(
        gpu: Option<Hertz>,
        cap: Option<Percent>,
        is_budget: bool,
        taken: &[u32],
    ) -> f64 {
        let mut demands = Demands::default();
        let mut one = Living { can_cap_gpu: true, ..living("a", 0, 1200) };
        let mut cpu_time = 0;
        for (second, taken) in (0_u32..).zip(taken) {
            cpu_time += u64::from(*taken) * 10_000;
            one.cpu_time = Some(TimeSpan::from_micros(cpu_time));
            let restraint = Restraint { cap, motion: Motion::Running };
            let (at, living) = (Uptime::from_secs(second), std::slice::from_ref(&one));
            let restraints = Restraints { each: [(id("a"), restraint)].into(), gpu };
            demands.measure(at, living, is_budget, &restraints);
        }
        demands.demand(&one)
    }

    #[test]
    fn it_is_the_most_that_was_taken_and_at_first_what_is_allowed() {
        let near = |is: f64, wanted: f64| assert!((is - wanted).abs() < 0.1, "{is}, not {wanted}");
        near(demand_after(None, false, &[300, 300, 300]), 1200.0);
        near(demand_after(None, false, &[300; 9]), 300.0);
        let comes_and_goes = [[300; 120], [20; 120]].concat();
        near(demand_after(None, true, &comes_and_goes), 300.0);
        near(demand_after(None, false, &comes_and_goes), 300.0 * 0.98_f64.powi(30));
        let cap = Some(Percent::new(300));
        near(demand_after(cap, true, &[300; 9]), 1200.0);
        near(demand_after(cap, true, &[100; 9]), 100.0);
        let slow = Some(Hertz::new(300_000_000));
        near(demand_beside_gpu_limit(slow, None, true, &[100; 9]), 1200.0);
    }
}
