//! The scenarios, by topic. The crate's documentation says how to add one.

mod any_unit;
mod attack;
mod board;
mod boot;
mod cli;
mod contract;
mod coordinator;
mod death;
mod definition;
mod examples;
mod faults;
mod gpu;
mod heat;
mod ledger;
mod limits;
mod local;
mod mistakes;
mod people;
mod power;
mod restart;
mod speed;
mod speed_of_the_queue;
mod verbatim;

use std::time::Duration;

use crate::check::Failure;
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

/// One story about the whole system that must hold in a real machine.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Unique, `topic_what_must_hold`.
    pub name: &'static str,
    /// The kinds of machine it makes sense in.
    pub lanes: &'static [Lane],
    /// At native speed; the host gives emulated machines a multiple of it.
    pub time_limit: Duration,
    /// Whether it runs only when `--scenario` asks for it: it takes long, and other lanes hold what it checks.
    pub on_request: bool,
    /// The story.
    pub run: fn(&Guest) -> Result<Next, Failure>,
}

impl Scenario {
    /// A scenario with the usual time limit of a minute.
    const fn new(
        name: &'static str,
        lanes: &'static [Lane],
        run: fn(&Guest) -> Result<Next, Failure>,
    ) -> Self {
        Self { name, lanes, time_limit: Duration::from_secs(60), on_request: false, run }
    }
}

/// Every scenario, in the order they run. Those that restart the machine come last.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        boot::SCENARIOS,
        limits::SCENARIOS,
        local::SCENARIOS,
        verbatim::SCENARIOS,
        cli::SCENARIOS,
        death::SCENARIOS,
        definition::SCENARIOS,
        ledger::SCENARIOS,
        mistakes::SCENARIOS,
        people::SCENARIOS,
        contract::SCENARIOS,
        coordinator::SCENARIOS,
        attack::SCENARIOS,
        attack::environment::SCENARIOS,
        attack::limits::SCENARIOS,
        attack::limits_killed::SCENARIOS,
        attack::database::SCENARIOS,
        attack::locks::SCENARIOS,
        attack::seats::SCENARIOS,
        attack::logs::SCENARIOS,
        attack::jobs::SCENARIOS,
        attack::MEMBER,
        attack::CALLERS,
        attack::TRUST,
        attack::notify::SCENARIOS,
        examples::SCENARIOS,
        speed::SCENARIOS,
        speed_of_the_queue::SCENARIOS,
        faults::SCENARIOS,
        heat::SCENARIOS,
        gpu::SCENARIOS,
        power::SCENARIOS,
        any_unit::SCENARIOS,
        restart::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// The scenario of this name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The page on security claims nothing by a scenario that is not there.
    #[test]
    fn every_scenario_that_the_page_on_security_names_is_there() {
        let page = include_str!("../../../SECURITY.md");
        let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: BTreeSet<&str> = words
            .filter(|word| word.starts_with("attack_") && word.len() > "attack_".len())
            .collect();
        assert!(named.len() > 20, "{named:?}");
        for name in named {
            assert!(super::find(name).is_some(), "SECURITY.md names {name}");
        }
    }

    #[test]
    fn names_are_unique_and_every_scenario_has_a_lane() {
        let mut names = BTreeSet::new();
        for scenario in super::all() {
            assert!(names.insert(scenario.name), "{} stands twice", scenario.name);
            assert!(!scenario.lanes.is_empty(), "{} runs nowhere", scenario.name);
        }
    }
}
