//! Generated ids for commands without a definition.

use std::path::Path;

use bij_core::ExperimentId;

/// The longest part of a generated id that comes from the program's name.
const MAX_BASE_LEN: usize = 40;

/// Returns the id of this number for a program: `/usr/bin/python3` gives `python3-1`.
pub(crate) fn generated_id(program: &str, number: u32) -> ExperimentId {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let cleaned: String = name.chars().map(|c| if is_allowed(c) { c } else { '-' }).collect();
    let cleaned = cleaned.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let cleaned: String = cleaned.chars().take(MAX_BASE_LEN).collect();
    let cleaned = cleaned.trim_end_matches(['-', '.']);
    let base = if cleaned.is_empty() { "command" } else { cleaned };
    ExperimentId::new(&format!("{base}-{number}"))
        .expect("a letter or digit, then at most 50 of the alphabet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_begins_with_the_name_of_the_program() {
        for (program, id) in [
            ("/usr/bin/python3", "python3-1"),
            ("run.sh", "run.sh-1"),
            ("/opt/my tool (new)", "my-tool--new-1"),
            ("/opt/.hidden", "hidden-1"),
            ("/opt/été", "t-1"),
            ("/", "command-1"),
            ("", "command-1"),
            ("ééé", "command-1"),
        ] {
            assert_eq!(generated_id(program, 1).as_str(), id, "{program}");
        }
        assert!(generated_id(&"x".repeat(5000), u32::MAX).as_str().len() <= ExperimentId::MAX_LEN);
    }
}
