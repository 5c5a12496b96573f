//! The work: a short round trip through many towns, by simulated annealing.
//!
//! It computes by the operations that IEEE 754 rounds exactly, and by no function of a C library: the
//! same seed finds the same tour on every machine.

use bij_examples::Dice;
use serde::{Deserialize, Serialize};

const TOWNS: usize = 60;
const MOVES_PER_ROUND: usize = 20_000;
/// A tenth of the square's side: at first almost every change is taken.
const FIRST_TEMPERATURE: f64 = 0.1;
const COOLING_PER_ROUND: f64 = 0.9;
/// Keeps the towns' dice apart from those of the rounds, which count from 0.
const MOMENT_OF_TOWNS: u64 = u64::MAX;

type Town = (f64, f64);

/// The towns of a seed, in a square with sides of length 1.
#[derive(Debug)]
pub(crate) struct Map(Vec<Town>);

/// A round trip, and how far the search for a shorter one has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tour {
    /// Rounds of the search that are done.
    pub(crate) round: u64,
    temperature: f64,
    order: Vec<usize>,
}

impl Map {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::for_moment(seed, MOMENT_OF_TOWNS);
        Self((0..TOWNS).map(|_| (dice.fraction(), dice.fraction())).collect())
    }

    fn distance(&self, from: usize, to: usize) -> f64 {
        let ((x1, y1), (x2, y2)) = (self.0[from], self.0[to]);
        let (x, y) = (x1 - x2, y1 - y2);
        (x * x + y * y).sqrt()
    }
}

impl Tour {
    /// Through the towns as they stand.
    pub(crate) fn begin() -> Self {
        Self { round: 0, temperature: FIRST_TEMPERATURE, order: (0..TOWNS).collect() }
    }

    /// Whether it visits every town once; a checkpoint of another program does not.
    pub(crate) fn is_whole(&self) -> bool {
        let mut towns = self.order.clone();
        towns.sort_unstable();
        towns == (0..TOWNS).collect::<Vec<_>>()
    }

    /// Its length, in sides of the square.
    pub(crate) fn length(&self, map: &Map) -> f64 {
        (0..TOWNS).map(|at| map.distance(self.order[at], self.order[(at + 1) % TOWNS])).sum()
    }

    /// One round: tries to turn pieces of the tour around (2-opt). A longer tour is accepted with
    /// a chance that shrinks as it cools, so that it finds its way out of dead ends.
    ///
    /// The dice depend on seed and round only: killed and resumed, it finds the same tour.
    pub(crate) fn search_round(&mut self, map: &Map, seed: u64) {
        let mut dice = Dice::for_moment(seed, self.round);
        for _ in 0..MOVES_PER_ROUND {
            let (one, other) = (dice.below(TOWNS), dice.below(TOWNS));
            let (first, last) = (one.min(other), one.max(other));
            let whole_circle = first == 0 && last == TOWNS - 1;
            if first == last || whole_circle {
                continue;
            }
            let longer = self.longer_by(map, first, last);
            if longer < 0.0 || dice.fraction() < chance(longer / self.temperature) {
                self.order[first..=last].reverse();
            }
        }
        self.temperature *= COOLING_PER_ROUND;
        self.round += 1;
    }

    /// How much longer it gets by turning `first..=last` around.
    fn longer_by(&self, map: &Map, first: usize, last: usize) -> f64 {
        let before = self.order[(first + TOWNS - 1) % TOWNS];
        let after = self.order[(last + 1) % TOWNS];
        let (first, last) = (self.order[first], self.order[last]);
        map.distance(before, last) + map.distance(first, after)
            - map.distance(before, first)
            - map.distance(last, after)
    }
}

/// The chance of a longer tour: near 1 for a small `step`, and falling like the exponential function, whose
/// first terms these are.
fn chance(step: f64) -> f64 {
    1.0 / (1.0 + step * (1.0 + step / 2.0 * (1.0 + step / 3.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_finds_the_same_tour_everywhere() {
        let map = Map::of(1);
        let mut tour = Tour::begin();
        (0..25).for_each(|_| tour.search_round(&map, 1));
        assert_eq!(tour.length(&map).to_bits(), 6.233_208_840_242_369_f64.to_bits());
    }

    #[test]
    fn the_search_finds_a_much_shorter_tour_of_all_towns() {
        let map = Map::of(1);
        let mut tour = Tour::begin();
        let before = tour.length(&map);
        (0..25).for_each(|_| tour.search_round(&map, 1));
        assert!(tour.is_whole());
        assert!(tour.length(&map) < before / 3.0, "{before} → {}", tour.length(&map));
    }

    #[test]
    fn the_change_in_length_is_the_real_one() {
        let map = Map::of(1);
        let tour = Tour::begin();
        for (first, last) in [(0, 1), (3, 9), (1, TOWNS - 1), (0, TOWNS - 2)] {
            let mut turned = tour.clone();
            turned.order[first..=last].reverse();
            let difference = turned.length(&map) - tour.length(&map);
            assert!((difference - tour.longer_by(&map, first, last)).abs() < 1e-9);
        }
    }

    #[test]
    fn a_checkpoint_in_the_middle_changes_nothing() {
        let map = Map::of(1);
        let mut undisturbed = Tour::begin();
        let mut killed = Tour::begin();
        for _ in 0..6 {
            undisturbed.search_round(&map, 1);
            killed.search_round(&map, 1);
            killed = serde_json::from_slice(&serde_json::to_vec(&killed).unwrap()).unwrap();
        }
        assert_eq!(undisturbed, killed);
    }

    #[test]
    fn a_tour_with_a_town_missing_is_not_whole() {
        let mut tour = Tour::begin();
        tour.order[3] = 4;
        assert!(!tour.is_whole());
    }
}
