//! Errors with their causes, for people.

use std::error::Error;

/// Returns an error's text and those of its causes ([`Error::source`]), joined by colons.
///
/// A cause that the text before it already ends with is not repeated: some libraries print their source in
/// their own text.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
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
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("the disk is full")]
    struct Cause;

    #[derive(Debug, Error)]
    enum Outer {
        #[error("cannot write x")]
        Silent(#[source] Cause),
        #[error("cannot write x: {0}")]
        Repeating(#[source] Cause),
    }

    #[test]
    fn each_cause_is_named_once() {
        for error in [Outer::Silent(Cause), Outer::Repeating(Cause)] {
            assert_eq!(error_chain(&error), "cannot write x: the disk is full");
        }
    }
}
