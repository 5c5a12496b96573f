//! The text of an `EnvironmentFile=` (systemd.exec(5)).

use std::fmt::Write as _;

/// Writes assignments so that systemd reads back the same values.
///
/// A value without `'` goes between single quotes, where no character is special to any version.
/// Otherwise it goes between double quotes with `"`, `\`, `` ` `` and `$` escaped. Values hold no
/// NUL; they are words of ours and text that has been checked for control characters.
pub(crate) fn render<'a>(assignments: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (name, value) in assignments {
        let quoted = quote(&value);
        writeln!(text, "{name}={quoted}").expect("writing to a String cannot fail");
    }
    text
}

fn quote(value: &str) -> String {
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '`' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What systemd's parser makes of a quoted value: the states of `parse_env_file_internal()`
    /// that such a value passes through.
    fn systemd_reads(quoted: &str) -> String {
        let inner = &quoted[1..quoted.len() - 1];
        if quoted.starts_with('\'') {
            assert!(!inner.contains('\''));
            return inner.to_owned();
        }
        let (mut value, mut chars) = (String::new(), inner.chars());
        while let Some(c) = chars.next() {
            assert_ne!(c, '"', "would end the value");
            if c != '\\' {
                value.push(c);
                continue;
            }
            let escaped = chars.next().unwrap();
            if !matches!(escaped, '"' | '\\' | '`' | '$') {
                value.push('\\');
            }
            value.push(escaped);
        }
        value
    }

    #[test]
    fn a_file_reads_like_one_that_a_person_wrote() {
        let text =
            render([("BIJ_ATTEMPT", "2".to_owned()), ("BIJ_RESUME_FROM", "/a b".to_owned())]);
        assert_eq!(text, "BIJ_ATTEMPT='2'\nBIJ_RESUME_FROM='/a b'\n");
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value in r#"([ -~é'"\\$`]|\PC){0,40}"#) {
            prop_assert_eq!(systemd_reads(&quote(&value)), value);
        }
    }
}
