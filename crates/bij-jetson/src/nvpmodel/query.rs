//! What `nvpmodel -q` answers, among whatever else it says.

use thiserror::Error;

use super::{CurrentMode, ModeSource};
use crate::ToolError;

/// Why nvpmodel could not be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It did not run.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It ran and named no mode: none was ever set, or its configuration is for another module.
    #[error("nvpmodel names no mode in force, it says {said:?}")]
    Unanswered {
        /// The beginning of what it said.
        said: String,
    },
}

/// The mode that an answer names: `NV Power Mode: MODE_30W`, and its number on a line of its own after it. Errors
/// around it are about what this user may not read.
pub(super) fn answer(text: &str) -> Result<CurrentMode, QueryError> {
    let mut lines = text.lines();
    let named =
        lines.find_map(|line| line.split_once("NV Power Mode: ").map(|(_, name)| name.trim()));
    // Warnings may stand between the two.
    let id = lines.find_map(|line| line.trim().parse().ok());
    match (named, id) {
        (Some(name), Some(id)) => {
            Ok(CurrentMode { id, name: Some(name.to_owned()), source: ModeSource::Asked })
        }
        _ => Err(QueryError::Unanswered { said: text.chars().take(200).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_answer_that_was_seen_is_understood() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
        for (file, mode) in [
            ("agx-orin-jp5/_cmd/nvpmodel-q.root.txt", (0, "MAXN")),
            ("agx-orin-jp5/_cmd/nvpmodel-q.user.txt", (0, "MAXN")),
            ("agx-orin-jp5/_cmd/nvpmodel-q-verbose.txt", (0, "MAXN")),
            ("agx-orin-jp6/_cmd/nvpmodel-q.txt", (2, "MODE_30W")),
            ("agx-orin-jp6/_cmd/nvpmodel-q-verbose.txt", (2, "MODE_30W")),
        ] {
            let text = std::fs::read_to_string(trees.join(file)).unwrap();
            let current = answer(&text).unwrap();
            assert_eq!((current.id, current.name.as_deref()), (mode.0, Some(mode.1)), "{file}");
        }
        let warned = "NVPM WARN: fan mode is not set!\nNV Power Mode: 25W\n1\n";
        assert_eq!(answer(warned).unwrap().id, 1);
        let between = "NV Power Mode: 25W\nNVPM ERROR: failed to read PARAM EMC\n1\n";
        assert_eq!(answer(between).unwrap().id, 1);
    }

    #[test]
    fn an_answer_without_a_mode_is_none() {
        for text in ["", "NVPM ERROR: no mode\n", "NV Power Mode: \n", "NV Power Mode: MAXN\n"] {
            assert!(matches!(answer(text), Err(QueryError::Unanswered { .. })), "{text}");
        }
    }
}
