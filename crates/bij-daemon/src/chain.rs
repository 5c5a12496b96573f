//! Errors with their sources, for people.

use std::error::Error;

/// An error and whatever caused it, joined by colons.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries print their source in their own text: once is enough.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallError;

    #[test]
    fn every_cause_is_told_once() {
        let error = CallError::Id(bij_core::ExperimentId::new("%i").unwrap_err());
        let text = chain(&error);
        assert!(
            text.starts_with("the unit's instance names no experiment: \"%i\" is not"),
            "{text}"
        );
    }
}
