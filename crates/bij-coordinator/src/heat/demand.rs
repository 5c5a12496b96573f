//! What experiments really take of the processors: few definitions say it, and most say more.
//!
//! A budget that is more than what is taken holds nobody back, and a cap above it cools nothing. So what
//! is taken is measured, as the most that was seen since there is a budget and some time before: what
//! comes and goes is reckoned by its peaks, and nobody's share changes for that it rests.

use std::collections::BTreeMap;

use bij_core::{ExperimentId, TimeSpan};

use super::Living;
use super::reins::Wanted;
use super::sense::seconds_between;
use super::spread::{self, Motion, Restraint};

/// It is measured over at least so many seconds.
const WINDOW: f64 = 4.0;
/// Who takes this share of its cap would take more.
const BITES: f64 = 0.9;
/// While there is no budget, so much of the most is left after each window: half after two minutes.
const FADES: f64 = 0.98;

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Demands(BTreeMap<ExperimentId, Measured>);

#[derive(Clone, Debug, PartialEq)]
struct Measured {
    since: TimeSpan,
    cpu_time: TimeSpan,
    /// In percent of one processor; `None` before it could be told.
    most: Option<f64>,
}

impl Demands {
    /// Takes in what has been taken since the last look, with what held it back, under a budget or
    /// without one.
    pub(super) fn look(
        &mut self,
        at: TimeSpan,
        living: &[Living],
        is_budget: bool,
        in_force: &Wanted,
    ) {
        self.0.retain(|id, _| living.iter().any(|one| one.experiment == *id));
        for one in living {
            let Some(cpu_time) = one.cpu_time else { continue };
            let begun = Measured { since: at, cpu_time, most: None };
            let measured = self.0.entry(one.experiment.clone()).or_insert(begun);
            let seconds = seconds_between(measured.since, at);
            if seconds < WINDOW {
                continue;
            }
            let taken = seconds_between(measured.cpu_time, cpu_time) / seconds * 100.0;
            (measured.since, measured.cpu_time) = (at, cpu_time);
            let Restraint { cap, motion } = in_force.of(&one.experiment);
            let bites = cap.is_some_and(|cap| taken >= spread::percent(cap) * BITES)
                // Who waits for the GPU takes less of the processors as well.
                || one.can_cap_gpu && in_force.gpu.is_some();
            let most =
                if is_budget { measured.most } else { measured.most.map(|most| most * FADES) };
            // Who is held back takes no less than this; how much more is not known.
            if motion == Motion::Running && (!bites || most.is_some()) {
                measured.most = Some(most.unwrap_or_default().max(taken));
            }
        }
    }

    /// What it takes when nobody holds it back; what its definition allows, as long as that is not
    /// known.
    pub(super) fn of(&self, one: &Living) -> f64 {
        let most = self.0.get(&one.experiment).and_then(|measured| measured.most);
        // Next to nothing is nothing to be shared out.
        most.map_or(spread::cpu(one), |most| most.max(1.0).min(spread::cpu(one)))
    }
}

#[cfg(test)]
mod tests {
    use bij_core::{Hertz, Percent};

    use super::*;
    use crate::heat::tests::scene::{id, living};

    fn looks(cap: Option<Percent>, is_budget: bool, taken: &[u32]) -> f64 {
        looks_beside(None, cap, is_budget, taken)
    }

    fn looks_beside(
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
            let (at, living) = (TimeSpan::from_secs(second), std::slice::from_ref(&one));
            let in_force = Wanted { each: [(id("a"), restraint)].into(), gpu };
            demands.look(at, living, is_budget, &in_force);
        }
        demands.of(&one)
    }

    #[test]
    fn it_is_the_most_that_was_taken_and_at_first_what_is_allowed() {
        let near = |is: f64, wanted: f64| assert!((is - wanted).abs() < 0.1, "{is}, not {wanted}");
        near(looks(None, false, &[300, 300, 300]), 1200.0);
        near(looks(None, false, &[300; 9]), 300.0);
        let comes_and_goes = [[300; 120], [20; 120]].concat();
        near(looks(None, true, &comes_and_goes), 300.0);
        near(looks(None, false, &comes_and_goes), 300.0 * 0.98_f64.powi(30));
        let cap = Some(Percent::new(300));
        near(looks(cap, true, &[300; 9]), 1200.0);
        near(looks(cap, true, &[100; 9]), 100.0);
        let slow = Some(Hertz::new(300_000_000));
        near(looks_beside(slow, None, true, &[100; 9]), 1200.0);
    }
}
