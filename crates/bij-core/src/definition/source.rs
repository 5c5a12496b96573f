//! One file's bytes on their way to text.

use super::Problem;
use super::error::Place;

/// The most bytes that a definition, its `.env` or the settings may have.
///
/// A definition is a page of text; the bound keeps a mistake (a log, a model's weights) from
/// costing memory and time in a hook that a boot or a start waits for.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A file as it was read: its name, for messages, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    pub(crate) name: &'a str,
    bytes: &'a [u8],
}

impl<'a> SourceFile<'a> {
    /// A file of this name (best its whole path) and content.
    pub const fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes }
    }

    /// A problem with the file as a whole.
    pub(crate) fn problem(&self, message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem {
            place: Place { file: self.name.to_owned(), line: None },
            key: None,
            message: message.into(),
            hint,
        }
    }

    /// The file's text, without a byte order mark.
    pub(crate) fn text(&self) -> Result<Text<'a>, Problem> {
        let size = self.bytes.len();
        if size > MAX_FILE_BYTES {
            return Err(too_large(self.name));
        }
        let text = std::str::from_utf8(self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            let mut problem = self.problem(
                format!("byte {at} (0x{:02x}) is not valid UTF-8", self.bytes[at]),
                Some("save the file as UTF-8 text".to_owned()),
            );
            problem.place.line = Some(line_of(self.bytes, at));
            problem
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(at) = text.find('\0') {
            let mut problem = self.problem(
                format!("byte {at} is NUL, which no text has"),
                Some("save the file as plain UTF-8 text".to_owned()),
            );
            problem.place.line = Some(line_of(text.as_bytes(), at));
            return Err(problem);
        }
        Ok(Text { name: self.name, text })
    }
}

/// The problem with a file that has more than [`MAX_FILE_BYTES`].
///
/// Adapters that refuse a file before reading all of it say it with the same words.
pub fn too_large(file: &str) -> Problem {
    Problem {
        place: Place { file: file.to_owned(), line: None },
        key: None,
        message: "the file has more than 1 MiB, too much for a definition".to_owned(),
        hint: Some("keep data in a file of its own and name it with `config`".to_owned()),
    }
}

fn line_of(bytes: &[u8], offset: usize) -> usize {
    bytes[..offset].split(|byte| *byte == b'\n').count()
}

/// Text whose offsets can be told as lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Text<'_> {
    /// The place of a byte offset.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        Place { file: self.name.to_owned(), line: Some(line_of(self.text.as_bytes(), offset)) }
    }
}
