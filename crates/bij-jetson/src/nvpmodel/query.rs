//! Parses the answer of `nvpmodel -q`.

use thiserror::Error;

use super::{CurrentMode, ModeSource};
use crate::ToolError;

/// Why nvpmodel did not name the mode in force.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// nvpmodel failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// nvpmodel named no mode: none was ever set, or its configuration is for another module.
    #[error("nvpmodel names no power mode; it printed {output:?}")]
    Unanswered {
        /// The beginning of nvpmodel's output.
        output: String,
    },
}

/// Parses `NV Power Mode: MODE_30W` and the number on a later line. Errors around them are about files that this user
/// may not read.
pub(super) fn parse_answer(text: &str) -> Result<CurrentMode, QueryError> {
    let mut lines = text.lines();
    let named =
        lines.find_map(|line| line.split_once("NV Power Mode: ").map(|(_, name)| name.trim()));
    // Warnings may stand between the two lines.
    let id = lines.find_map(|line| line.trim().parse().ok());
    match (named, id) {
        (Some(name), Some(id)) => {
            Ok(CurrentMode { id, name: Some(name.to_owned()), source: ModeSource::Asked })
        }
        _ => Err(QueryError::Unanswered { output: text.chars().take(200).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_known_answer_is_parsed() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
        for (file, mode) in [
            ("agx-orin-jp5/_cmd/nvpmodel-q.root.txt", (0, "MAXN")),
            ("agx-orin-jp5/_cmd/nvpmodel-q.user.txt", (0, "MAXN")),
            ("agx-orin-jp5/_cmd/nvpmodel-q-verbose.txt", (0, "MAXN")),
            ("agx-orin-jp6/_cmd/nvpmodel-q.txt", (2, "MODE_30W")),
            ("agx-orin-jp6/_cmd/nvpmodel-q-verbose.txt", (2, "MODE_30W")),
        ] {
            let text = std::fs::read_to_string(trees.join(file)).unwrap();
            let current = parse_answer(&text).unwrap();
            assert_eq!((current.id, current.name.as_deref()), (mode.0, Some(mode.1)), "{file}");
        }
        let warned = "NVPM WARN: fan mode is not set!\nNV Power Mode: 25W\n1\n";
        assert_eq!(parse_answer(warned).unwrap().id, 1);
        let between = "NV Power Mode: 25W\nNVPM ERROR: failed to read PARAM EMC\n1\n";
        assert_eq!(parse_answer(between).unwrap().id, 1);
    }

    #[test]
    fn an_answer_without_a_mode_is_an_error() {
        for text in ["", "NVPM ERROR: no mode\n", "NV Power Mode: \n", "NV Power Mode: MAXN\n"] {
            assert!(matches!(parse_answer(text), Err(QueryError::Unanswered { .. })), "{text}");
        }
    }
}
