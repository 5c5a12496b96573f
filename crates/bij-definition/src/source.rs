//! The files that definitions are parsed from.

use bij_core::port::{Problem, SourceLocation};

/// The largest size in bytes of a definition, its `.env` or the settings.
///
/// A definition is a page of text. The limit keeps a wrong file (a log, a model's weights) from costing memory
/// and time in a hook that a boot or a start waits for.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// The content of a file and its name for messages.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    pub(crate) name: &'a str,
    bytes: &'a [u8],
}

impl<'a> SourceFile<'a> {
    /// Creates a file with this name, preferably its whole path, and content.
    pub const fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes }
    }

    /// Creates a problem of the whole file.
    pub(crate) fn problem(&self, message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem {
            location: SourceLocation { file: self.name.to_owned(), line: None },
            key: None,
            message: message.into(),
            hint,
        }
    }

    /// Returns the text of the file, without a byte order mark.
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
            problem.location.line = Some(line_of(self.bytes, at));
            problem
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(at) = text.find('\0') {
            let mut problem = self.problem(
                format!("byte {at} is NUL, which text cannot contain"),
                Some("save the file as plain UTF-8 text".to_owned()),
            );
            problem.location.line = Some(line_of(text.as_bytes(), at));
            return Err(problem);
        }
        Ok(Text { name: self.name, text })
    }
}

/// Creates the problem of a file with more than [`MAX_FILE_BYTES`], also for adapters that refuse a file before
/// reading all of it.
pub(crate) fn too_large(file: &str) -> Problem {
    Problem {
        location: SourceLocation { file: file.to_owned(), line: None },
        key: None,
        message: "the file has more than 1 MiB, too much for a definition".to_owned(),
        hint: Some("keep data in its own file and name that file in `config`".to_owned()),
    }
}

fn line_of(bytes: &[u8], offset: usize) -> usize {
    bytes[..offset].split(|byte| *byte == b'\n').count()
}

/// The text of a file, with its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Text<'_> {
    /// Returns the line of a byte offset.
    pub(crate) fn location(&self, offset: usize) -> SourceLocation {
        let offset = offset.min(self.text.len());
        SourceLocation {
            file: self.name.to_owned(),
            line: Some(line_of(self.text.as_bytes(), offset)),
        }
    }
}
