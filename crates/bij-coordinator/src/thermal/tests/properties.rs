//! Properties that hold for every sequence of observations.

use std::collections::BTreeMap;

use bij_core::port::{BoardReadError, ZoneReading};
use bij_core::{Celsius, ExperimentId, Hertz, Percent, Uptime};
use proptest::prelude::*;

use super::scene::{id, settings};
use crate::thermal::{
    Activity, GpuClockReading, Ladder, Restraint, RestraintChange, StopUrgency, ThermalAction,
    ThermalLoad, ThermalObservation,
};

/// Inputs of one observation.
#[derive(Clone, Debug)]
struct Situation {
    after: u32,
    zones: Result<Vec<ZoneReading>, BoardReadError>,
    loads: Vec<ThermalLoad>,
    /// How many rates the GPU's clock has; another program sets it as well.
    rates: usize,
    is_set_by_others: bool,
}

fn unread() -> impl Strategy<Value = BoardReadError> {
    Just(BoardReadError { what: "it".to_owned(), why: "told to fail".to_owned() })
}

fn celsius() -> impl Strategy<Value = Celsius> {
    prop_oneof![
        8 => (55_000..95_000).prop_map(Celsius::from_millis),
        1 => any::<i32>().prop_map(Celsius::from_millis),
    ]
}

fn zones() -> impl Strategy<Value = Result<Vec<ZoneReading>, BoardReadError>> {
    let reading = prop_oneof![6 => celsius().prop_map(Ok), 1 => unread().prop_map(Err)];
    let zone = (0..4, reading)
        .prop_map(|(number, celsius)| ZoneReading { name: format!("z{number}"), celsius });
    let zones = prop::collection::vec(zone, 0..5);
    prop_oneof![12 => zones.prop_map(Ok), 1 => unread().prop_map(Err)]
}

fn one(number: usize) -> impl Strategy<Value = ThermalLoad> {
    let limit = prop::option::of(celsius());
    let can = (any::<bool>(), any::<bool>(), any::<bool>());
    (-1..2, 0..4_u32, 0..1300_u32, can, limit).prop_map(
        move |(priority, since, cpu, (can_cap, can_cap_gpu, can_freeze), max_celsius)| {
            ThermalLoad {
                experiment: id(&format!("e{number}")),
                priority,
                since: Uptime::from_secs(since),
                cpu: Percent::new(cpu),
                cpu_time: None,
                can_cap,
                can_cap_gpu,
                can_freeze,
                max_celsius,
            }
        },
    )
}

/// Generates any subset of five experiments.
fn some_loads() -> impl Strategy<Value = Vec<ThermalLoad>> {
    let each = [0, 1, 2, 3, 4].map(|number| prop::option::of(one(number)));
    each.prop_map(|each| each.into_iter().flatten().collect())
}

fn situations() -> impl Strategy<Value = Vec<Situation>> {
    let after = prop_oneof![4 => 0..6_u32, 1 => 0..2000_u32];
    // A board stays as it is for some situations, or nothing would ever settle.
    let gpu = (0..6_usize, prop::bool::weighted(0.1));
    let situation = (after, zones(), some_loads(), 1..20_usize, gpu).prop_map(
        |(after, zones, loads, times, (rates, is_set_by_others))| {
            vec![Situation { after, zones, loads, rates, is_set_by_others }; times]
        },
    );
    prop::collection::vec(situation, 0..20)
        .prop_map(|situations| situations.into_iter().flatten().collect())
}

/// Carries out the actions, and fails the test for one that is impossible or unnecessary.
#[derive(Default)]
struct Hand {
    held: bool,
    restraints: BTreeMap<ExperimentId, Restraint>,
    bound: Option<Hertz>,
}

/// Rates of the GPU's clock.
const RATES: [Hertz; 5] = [
    Hertz::new(300_000_000),
    Hertz::new(500_000_000),
    Hertz::new(700_000_000),
    Hertz::new(900_000_000),
    Hertz::new(1_100_000_000),
];

impl Hand {
    /// Forgets the restraints of experiments that are down, and caps where caps have no effect.
    fn forget_all_but(&mut self, loads: &[ThermalLoad]) {
        self.restraints.retain(|id, restraint| {
            let one = loads.iter().find(|one| one.experiment == *id);
            restraint.cap = restraint.cap.filter(|_| one.is_some_and(|one| one.can_cap));
            one.is_some()
        });
    }

    fn carry_out(
        &mut self,
        step: &ThermalAction,
        loads: &[ThermalLoad],
    ) -> Result<(), TestCaseError> {
        match step {
            ThermalAction::Hold | ThermalAction::Admit => {
                let holds = *step == ThermalAction::Hold;
                prop_assert_ne!(self.held, holds, "said twice");
                self.held = holds;
                Ok(())
            }
            ThermalAction::CapGpu { to } => {
                prop_assert!(self.bound != Some(*to), "said twice");
                prop_assert!(loads.iter().any(|one| one.can_cap_gpu), "no experiment uses it");
                self.bound = Some(*to);
                Ok(())
            }
            ThermalAction::UncapGpu => {
                prop_assert!(self.bound.take().is_some());
                Ok(())
            }
            ThermalAction::Restrain { experiment, change } => {
                let one = loads.iter().find(|one| one.experiment == *experiment);
                let Some(one) = one else {
                    return Err(TestCaseError::fail(format!("{experiment} is not up")));
                };
                self.restrain(one, *change)
            }
        }
    }

    fn restrain(
        &mut self,
        one: &ThermalLoad,
        change: RestraintChange,
    ) -> Result<(), TestCaseError> {
        let restraint = self.restraints.entry(one.experiment.clone()).or_default();
        let leaves = matches!(restraint.activity, Activity::Stopping(_));
        match change {
            RestraintChange::Cap(to) => {
                prop_assert!(!leaves && one.can_cap && to > Percent::new(0));
                prop_assert_ne!(restraint.cap, Some(to), "said twice");
                restraint.cap = Some(to);
            }
            RestraintChange::Uncap => {
                prop_assert!(!leaves && restraint.cap.take().is_some());
            }
            RestraintChange::Freeze => {
                prop_assert!(one.can_freeze && restraint.activity == Activity::Running);
                restraint.activity = Activity::Frozen;
            }
            RestraintChange::Thaw => {
                prop_assert_eq!(restraint.activity, Activity::Frozen);
                restraint.activity = Activity::Running;
            }
            RestraintChange::Stop(urgency) => {
                prop_assert!(restraint.activity < Activity::Stopping(urgency), "said twice");
                prop_assert!(urgency == StopUrgency::Critical || !one.can_freeze);
                restraint.activity = Activity::Stopping(urgency);
            }
        }
        Ok(())
    }
}

/// Gives the observations to a ladder, carries out its actions, and judges the state after each.
fn ride(
    situations: Vec<Situation>,
    mut judge: impl FnMut(&Ladder, &Situation, &Hand) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut ladder, mut hand) = (Ladder::new(settings()), Hand::default());
    let mut uptime = 0;
    for situation in situations {
        uptime += u64::from(situation.after) * 1_000_000;
        let Situation { zones, loads, rates, is_set_by_others, .. } = &situation;
        if *is_set_by_others || *rates == 0 {
            hand.bound = None;
        }
        let gpu =
            (*rates > 0).then_some(GpuClockReading { rates: &RATES[..*rates], bound: hand.bound });
        hand.forget_all_but(loads);
        let uptime = Uptime::from_micros(uptime);
        let seen = ThermalObservation { uptime, zones, loads, processors: Percent::new(1200), gpu };
        for one in ladder.observe(&seen) {
            hand.carry_out(&one.action, loads)?;
        }
        judge(&ladder, &situation, &hand)?;
    }
    Ok(())
}

/// Returns how far an experiment is restrained, in an order of increasing restraint.
fn depth(ladder: &Ladder, one: &ThermalLoad) -> (Activity, bool) {
    let restraint = ladder.restraint(&one.experiment);
    (restraint.activity, restraint.cap.is_some())
}

proptest! {
    #[test]
    fn every_move_can_and_must_be_done_whatever_is_seen(situations in situations()) {
        ride(situations, |ladder, situation, hand| {
            let is_held = ladder.blocking_reason(Percent::new(1_000_000), None).is_some();
            prop_assert_eq!(is_held, hand.held);
            for one in &situation.loads {
                let done = hand.restraints.get(&one.experiment).copied().unwrap_or_default();
                let said = ladder.restraint(&one.experiment);
                prop_assert_eq!(said.activity, done.activity);
                // What leaves takes its cap with it.
                if !matches!(said.activity, Activity::Stopping(_)) {
                    prop_assert_eq!(said.cap, done.cap);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_experiment_is_restrained_more_than_a_lower_one(
        mut situations in situations(),
        loads in [one(0), one(1), one(2), one(3)],
    ) {
        // All can be held back in the same ways, and stay.
        let loads: Vec<ThermalLoad> = loads
            .into_iter()
            .map(|one| {
                let cpu = one.cpu.max(Percent::new(1));
                ThermalLoad { cpu, can_cap: true, can_freeze: true, max_celsius: None, ..one }
            })
            .collect();
        for situation in &mut situations {
            situation.loads.clone_from(&loads);
        }
        ride(situations, |ladder, situation, _| {
            for low in &situation.loads {
                for high in situation.loads.iter().filter(|high| high.priority > low.priority) {
                    let (low, high) = (depth(ladder, low), depth(ladder, high));
                    prop_assert!(low >= high || !high.1 && low.0 >= high.0, "{low:?} {high:?}");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_lifted_is_lifted_seldom(degrees in prop::collection::vec(0..1000_u16, 1..200)) {
        // A board that is at some temperature for a minute, then at another.
        let one = ThermalLoad { experiment: id("a"), ..super::scene::load("a", 0, 1200) };
        let situations = degrees.iter().flat_map(|tenths| {
            let celsius = Celsius::from_millis(45_000 + i32::from(*tenths) * 39);
            let zone = ZoneReading { name: "tj".to_owned(), celsius: Ok(celsius) };
            let (zones, loads) = (Ok(vec![zone]), vec![one.clone()]);
            vec![Situation { after: 5, zones, loads, rates: 0, is_set_by_others: false }; 12]
        });
        let (mut before, mut lifts) = (u64::MAX, 0);
        ride(situations.collect(), |ladder, _, _| {
            let cap = ladder.restraint(&id("a")).cap.map_or(u64::MAX, Percent::permyriad);
            lifts += usize::from(cap > before);
            before = cap;
            Ok(())
        })?;
        // Ten minutes of patience at least.
        prop_assert!(lifts <= degrees.len() / 10 + 1, "{lifts} lifts");
    }
}
