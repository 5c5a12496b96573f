//! Measures the processor time that experiments really use: few definitions state it, and most state more.
//!
//! A budget above the use restrains nothing, and a cap above it cools nothing. So the demand of an experiment
//! is the highest use measured since there is a budget, and for some time before: a varying load counts by
//! its peaks, and no experiment's share changes because it pauses.

use std::collections::BTreeMap;

use bij_core::{ExperimentId, TimeSpan, Uptime};

use super::load::ThermalLoad;
use super::quantity::CpuShare;
use super::restraint::{Activity, Restraint, Restraints};

/// Shortest measuring window.
const WINDOW: TimeSpan = TimeSpan::from_secs(4);
/// An experiment that uses this share of its cap would use more without it.
const CAP_REACHED: f64 = 0.9;
/// Share of the peak that is kept after each window without a budget: half is left after two minutes.
const PEAK_DECAY: f64 = 0.98;
/// Smallest demand, because zero cannot be divided.
const SMALLEST: CpuShare = CpuShare::new(1.0);

/// Demand of each experiment that is up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Demands(BTreeMap<ExperimentId, MeasuredDemand>);

#[derive(Clone, Debug, PartialEq)]
struct MeasuredDemand {
    since: Uptime,
    cpu_time: TimeSpan,
    /// Highest use; `None` before the first window has ended.
    most: Option<CpuShare>,
}

impl Demands {
    /// Takes in the processor time used since the last window, under these restraints, with or without a
    /// budget.
    pub(super) fn measure(
        &mut self,
        at: Uptime,
        loads: &[ThermalLoad],
        is_budget: bool,
        restraints: &Restraints,
    ) {
        self.0.retain(|id, _| loads.iter().any(|load| load.experiment == *id));
        for load in loads {
            let Some(cpu_time) = load.cpu_time else { continue };
            let begun = MeasuredDemand { since: at, cpu_time, most: None };
            let measured = self.0.entry(load.experiment.clone()).or_insert(begun);
            let window = at - measured.since;
            if window < WINDOW {
                continue;
            }
            let used = CpuShare::used(cpu_time.saturating_sub(measured.cpu_time), window);
            (measured.since, measured.cpu_time) = (at, cpu_time);
            let Restraint { cap, activity } = restraints.restraint(&load.experiment);
            let is_limited = cap.is_some_and(|cap| used >= CpuShare::from(cap) * CAP_REACHED)
                // An experiment that waits for a slower GPU uses less processor time as well.
                || load.can_cap_gpu && restraints.gpu.is_some();
            let most =
                if is_budget { measured.most } else { measured.most.map(|most| most * PEAK_DECAY) };
            // The use of a limited experiment is only a lower bound.
            if activity == Activity::Running && (!is_limited || most.is_some()) {
                measured.most = Some(most.unwrap_or_default().max(used));
            }
        }
    }

    /// Returns what an experiment would use without restraints; as long as that is not known, its quota.
    pub(super) fn demand(&self, load: &ThermalLoad) -> CpuShare {
        let most = self.0.get(&load.experiment).and_then(|measured| measured.most);
        most.map_or(load.quota(), |most| most.max(SMALLEST).min(load.quota()))
    }
}

#[cfg(test)]
mod tests {
    use bij_core::{Hertz, Percent};

    use super::*;
    use crate::thermal::tests::scene::{id, load};

    fn demand_after(cap: Option<Percent>, is_budget: bool, taken: &[u32]) -> CpuShare {
        demand_beside_gpu_limit(None, cap, is_budget, taken)
    }

    fn demand_beside_gpu_limit(
        gpu: Option<Hertz>,
        cap: Option<Percent>,
        is_budget: bool,
        taken: &[u32],
    ) -> CpuShare {
        let mut demands = Demands::default();
        let mut one = ThermalLoad { can_cap_gpu: true, ..load("a", 0, 1200) };
        let mut cpu_time = 0;
        for (second, taken) in (0_u32..).zip(taken) {
            cpu_time += u64::from(*taken) * 10_000;
            one.cpu_time = Some(TimeSpan::from_micros(cpu_time));
            let restraint = Restraint { cap, activity: Activity::Running };
            let (at, loads) = (Uptime::from_secs(second), std::slice::from_ref(&one));
            let restraints = Restraints { each: [(id("a"), restraint)].into(), gpu };
            demands.measure(at, loads, is_budget, &restraints);
        }
        demands.demand(&one)
    }

    #[test]
    fn it_is_the_most_that_was_taken_and_at_first_what_is_allowed() {
        let near = |is: CpuShare, wanted: f64| {
            let distance = is.max(CpuShare::new(wanted)) - is.min(CpuShare::new(wanted));
            assert!(distance < CpuShare::new(0.1), "{is:?}, not {wanted}");
        };
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
