//! The whole loop in a world that exists in memory only.
//!
//! A seed makes a script of what people, time and accidents do to a machine with a coordinator on
//! it; after every step of the script the world must be one that is allowed. What is allowed stands
//! in `invariants`, each with its sentence. The models are `bij_sim`'s; nothing here waits for a
//! clock, so a seed always tells the same story.
//!
//! `cargo xtask sim` runs more seeds, and tells one seed's story.

mod chronicle;
mod door;
mod finale;
mod greedy;
mod instant;
mod invariants;
mod pace;
mod ports;
mod requests;
mod script;
mod story;
mod thermal;
mod world;

use story::{Stories, run_story};

/// So many seeds are enough for who has just changed something; `cargo xtask ci` runs ten times as
/// many, and longer ones.
const SEEDS: u64 = 50;
/// So many steps each.
const STEPS: usize = 200;

#[test]
fn no_story_leads_to_a_world_that_is_not_allowed() {
    let stories = Stories::from_environment(SEEDS, STEPS);
    let first = stories.first_that_breaks();
    assert!(first.is_none(), "{}", first.unwrap_or_default());
}

#[test]
fn a_seed_always_makes_the_same_story() {
    let once = run_story(7, 60, true);
    assert_eq!(once.lines, run_story(7, 60, true).lines);
    assert!(once.lines.len() > 60, "something happens in it");
    assert!(once.ended > 0, "and comes to its end");
}
