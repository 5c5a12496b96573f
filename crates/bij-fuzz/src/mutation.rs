//! Inputs as mutations of known ones: a failing input is minimized by leaving mutations out.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Seeds and tokens from which inputs are generated.
#[derive(Clone, Debug)]
pub(super) struct Material {
    seeds: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
}

/// Text that often breaks parsers: limits of number ranges, unusual letters, terminal control sequences,
/// brackets for deep nesting.
const HOSTILE_TOKENS: &[&str] = &[
    "\0",
    "\r",
    "\n",
    "\n\n",
    "\t",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\"\"\"",
    "#",
    ";",
    "=",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "-",
    "-1",
    "0",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "9223372036854775807",
    "4294967296",
    "0x7fffffff",
    "NaN",
    "inf",
    "null",
    "true",
    "\u{feff}",
    "\u{202e}",
    "\u{2028}",
    "\u{9b}31m",
    "\x1b[2J",
    "\x1b]0;x\x07",
    "\u{7f}",
    "\u{e0041}",
    "e\u{301}",
    "脳",
    "%",
    "%s",
    "%%i",
    "$X",
    "${X}",
    "../../..",
    "/etc/passwd",
    "~",
    "*",
];

impl Material {
    pub(super) fn new(seeds: &[Vec<u8>], tokens: &[&str]) -> Self {
        let tokens =
            tokens.iter().chain(HOSTILE_TOKENS).map(|token| token.as_bytes().to_owned()).collect();
        Self { seeds: seeds.to_owned(), tokens }
    }
}

/// One mutation; an index is relative to the current length of the input.
#[derive(Clone, Debug)]
enum Mutation {
    Flip { at: Index, byte: u8 },
    Insert { at: Index, bytes: Vec<u8> },
    Delete { at: Index, length: usize },
    Repeat { at: Index, length: usize, times: usize },
    Splice { at: Index, seed: Vec<u8>, from: Index, length: usize },
    Cut { at: Index },
}

impl Mutation {
    fn apply(self, input: &mut Vec<u8>) {
        let position = |at: Index, input: &Vec<u8>| at.index(input.len() + 1);
        match self {
            Self::Flip { at, byte } if !input.is_empty() => {
                let at = at.index(input.len());
                input[at] = byte;
            }
            Self::Flip { byte, .. } => input.push(byte),
            Self::Insert { at, bytes } => {
                let at = position(at, input);
                input.splice(at..at, bytes);
            }
            Self::Delete { at, length } => {
                let at = position(at, input);
                let end = input.len().min(at + length);
                input.drain(at..end);
            }
            Self::Repeat { at, length, times } => {
                let at = position(at, input);
                let end = input.len().min(at + length);
                let repeated = input[at..end].repeat(times);
                input.splice(at..at, repeated);
            }
            Self::Splice { at, seed, from, length } => {
                let (at, from) = (position(at, input), from.index(seed.len() + 1));
                let end = seed.len().min(from + length);
                input.splice(at..at, seed[from..end].iter().copied());
            }
            Self::Cut { at } => {
                let at = position(at, input);
                input.truncate(at);
            }
        }
    }
}

fn mutation(material: &Material) -> impl Strategy<Value = Mutation> + use<> {
    let (seeds, tokens) = (material.seeds.clone(), material.tokens.clone());
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip { at, byte }),
        6 => (at(), select(tokens)).prop_map(|(at, bytes)| Mutation::Insert { at, bytes }),
        1 => (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Mutation::Insert { at, bytes }),
        3 => (at(), 1..40_usize).prop_map(|(at, length)| Mutation::Delete { at, length }),
        1 => (at(), 1..20_usize, prop_oneof![2..10_usize, 100..2000_usize])
            .prop_map(|(at, length, times)| Mutation::Repeat { at, length, times }),
        2 => (at(), select(seeds), at(), 1..400_usize)
            .prop_map(|(at, seed, from, length)| Mutation::Splice { at, seed, from, length }),
        1 => at().prop_map(|at| Mutation::Cut { at }),
    ]
}

/// Generates inputs: mostly mutated seeds, else sequences of tokens, or noise.
pub(super) fn input(material: &Material) -> impl Strategy<Value = Vec<u8>> + use<> {
    let mutated = (select(material.seeds.clone()), vec(mutation(material), 1..8)).prop_map(
        |(mut input, mutations)| {
            for mutation in mutations {
                mutation.apply(&mut input);
            }
            input
        },
    );
    let tokens = vec(select(material.tokens.clone()), 1..60).prop_map(|tokens| tokens.concat());
    let noise = vec(any::<u8>(), 0..300);
    prop_oneof![8 => mutated, 3 => tokens, 1 => noise]
}
