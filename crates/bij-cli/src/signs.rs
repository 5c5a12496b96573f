//! The signs that text is drawn with, for whoever can show no others than ASCII.

use std::borrow::Cow;
use std::ffi::OsString;

/// What stands for a sign; systemd's tools put the same in the places of theirs.
const IN_ASCII: &[(char, &str)] =
    &[('●', "*"), ('○', "o"), ('×', "x"), ('↻', ">"), ('…', "..."), ('°', "")];

/// Whether the locale's text is UTF-8, by the first of these variables that is set (locale(7)). Where
/// none is, nobody has asked for anything else, and everything can show UTF-8 nowadays.
pub(crate) fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    locale.is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The text with its signs drawn in ASCII. What came from an experiment or a person in other letters
/// stays as it is.
pub(crate) fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut drawn = String::with_capacity(text.len());
    for c in text.chars() {
        match IN_ASCII.iter().find(|(sign, _)| *sign == c) {
            Some((_, ascii)) => drawn.push_str(ascii),
            None => drawn.push(c),
        }
    }
    drawn.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_says_which_text_is_shown() {
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
    fn signs_are_drawn_in_ascii_and_other_letters_stay() {
        assert_eq!(in_ascii("● a  grün…  71.2 °C"), "* a  grün...  71.2 C");
        assert_eq!(in_ascii("plain"), "plain");
    }
}
