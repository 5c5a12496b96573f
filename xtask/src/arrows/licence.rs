//! Reads SPDX licence expressions as far as crates use them.

use crate::workspace::Package;

/// Licences that ask for no more than to be named, or (MPL) bind only their own files.
const FINE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What is wrong with a package's licence, if anything.
pub(super) fn objection(package: &Package) -> Option<String> {
    let named = format!("{} {}", package.name, package.version);
    match (&package.license, &package.license_file) {
        (Some(expression), _) => (!is_fine(expression))
            .then(|| format!("{named}: licence `{expression}` is not in the list")),
        (None, Some(file)) => Some(format!("{named}: a licence of its own, in {file}")),
        (None, None) => Some(format!("{named}: no licence at all")),
    }
}

/// Whether an expression leaves us a choice that we accept. An `OR` (old spelling: a slash) needs one
/// side, an `AND` both; `AND` binds tighter.
fn is_fine(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let fine = any_of(&mut rest);
    fine && rest.is_empty()
}

fn any_of(rest: &mut &[&str]) -> bool {
    let mut fine = all_of(rest);
    while let Some(("OR", after)) = split_word(rest) {
        *rest = after;
        // Both sides are read, whatever the first one says.
        fine |= all_of(rest);
    }
    fine
}

fn all_of(rest: &mut &[&str]) -> bool {
    let mut fine = one(rest);
    while let Some(("AND", after)) = split_word(rest) {
        *rest = after;
        fine &= one(rest);
    }
    fine
}

fn one(rest: &mut &[&str]) -> bool {
    match **rest {
        ["(", ref inside @ ..] => {
            *rest = inside;
            let fine = any_of(rest);
            let closed = split_word(rest).filter(|(word, _)| *word == ")");
            *rest = closed.map_or(&[][..], |(_, after)| after);
            fine && closed.is_some()
        }
        [licence, "WITH", exception, ref after @ ..] => {
            *rest = after;
            FINE.contains(&format!("{licence} WITH {exception}").as_str())
        }
        [licence, ref after @ ..] => {
            *rest = after;
            FINE.contains(&licence)
        }
        [] => false,
    }
}

fn split_word<'a, 'w>(words: &'a [&'w str]) -> Option<(&'w str, &'a [&'w str])> {
    words.split_first().map(|(first, rest)| (*first, rest))
}

#[cfg(test)]
mod tests {
    use super::is_fine;

    #[test]
    fn one_acceptable_choice_is_enough() {
        assert!(is_fine("GPL-3.0-only OR MIT"));
        assert!(is_fine("MIT/Apache-2.0"));
        assert!(!is_fine("GPL-3.0-only"));
    }

    #[test]
    fn all_parts_of_a_conjunction_must_be_fine() {
        assert!(is_fine("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!is_fine("(MIT OR Apache-2.0) AND GPL-2.0-only"));
        assert!(is_fine("Apache-2.0 WITH LLVM-exception OR MIT"));
    }

    #[test]
    fn nonsense_is_not_fine() {
        for text in ["", "(MIT", "MIT)", "MIT Apache-2.0", "OR"] {
            assert!(!is_fine(text), "{text:?}");
        }
    }
}
