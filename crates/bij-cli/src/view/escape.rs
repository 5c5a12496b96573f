//! Text that came from experiments, made safe for a terminal.

use std::borrow::Cow;

/// The text without colours and with other control characters spelled out, tabs excepted: what an
/// experiment prints must not move the reader's cursor or retitle the window.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c == '\t' || !c.is_control();
    // Nearly all text is ASCII, and nearly all of it plain.
    let is_plain_byte = |byte: u8| byte == b'\t' || matches!(byte, b' '..=b'~');
    if text.bytes().all(is_plain_byte) || text.chars().all(is_plain) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' if rest.peek() == Some(&'[') => {
                // A control sequence ends with its first byte in @..~ (ECMA-48, 5.4).
                rest.next();
                rest.by_ref().find(|c| ('@'..='~').contains(c));
            }
            c if is_plain(c) => shown.push(c),
            c => shown.extend(c.escape_default()),
        }
    }
    shown.into()
}

/// The last of the frames that a progress bar drew over each other with carriage returns.
pub(crate) fn last_frame(line: &str) -> &str {
    line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(visible("a\x1b[31mred\x1b[0m\tb"), "ared\tb");
        assert_eq!(visible("\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(visible("grün 脳"), "grün 脳");
        assert_eq!(visible("cut\x1b["), "cut");
    }

    #[test]
    fn a_progress_bar_shows_its_last_frame() {
        assert_eq!(last_frame("1%\r2%\r3%"), "3%");
        assert_eq!(last_frame("1%\r2%\r"), "2%");
        assert_eq!(last_frame("plain"), "plain");
    }
}
