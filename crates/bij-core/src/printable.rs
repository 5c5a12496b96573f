//! Text from outside, made safe to show.

use std::borrow::Cow;

/// Spells out every character of a text that a reader cannot see or that a terminal obeys; returns the
/// text itself where it has none.
///
/// What [`is_printable`] refuses is written as in Rust's source, `\n` or `\u{202e}`. The rest stays as it
/// is, also in letters other than Latin ones.
///
/// ```
/// use bij_core::printable;
///
/// assert_eq!(printable("grün 脳"), "grün 脳");
/// assert_eq!(printable("\x1b[2J\u{202e}txt.exe"), "\\u{1b}[2J\\u{202e}txt.exe");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    // Nearly all text is ASCII, and nearly all of it can be shown.
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

/// Returns whether a character may be shown as it is. Refused are control characters (Unicode's general
/// category Cc: a terminal obeys them), format characters (Cf: they are invisible, and some of them
/// reorder the text around them), separators of lines and paragraphs (Zl, Zp), and letters that are
/// blank by definition (`Default_Ignorable_Code_Point` of category Lo).
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !(c.is_control() || INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&c)))
}

/// Ranges of the categories Cf, Zl and Zp beyond ASCII, and blank letters, as of Unicode 16. Room that
/// Unicode keeps for further format characters (U+E0000 to U+E0FFF but for variation selectors) is
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reorders_hides_or_commands_is_spelled_out() {
        assert_eq!(printable("a\tb\r\n"), "a\\tb\\r\\n");
        assert_eq!(printable("\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(printable("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(
            printable("\u{202e}\u{2066}\u{200b}\u{feff}"),
            "\\u{202e}\\u{2066}\\u{200b}\\u{feff}"
        );
    }

    #[test]
    fn ordinary_text_of_any_language_stays() {
        for text in ["grün 脳 Ελλάδα", "מוח", "دماغ", "e\u{301}", "❤\u{fe0f}", "\u{3000}\u{a0}", ""]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }
}
