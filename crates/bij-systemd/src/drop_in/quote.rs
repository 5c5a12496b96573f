//! Text as the different directives of a unit file take it.
//!
//! Sources: systemd.syntax(7) and systemd.unit(5) ("Specifiers"). A line ends the value whatever
//! the quotes, a backslash at its end joins the next line, and `%` begins a specifier everywhere.

use std::fmt::Write;

/// One word of a directive that takes words and C escapes: `ExecStart=`, `Environment=`.
pub(super) fn word(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => {
                write!(quoted, "\\x{:02x}", u32::from(c)).expect("a String takes everything");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// One `NAME=value` of `Environment=`.
pub(super) fn assignment(name: &str, value: &str) -> String {
    word(&format!("{name}={value}"))
}

/// The whole of a directive that takes one text, as `Description=`.
///
/// Control characters become blanks: there is no way to write them.
pub(super) fn line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut escaped = plain.trim().replace('%', "%%");
    if escaped.ends_with('\\') {
        // A blank that systemd strips again keeps the backslash from joining the next line.
        escaped.push(' ');
    }
    escaped
}

/// The whole of a directive that takes one path, as `WorkingDirectory=`; there are no quotes in it.
pub(super) fn path(text: &str) -> String {
    let mut escaped = text.replace('%', "%%");
    if escaped.ends_with(|c: char| c == '\\' || c.is_whitespace()) {
        // systemd drops the slash; without it the end would be stripped, or join the next line.
        escaped.push('/');
    }
    escaped
}

/// One word of a directive that takes paths, as `ReadWritePaths=`: quotes and backslashes work,
/// C escapes do not; a path has no control characters.
pub(super) fn path_word(text: &str) -> String {
    word(text)
}
