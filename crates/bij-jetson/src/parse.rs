//! Parsers for the formats of the kernel's files.

use crate::{Reading, WhyNot};

/// Returns a text up to its end: an attribute ends in a newline, a string of the device tree in a NUL.
pub(crate) fn text(content: &[u8]) -> String {
    let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
    String::from_utf8_lossy(&content[..end]).trim().to_owned()
}

/// Returns the strings of a list in the device tree, each of which ends in a NUL.
pub(crate) fn strings(content: &[u8]) -> Vec<String> {
    content.split(|byte| *byte == 0).map(text).filter(|text| !text.is_empty()).collect()
}

/// Parses a signed number; an empty attribute belongs to a device that is off.
pub(crate) fn number(content: &[u8]) -> Reading<i64> {
    let text = text(content);
    if text.is_empty() {
        return Err(WhyNot::Off);
    }
    text.parse().map_err(|_| WhyNot::unparsable(text.as_bytes()))
}

/// Parses a list such as `0-3,8,10-11` (the kernel's cpulist).
pub(crate) fn ranges(text: &str) -> Reading<Vec<u32>> {
    let unparsable = || WhyNot::unparsable(text.as_bytes());
    let mut numbers = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.parse().map_err(|_| unparsable())?;
        let last: u32 = last.parse().map_err(|_| unparsable())?;
        // A kernel supports at most 8192 CPUs; a larger number means that this is no such list.
        if last < first || last >= 1 << 16 {
            return Err(unparsable());
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

/// Returns the number between a prefix and a suffix, as in `trip_point_12_type`.
pub(crate) fn numbered(name: &str, prefix: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_a_newline_or_a_nul() {
        assert_eq!(text(b"ga10b\0"), "ga10b");
        assert_eq!(text(b"cpu-thermal\n"), "cpu-thermal");
        assert_eq!(text(b"first\0second\0"), "first");
        assert_eq!(text(b"\xff\n"), "\u{fffd}");
        assert_eq!(
            strings(b"nvidia,p3701\0nvidia,tegra234\0"),
            ["nvidia,p3701", "nvidia,tegra234"]
        );
    }

    #[test]
    fn a_text_that_is_no_number_is_an_error() {
        assert_eq!(number(b"-256000\n"), Ok(-256_000));
        assert_eq!(number(b"\n"), Err(WhyNot::Off));
        assert_eq!(number(b""), Err(WhyNot::Off));
        assert_eq!(number(b"12 34\n"), Err(WhyNot::Unparsable("12 34".to_owned())));
        assert_eq!(
            number(b"99999999999999999999"),
            Err(WhyNot::unparsable(b"99999999999999999999"))
        );
    }

    #[test]
    fn cpu_lists_are_parsed_as_the_kernel_writes_them() {
        assert_eq!(ranges("0-3,8,10-11"), Ok(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(ranges(""), Ok(Vec::new()));
        for wrong in ["3-1", "a", "0-", "0-4294967295"] {
            assert!(ranges(wrong).is_err(), "{wrong}");
        }
        assert_eq!(numbered("trip_point_12_type", "trip_point_", "_type"), Some(12));
        assert_eq!(numbered("trip_point_+1_type", "trip_point_", "_type"), None);
    }
}
