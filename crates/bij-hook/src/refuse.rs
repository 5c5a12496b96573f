//! `bij-hook refuse`: explains why a unit has no command.

use std::fmt::Write as _;

use bij_core::port::{DefinitionSource, FindError};
use bij_core::{ExperimentId, Layout, error_chain};

/// Why the unit has no command, so that its bare template was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, with a hint.
    pub text: String,
    /// Whether the definition must be changed first. Otherwise the same start may succeed the next time.
    pub is_final: bool,
}

/// Returns why the unit has no command, so that its bare template was started.
pub fn refusal(definitions: &impl DefinitionSource, layout: &Layout, id: &ExperimentId) -> Refusal {
    let permanent = |text| Refusal { text, is_final: true };
    let temporary = |text| Refusal { text, is_final: false };
    match definitions.find(id) {
        Err(error @ FindError::Missing { .. }) => permanent(format!(
            "{error}\nhint: write {}/{id}.toml with a line such as command = [\"/usr/bin/python3\", \"-u\", \"main.py\"]",
            layout.definitions().display()
        )),
        Err(FindError::Invalid { id, source }) => {
            let mut text = format!("the definition of {id} cannot be used:");
            for problem in &source.problems {
                write!(text, "\n  {problem}").expect("writing to a String cannot fail");
                if let Some(hint) = &problem.hint {
                    write!(text, " (hint: {hint})").expect("writing to a String cannot fail");
                }
            }
            write!(text, "\nhint: correct it, check it with `bij check {id}`, then start it again")
                .expect("writing to a String cannot fail");
            permanent(text)
        }
        Err(error) => temporary(error_chain(&error)),
        Ok(found) => temporary(format!(
            "{} is valid, but the unit was started without its settings ({} is not loaded)\nhint: start it again",
            found.source,
            layout.drop_in(id).display()
        )),
    }
}
