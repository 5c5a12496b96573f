//! Makes text from outside safe for a terminal.
//!
//! Text of a definition, an experiment, the journal or an argument must not move the reader's cursor,
//! retitle the window, or look like other text. Each view shows such text by [`visible`]. All text for
//! people finally passes [`for_terminal`], so that a view that forgets this does no harm.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;

use bij_core::{is_printable, printable};

/// Returns the text without colours, and with escapes for all characters that [`is_printable`] refuses but tabs.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\t' || is_printable(c)) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = control_sequence(rest) {
            rest = &rest[sequence.len()..];
            continue;
        }
        let (first, others) = rest.split_at(c.len_utf8());
        if c == '\t' {
            shown.push(c);
        } else {
            shown.push_str(&printable(first));
        }
        rest = others;
    }
    shown.into()
}

/// Returns the text with escapes for all characters that [`is_printable`] refuses but line breaks, tabs, and the
/// sequences of colours if `colour` is set.
pub(crate) fn for_terminal(text: &str, colour: bool) -> Cow<'_, str> {
    if text.chars().all(|c| matches!(c, '\n' | '\t') || is_printable(c)) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colours = control_sequence(rest).filter(|sequence| colour && sequence.ends_with('m'));
        let (first, others) = rest.split_at(colours.map_or(c.len_utf8(), str::len));
        match c {
            _ if colours.is_some() => shown.push_str(first),
            '\n' | '\t' => shown.push(c),
            _ => shown.push_str(&printable(first)),
        }
        rest = others;
    }
    shown.into()
}

/// Returns equivalent JSON with escapes for all characters that [`is_printable`] refuses. Such characters are in
/// strings only: JSON is ASCII outside of them (RFC 8259).
pub(crate) fn in_json(json: &str) -> Cow<'_, str> {
    if json.chars().all(|c| c == '\n' || is_printable(c)) {
        return json.into();
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_printable(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown.into()
}

/// Returns the control sequence at the beginning of a text (ECMA-48, 5.4): parameters, intermediate bytes, and the
/// final byte.
fn control_sequence(text: &str) -> Option<&str> {
    let body = text.strip_prefix("\x1b[")?;
    let parameters = |byte: &u8| (b'0'..=b'?').contains(byte);
    let intermediate = |byte: &u8| (b' '..=b'/').contains(byte);
    let mut bytes = body.bytes().enumerate().skip_while(|(_, byte)| parameters(byte));
    let (end, last) = bytes.find(|(_, byte)| !intermediate(byte))?;
    (b'@'..=b'~').contains(&last).then(|| &text[..=text.len() - body.len() + end])
}

/// Returns the last frame of a progress bar, which separates its frames by carriage returns.
pub(crate) fn last_frame(line: &str) -> &str {
    line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(line)
}

/// The ASCII text for each symbol, as in systemd's tools.
const IN_ASCII: &[(char, &str)] =
    &[('●', "*"), ('○', "o"), ('×', "x"), ('↻', ">"), ('…', "..."), ('°', "")];

/// Returns whether the locale's encoding is UTF-8, by the first of the variables that is set (locale(7)); `true` if
/// none is set.
pub(crate) fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    locale.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Returns the text with its symbols replaced by ASCII. Other characters, for example in an experiment's output,
/// stay as they are.
pub(crate) fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut replaced = String::with_capacity(text.len());
    for c in text.chars() {
        match IN_ASCII.iter().find(|(symbol, _)| *symbol == c) {
            Some((_, ascii)) => replaced.push_str(ascii),
            None => replaced.push(c),
        }
    }
    replaced.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    /// Generates text of harmful pieces and of any other characters.
    fn hostile_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\x1b[".to_owned()),
            Just("\x1b[31m".to_owned()),
            Just("\x1b]0;".to_owned()),
            Just("\u{202e}".to_owned()),
            Just("\u{e0041}".to_owned()),
            Just("\u{9b}".to_owned()),
            "[0-9;?]{0,3}[a-zA-Z]",
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(visible("a\x1b[31mred\x1b[0m\tb"), "ared\tb");
        assert_eq!(visible("\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(visible("grün 脳"), "grün 脳");
        assert_eq!(visible("cut\x1b["), "cut\\u{1b}[");
        assert_eq!(visible("a\u{202e}b\u{9b}2J"), "a\\u{202e}b\\u{9b}2J");
        assert_eq!(
            visible("\x1b[脳 stays"),
            "\\u{1b}[脳 stays",
            "an incomplete sequence hides nothing"
        );
    }

    #[test]
    fn only_lines_tabs_and_colours_pass() {
        let painted = "\x1b[1;32mup\x1b[0m\n\tx";
        assert_eq!(for_terminal(painted, true), painted);
        assert_eq!(for_terminal(painted, false), "\\u{1b}[1;32mup\\u{1b}[0m\n\tx");
        assert_eq!(for_terminal("\x1b[2J\r\u{2069}", true), "\\u{1b}[2J\\r\\u{2069}");
    }

    proptest! {
        #[test]
        fn no_other_characters_pass_in_any_text(text in hostile_text(), colour in any::<bool>()) {
            let shown = for_terminal(&text, colour);
            let plain = shown.replace(['\n', '\t'], "");
            let mut rest = plain.as_str();
            while let Some(at) = rest.find(|c| !is_printable(c)) {
                let sequence = control_sequence(&rest[at..]);
                prop_assert!(colour && sequence.is_some_and(|it| it.ends_with('m')), "{shown:?}");
                rest = &rest[at + sequence.unwrap().len()..];
            }
            let visible = visible(&text);
            prop_assert!(visible.chars().all(|c| c == '\t' || is_printable(c)), "{visible:?}");
        }

        #[test]
        fn escaped_json_is_equivalent_and_printable(text in hostile_text()) {
            let json = serde_json::to_string(&text).unwrap();
            let shown = in_json(&json);
            prop_assert!(shown.chars().all(is_printable), "{shown:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }

    #[test]
    fn every_format_character_of_unicode_is_refused() {
        let invisible = Regex::new(r"^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]$").unwrap();
        let refused = ('\0'..=char::MAX).filter(|c| !is_printable(*c));
        let missing = ('\0'..=char::MAX)
            .filter(|c| is_printable(*c) && invisible.is_match(c.encode_utf8(&mut [0; 4])));
        assert_eq!(missing.collect::<Vec<char>>(), Vec::<char>::new());
        // Letters, signs and blanks stay: no character that a script needs is refused.
        let needless = Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]$").unwrap();
        let needless = refused.filter(|c| needless.is_match(c.encode_utf8(&mut [0; 4])));
        let blank = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];
        assert_eq!(needless.collect::<Vec<char>>(), blank);
    }

    #[test]
    fn a_progress_bar_shows_its_last_frame() {
        assert_eq!(last_frame("1%\r2%\r3%"), "3%");
        assert_eq!(last_frame("1%\r2%\r"), "2%");
        assert_eq!(last_frame("plain"), "plain");
    }

    #[test]
    fn the_first_variable_that_is_set_decides_the_encoding() {
        let shown = |set: &[(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        assert!(shown(&[]));
        assert!(shown(&[("LANG", "de_DE.UTF-8")]) && shown(&[("LC_ALL", "C.utf8")]));
        assert!(!shown(&[("LANG", "C")]) && !shown(&[("LC_CTYPE", "de_DE.ISO-8859-1")]));
        assert!(!shown(&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")]));
        assert!(shown(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]));
    }

    #[test]
    fn symbols_are_replaced_by_ascii_and_other_letters_stay() {
        assert_eq!(in_ascii("● a  grün…  71.2 °C"), "* a  grün...  71.2 C");
        assert_eq!(in_ascii("plain"), "plain");
    }
}
