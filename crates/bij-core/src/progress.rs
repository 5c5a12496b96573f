//! The progress line that an experiment writes to `$BIJ_PROGRESS`.

use std::str::FromStr;

use thiserror::Error;

/// The progress that an experiment reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Progress {
    /// The number of steps done.
    pub step: Option<u64>,
    /// The total number of steps, if known.
    pub total: Option<u64>,
    /// Free text for people.
    pub text: Option<String>,
    /// The newest complete checkpoint, handed to the next attempt as `$BIJ_RESUME_FROM`.
    pub checkpoint: Option<String>,
}

/// The error for a text without progress.
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
    /// The values of `text=` and `checkpoint=` may contain blanks: they end before the next known key or with
    /// the line. Unknown words are ignored, so that experiments may report more.
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

/// Returns the next known key, its value up to the next known key, and the rest of the line.
fn next_field(line: &str) -> Option<(&str, &str, &str)> {
    let (start, key) = next_key(line)?;
    let value = &line[start + key.len()..];
    let end = next_key(value).map_or(value.len(), |(at, _)| at);
    Some((key.trim_end_matches('='), value[..end].trim(), &value[end..]))
}

/// Returns the next known key and its offset. A key is at the start of the line or after a blank.
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
    fn the_last_line_counts_and_unknown_words_are_ignored() {
        let progress: Progress = "step=1\n loss=0.3 step=2 text=a b total=9\n\n".parse().unwrap();
        assert_eq!((progress.step, progress.total), (Some(2), Some(9)));
        assert_eq!(progress.text.as_deref(), Some("a b"));
    }

    #[test]
    fn text_without_progress_is_refused() {
        for bad in ["", "\n", "hello", "xstep=3", "step=", "checkpoint="] {
            assert!(bad.parse::<Progress>().is_err(), "{bad:?}");
        }
    }
}
