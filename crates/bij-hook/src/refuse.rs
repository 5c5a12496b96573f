//! `bij-hook refuse`: why there is nothing to run.

use std::fmt::Write as _;

use bij_core::port::{DefinitionSource, FindError};
use bij_core::{ExperimentId, Layout, error_chain};

/// Why the unit's template was started with no command of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Sentences for people.
    pub text: String,
    /// Whether only another definition helps. Otherwise the same start may go well the next time.
    pub is_final: bool,
}

/// Explains why the unit's template was started with no command of its own.
pub fn refusal(definitions: &impl DefinitionSource, layout: &Layout, id: &ExperimentId) -> Refusal {
    let last = |text| Refusal { text, is_final: true };
    let for_now = |text| Refusal { text, is_final: false };
    match definitions.find(id) {
        Err(error @ FindError::Missing { .. }) => last(format!(
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
            write!(text, "\nhint: mend it, then start it again; `bij check {id}` tells beforehand")
                .expect("writing to a String cannot fail");
            last(text)
        }
        Err(error) => for_now(error_chain(&error)),
        Ok(found) => for_now(format!(
            "{} is in order, but the unit was started without its settings ({} is not loaded)\nhint: start it again",
            found.source,
            layout.drop_in(id).display()
        )),
    }
}
