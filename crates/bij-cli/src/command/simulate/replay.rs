//! Replays a trace to the ladder; the recorded readings do not react to it.

use std::collections::BTreeSet;

use bij_coordinator::thermal::{
    Ladder, RestraintChange, ThermalAction, ThermalLoad, ThermalObservation, ThermalSettings,
};
use bij_core::{Celsius, ExperimentId, Percent, TimeSpan, Uptime};

use super::page::{Simulated, SimulatedEnd};
use super::trace::Trace;

/// The processors of a Jetson AGX Orin.
const PROCESSORS: u32 = 1200;

/// Replays a trace to a ladder that sees this number of experiments.
pub(super) fn replay(trace: &Trace, experiments: u8, settings: ThermalSettings) -> Simulated {
    let all: Vec<ThermalLoad> = (1..=experiments).map(|number| load(number, experiments)).collect();
    let mut stopped = BTreeSet::new();
    let mut ladder = Ladder::new(settings);
    let mut moves = Vec::new();
    let mut next = TimeSpan::default();
    let mut hottest: Option<Celsius> = None;
    let mut end = TimeSpan::default();
    for (at, zones) in &trace.readings {
        end = *at;
        hottest = hottest.max(zones.iter().filter_map(|zone| zone.celsius.clone().ok()).max());
        if *at < next {
            // The ladder would not have read the board at this time.
            continue;
        }
        let is_up = |one: &&ThermalLoad| !stopped.contains(&one.experiment);
        let loads: Vec<ThermalLoad> = all.iter().filter(is_up).cloned().collect();
        let zones = Ok(zones.clone());
        let processors = Percent::new(PROCESSORS);
        let seen = ThermalObservation {
            uptime: Uptime::BOOT + *at,
            zones: &zones,
            loads: &loads,
            processors,
            gpu: None,
        };
        for decision in ladder.observe(&seen) {
            match &decision.action {
                ThermalAction::Restrain { experiment, change: RestraintChange::Stop(_) } => {
                    stopped.insert(experiment.clone());
                }
                ThermalAction::Admit => stopped.clear(),
                _ => {}
            }
            moves.push((*at, ladder.level().clone(), decision));
        }
        next = at.saturating_add(ladder.observation_interval());
    }
    let end = SimulatedEnd::new(end, hottest, ladder.level(), moves.len());
    Simulated::new(moves, end)
}

fn load(number: u8, of: u8) -> ThermalLoad {
    let name = if of == 1 { "experiment".to_owned() } else { format!("experiment-{number}") };
    ThermalLoad {
        experiment: ExperimentId::new(&name).expect("the name is a valid id"),
        priority: 0,
        since: Uptime::from_secs(u32::from(number)),
        cpu: Percent::new(PROCESSORS / u32::from(of)),
        cpu_time: None,
        can_cap: true,
        can_cap_gpu: false,
        can_freeze: true,
        max_celsius: None,
    }
}
