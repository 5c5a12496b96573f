//! Quoting for the different kinds of directives in a unit file.
//!
//! Sources: systemd.syntax(7) and systemd.unit(5) ("Specifiers"). The end of a line ends a value even within
//! quotes, a backslash at the end joins the next line, and `%` begins a specifier everywhere.

use std::fmt::Write;

/// Quotes one word of a directive that takes words and C escapes: `ExecStart=`, `Environment=`.
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

/// Quotes one `NAME=value` of `Environment=`.
pub(super) fn assignment(name: &str, value: &str) -> String {
    word(&format!("{name}={value}"))
}

/// Escapes the value of a directive that takes one text, such as `Description=`.
///
/// Control characters become blanks, because they cannot be escaped.
pub(super) fn line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut escaped = plain.trim().replace('%', "%%");
    if escaped.ends_with('\\') {
        // The blank keeps the backslash from joining the next line; systemd strips it.
        escaped.push(' ');
    }
    escaped
}

/// Escapes the value of a directive that takes one unquoted path, such as `WorkingDirectory=`.
pub(super) fn path(text: &str) -> String {
    let mut escaped = text.replace('%', "%%");
    if escaped.ends_with(|c: char| c == '\\' || c.is_whitespace()) {
        // Without the slash, systemd would strip a blank, and a backslash would join the next line.
        escaped.push('/');
    }
    escaped
}

/// Quotes one word of a directive that takes paths, such as `ReadWritePaths=`. Such directives know quotes and
/// backslashes but no C escapes, which suffices because our paths have no control characters.
pub(super) fn path_word(text: &str) -> String {
    word(text)
}
