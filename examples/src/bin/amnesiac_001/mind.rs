//! Memories of which word came after which: a Markov chain of variable order.

use std::collections::BTreeMap;

use bij_examples::Dice;
use serde::{Deserialize, Serialize};

use crate::text::Word;

/// For each context (the words just before) the words that followed it.
///
/// A B-tree, because it grows by one small node after the other; a hash table doubles, and a jar
/// that is full in one leap shows nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mind {
    contexts: BTreeMap<Box<[Word]>, Trace>,
}

#[derive(Clone, Debug)]
struct Trace {
    followers: Vec<(Word, u32)>,
    /// The turn in which the context was met last.
    freshness: u64,
}

/// One context with what followed it, for a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    context: Vec<Word>,
    followers: Vec<(Word, u32)>,
}

impl Mind {
    /// How many contexts it holds.
    pub(crate) fn held(&self) -> usize {
        self.contexts.len()
    }

    /// Learns a stream of words: each with the 1 to `order` words before it.
    pub(crate) fn learn(&mut self, stream: &[Word], order: usize, turn: u64) {
        for at in 1..stream.len() {
            for length in 1..=order.min(at) {
                self.note(&stream[at - length..at], stream[at], turn);
            }
        }
    }

    fn note(&mut self, context: &[Word], next: Word, turn: u64) {
        let Some(trace) = self.contexts.get_mut(context) else {
            let trace = Trace { followers: vec![(next, 1)], freshness: turn };
            self.contexts.insert(context.into(), trace);
            return;
        };
        trace.freshness = turn;
        match trace.followers.iter_mut().find(|(word, _)| *word == next) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => trace.followers.push((next, 1)),
        }
    }

    /// A word that followed the end of `history`, as often as it did; of all contexts of at most
    /// `order` words the longest that is known. `None` if not even the last word is known.
    pub(crate) fn next(&self, history: &[Word], order: usize, dice: &mut Dice) -> Option<Word> {
        let lengths = (1..=order.min(history.len())).rev();
        let mut known =
            lengths.filter_map(|length| self.contexts.get(&history[history.len() - length..]));
        let followers = &known.next()?.followers;
        let total = followers.iter().map(|(_, count)| *count as usize).sum();
        let mut left = dice.below(total);
        let chosen = followers.iter().find(|(_, count)| {
            let here = left < *count as usize;
            left = left.saturating_sub(*count as usize);
            here
        });
        chosen.map(|(word, _)| *word)
    }

    /// Forgets the contexts met longest ago until at most `keep` are held; those of the same turn
    /// go together.
    pub(crate) fn forget_down_to(&mut self, keep: usize) {
        let excess = self.held().saturating_sub(keep);
        if excess == 0 {
            return;
        }
        let mut ages: Vec<u64> = self.contexts.values().map(|trace| trace.freshness).collect();
        let (_, last_forgotten, _) = ages.select_nth_unstable(excess - 1);
        let last_forgotten = *last_forgotten;
        self.contexts.retain(|_, trace| trace.freshness > last_forgotten);
    }

    /// All of it, for a checkpoint.
    pub(crate) fn memories(&self) -> Vec<Memory> {
        let memories = self.contexts.iter().map(|(context, trace)| Memory {
            context: context.to_vec(),
            followers: trace.followers.clone(),
        });
        memories.collect()
    }
}

impl FromIterator<Memory> for Mind {
    fn from_iter<I: IntoIterator<Item = Memory>>(memories: I) -> Self {
        let contexts = memories.into_iter().map(|Memory { context, followers }| {
            (context.into_boxed_slice(), Trace { followers, freshness: 0 })
        });
        Self { contexts: contexts.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::BOUNDARY;

    #[test]
    fn it_says_what_it_has_heard_and_the_longest_context_decides() {
        let mut mind = Mind::default();
        mind.learn(&[BOUNDARY, 1, 2, 3], 2, 0);
        mind.learn(&[BOUNDARY, 4, 2, 5], 2, 0);
        for moment in 0..50 {
            let mut dice = Dice::for_moment(0, moment);
            assert_eq!(mind.next(&[1, 2], 2, &mut dice), Some(3));
            assert_eq!(mind.next(&[4, 2], 2, &mut dice), Some(5));
            assert!(matches!(mind.next(&[9, 2], 2, &mut dice), Some(3 | 5)));
            assert!(matches!(mind.next(&[BOUNDARY], 2, &mut dice), Some(1 | 4)));
        }
        assert_eq!(mind.next(&[7], 2, &mut Dice::for_moment(0, 0)), None);
    }

    #[test]
    fn what_was_heard_oftener_is_said_oftener() {
        let mut mind = Mind::default();
        for _ in 0..9 {
            mind.learn(&[1, 2], 1, 0);
        }
        mind.learn(&[1, 3], 1, 0);
        let mut dice = Dice::for_moment(0, 0);
        let twos = (0..1000).filter(|_| mind.next(&[1], 1, &mut dice) == Some(2)).count();
        assert!((850..950).contains(&twos), "{twos}");
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut mind = Mind::default();
        for turn in 1..=10_u32 {
            mind.learn(&[turn * 10, turn * 10 + 1], 2, turn.into());
        }
        let before = mind.held();
        mind.forget_down_to(before / 2);
        assert!(mind.held() <= before / 2 && mind.held() > 0, "{} of {before}", mind.held());
        let mut dice = Dice::for_moment(0, 0);
        assert_eq!(mind.next(&[10], 1, &mut dice), None);
        assert_eq!(mind.next(&[100], 1, &mut dice), Some(101));
        mind.forget_down_to(before);
        mind.forget_down_to(0);
        assert_eq!(mind.held(), 0);
    }

    #[test]
    fn a_checkpoint_brings_all_of_it_back() {
        let mut mind = Mind::default();
        mind.learn(&[1, 2, 3, 1, 2, 4], 3, 5);
        let restored: Mind = mind.memories().into_iter().collect();
        assert_eq!(restored.memories(), mind.memories());
    }
}
