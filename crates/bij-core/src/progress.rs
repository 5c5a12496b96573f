//! The line an experiment writes to `$BIJ_PROGRESS`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far an experiment says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Steps done.
    pub step: Option<u64>,
    /// Steps in all, where known.
    pub total: Option<u64>,
    /// Free text for people.
    pub text: Option<String>,
    /// The newest complete checkpoint, handed to the next attempt as `$BIJ_RESUME_FROM`.
    pub checkpoint: Option<String>,
}

/// Why a text is no progress.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no progress in {found:?}: write step=N [total=N] [text=…] [checkpoint=PATH]")]
pub struct InvalidProgress {
    /// What was found, cut to 80 characters.
    pub found: String,
}

impl FromStr for Progress {
    type Err = InvalidProgress;

    /// Reads the last line that is complete and not empty: `step=120 total=1000 checkpoint=PATH`.
    ///
    /// `text=` and `checkpoint=` may hold blanks: such a value ends where the next known key
    /// begins, or with the line. Unknown words are passed over, so that experiments may say more.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
        let mut progress = Self::default();
        let mut rest = line;
        while let Some((key, value, after)) = next_field(rest) {
            match key {
                "step" => progress.step = value.parse().ok(),
                "total" => progress.total = value.parse().ok(),
                "text" => progress.text = Some(value.to_owned()),
                _ => progress.checkpoint = Some(value.to_owned()).filter(|path| !path.is_empty()),
            }
            rest = after;
        }
        if progress == Self::default() {
            return Err(InvalidProgress { found: line.chars().take(80).collect() });
        }
        Ok(progress)
    }
}

const KEYS: [&str; 4] = ["step=", "total=", "text=", "checkpoint="];

/// The next known `key=value`, its value up to the next known key, and what follows it.
fn next_field(line: &str) -> Option<(&str, &str, &str)> {
    let (start, key) = next_key(line)?;
    let value = &line[start + key.len()..];
    let end = next_key(value).map_or(value.len(), |(at, _)| at);
    Some((key.trim_end_matches('='), value[..end].trim(), &value[end..]))
}

/// Where the next known key begins; a key stands at the start or after a blank.
fn next_key(line: &str) -> Option<(usize, &'static str)> {
    let at_word = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
    let first = |key: &'static str| {
        line.match_indices(key).map(|(at, _)| at).find(|at| at_word(*at)).map(|at| (at, key))
    };
    KEYS.into_iter().filter_map(first).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_line_is_read() {
        let progress: Progress =
            "step=120 total=1000 checkpoint=/var/lib/c 1.bin\n".parse().unwrap();
        assert_eq!(progress.step, Some(120));
        assert_eq!(progress.total, Some(1000));
        assert_eq!(progress.checkpoint.as_deref(), Some("/var/lib/c 1.bin"));
    }

    #[test]
    fn the_last_line_counts_and_unknown_words_do_not_hurt() {
        let progress: Progress = "step=1\n loss=0.3 step=2 text=a b total=9\n\n".parse().unwrap();
        assert_eq!((progress.step, progress.total), (Some(2), Some(9)));
        assert_eq!(progress.text.as_deref(), Some("a b"));
    }

    #[test]
    fn nonsense_is_refused_not_guessed() {
        for bad in ["", "\n", "hello", "xstep=3", "step=", "checkpoint="] {
            assert!(bad.parse::<Progress>().is_err(), "{bad:?}");
        }
    }
}
