//! Text for people: untrusted text made safe for terminals, and errors with their causes.

use std::borrow::Cow;
use std::error::Error;

/// Returns the text with every character escaped that is invisible or that a terminal interprets.
///
/// Characters that are not [printable](is_printable) are escaped as in Rust's source, `\n` or `\u{202e}`. All
/// others stay, also those of other scripts. A text without such characters is borrowed.
///
/// ```
/// use bij_core::printable;
///
/// assert_eq!(printable("grün 脳"), "grün 脳");
/// assert_eq!(printable("\x1b[2J\u{202e}txt.exe"), "\\u{1b}[2J\\u{202e}txt.exe");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    // Fast path: nearly all text is printable ASCII.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.chars().all(is_printable) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown.into()
}

/// Returns whether a character is safe to print. Not printable are control characters (Unicode's general
/// category Cc: a terminal interprets them), format characters (Cf: they are invisible, and some of them
/// reorder the text around them), separators of lines and paragraphs (Zl, Zp), and letters that are
/// blank by definition (`Default_Ignorable_Code_Point` of category Lo).
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !(c.is_control() || INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&c)))
}

/// Ranges of the categories Cf, Zl and Zp beyond ASCII, and blank letters, as of Unicode 16. The range that
/// Unicode reserves for further format characters (U+E0000 to U+E0FFF without variation selectors) is
/// included.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e00ff}'),
    ('\u{e01f0}', '\u{e0fff}'),
];

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

    #[test]
    fn characters_that_reorder_hide_or_control_are_escaped() {
        assert_eq!(printable("a\tb\r\n"), "a\\tb\\r\\n");
        assert_eq!(printable("\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(printable("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(
            printable("\u{202e}\u{2066}\u{200b}\u{feff}"),
            "\\u{202e}\\u{2066}\\u{200b}\\u{feff}"
        );
    }

    #[test]
    fn ordinary_text_of_any_script_is_unchanged() {
        for text in ["grün 脳 Ελλάδα", "מוח", "دماغ", "e\u{301}", "❤\u{fe0f}", "\u{3000}\u{a0}", ""]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

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
