//! The symbols in the output of `bij`, and ASCII in their place where the locale is not UTF-8.

use std::borrow::Cow;
use std::ffi::OsString;

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
    use super::*;

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
