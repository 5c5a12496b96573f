//! Formats that are registered with the kernel's `binfmt_misc`.

/// A file format with a registered interpreter, as listed in `/proc/sys/fs/binfmt_misc/*` (the kernel's
/// Documentation/admin-guide/binfmt-misc.rst).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisteredFormat {
    extension: Option<String>,
    offset: usize,
    magic: Vec<u8>,
    mask: Option<Vec<u8>>,
}

impl RegisteredFormat {
    /// Parses the text of such a file; `None` if the format is disabled or the text describes none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "enabled" {
            return None;
        }
        let mut format = Self::default();
        for line in lines {
            match line.split_once(' ') {
                Some(("extension", dotted)) => {
                    format.extension = Some(dotted.trim_start_matches('.').to_owned());
                }
                Some(("offset", number)) => format.offset = number.parse().ok()?,
                Some(("magic", bytes)) => format.magic = hexadecimal(bytes)?,
                Some(("mask", bytes)) => format.mask = Some(hexadecimal(bytes)?),
                _ => {}
            }
        }
        (format.extension.is_some() || !format.magic.is_empty()).then_some(format)
    }

    /// Returns whether a file with this name and these first bytes has the format.
    pub fn matches(&self, name: &str, head: &[u8]) -> bool {
        if let Some(extension) = &self.extension {
            return name.rsplit_once('.').is_some_and(|(_, own)| own == extension);
        }
        let bytes = head.iter().skip(self.offset);
        let masks = self.mask.iter().flatten().copied().chain(std::iter::repeat(0xff));
        head.len() >= self.offset.saturating_add(self.magic.len())
            && self.magic.iter().zip(bytes).zip(masks).all(|((a, b), mask)| (a ^ b) & mask == 0)
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.trim().as_bytes();
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(value(high)? << 4 | value(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_recognized_by_its_bytes_or_by_its_extension() {
        let text = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: OCF\noffset 0\n\
                    magic 7f454c460201\nmask ffffffffff00\n";
        let qemu = RegisteredFormat::parse(text).unwrap();
        assert!(qemu.matches("run", b"\x7fELF\x02\x7f..."));
        assert!(!qemu.matches("run", b"\x7fELF\x01\x01..."));
        assert!(!qemu.matches("run", b"\x7fELF"), "the file is shorter than the magic");
        let jar = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n";
        let jar = RegisteredFormat::parse(jar).unwrap();
        assert!(jar.matches("a.b.jar", b"") && !jar.matches("jar", b""));
    }

    #[test]
    fn a_disabled_or_malformed_format_is_none() {
        for text in ["disabled\nextension .jar\n", "enabled\n", "", "enabled\nmagic 7\n", "3\n"] {
            assert_eq!(RegisteredFormat::parse(text), None, "{text:?}");
        }
    }
}
