//! How an attempt will end: decided by the seed and the attempt's number alone.

use bij_examples::Dice;
use nix::sys::signal::Signal;

/// What awaits an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It works until the end.
    Live,
    /// It exits with this code after the given number of rounds.
    Exit { code: u8, after: u64 },
    /// This signal kills it after the given number of rounds.
    Signal { signal: Signal, after: u64 },
}

/// None of them has a meaning for bij: 0, 75 and 78 do.
const CODES: [u8; 5] = [1, 3, 42, 70, 101];
/// Signals of a program that went wrong. SIGTERM, SIGINT, SIGHUP and SIGPIPE are missing because
/// systemd counts them as a clean end (systemd.service(5), `Restart=`).
const SIGNALS: [Signal; 6] = [
    Signal::SIGSEGV,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGKILL,
];
const EXIT_PERCENT: usize = 35;
const SIGNAL_PERCENT: usize = 35;
/// Deaths come after this many rounds of an attempt.
const AFTER: std::ops::Range<usize> = 8..20;

impl Fate {
    /// The fate of attempt number `attempt` under `seed`.
    pub(crate) fn of(seed: u64, attempt: u32) -> Self {
        let mut dice = Dice::for_moment(seed, attempt.into());
        let after = (AFTER.start + dice.below(AFTER.len())) as u64;
        match dice.below(100) {
            0..EXIT_PERCENT => Self::Exit { code: CODES[dice.below(CODES.len())], after },
            throw if throw < EXIT_PERCENT + SIGNAL_PERCENT => {
                Self::Signal { signal: SIGNALS[dice.below(SIGNALS.len())], after }
            }
            _ => Self::Live,
        }
    }

    /// Whether it strikes now that `rounds` rounds of this attempt are done.
    pub(crate) fn strikes_after(self, rounds: u64) -> bool {
        match self {
            Self::Live => false,
            Self::Exit { after, .. } | Self::Signal { after, .. } => rounds == after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SEED;

    #[test]
    fn the_default_seed_dies_by_code_then_by_signal_then_lives() {
        assert!(matches!(Fate::of(SEED, 1), Fate::Exit { .. }), "{:?}", Fate::of(SEED, 1));
        assert!(matches!(Fate::of(SEED, 2), Fate::Signal { .. }), "{:?}", Fate::of(SEED, 2));
        assert_eq!(Fate::of(SEED, 3), Fate::Live);
    }

    #[test]
    fn all_fates_occur_and_none_is_everybodys() {
        let fates: Vec<_> = (0..1000).map(|seed| Fate::of(seed, 1)).collect();
        let share = |kind: fn(&Fate) -> bool| fates.iter().filter(|fate| kind(fate)).count();
        assert!((200..500).contains(&share(|fate| matches!(fate, Fate::Exit { .. }))));
        assert!((200..500).contains(&share(|fate| matches!(fate, Fate::Signal { .. }))));
        assert!((200..500).contains(&share(|fate| matches!(fate, Fate::Live))));
    }
}
