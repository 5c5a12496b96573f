//! The common tree of TOML and JSON: values with their positions.

mod json;
mod toml;

use crate::fault::{ParseFault, ParseFaults};
use crate::source::Text;

/// The syntax of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML 1.0.
    Toml,
    /// JSON (RFC 8259) with the same keys.
    Json,
}

/// A value with the byte offset of its beginning.
#[derive(Clone, Debug)]
pub(crate) struct ValueNode {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// A value of TOML or JSON.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// The number as written, in decimal and without `_`.
    Number(String),
    Flag(bool),
    List(Vec<ValueNode>),
    Table(Vec<KeyEntry>),
    /// A value that no setting accepts, described by its kind.
    Other(&'static str),
}

/// A key of a table with its byte offset and value.
#[derive(Clone, Debug)]
pub(crate) struct KeyEntry {
    pub(crate) key: String,
    pub(crate) at: usize,
    pub(crate) node: ValueNode,
}

/// The longest part of a file that a message quotes, in characters.
const MAX_QUOTED: usize = 60;

/// Returns a text in quotes, cut to [`MAX_QUOTED`] characters.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

impl ValueNode {
    /// Returns a description of the value, for "found …".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Text(text) => quoted(text),
            Value::Number(number) => {
                let mut number = number.clone();
                if let Some((end, _)) = number.char_indices().nth(MAX_QUOTED) {
                    number.truncate(end);
                    number.push('…');
                }
                format!("the number {number}")
            }
            Value::Flag(flag) => flag.to_string(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Other(kind) => (*kind).to_owned(),
        }
    }

    /// Returns the fault of a value where another was expected.
    pub(crate) fn instead_of(&self, expected: &str) -> ParseFault {
        ParseFault::new(self.at, format!("found {}, expected {expected}", self.describe()))
    }
}

/// Parses a whole text into entries and adds problems of its syntax to `faults`.
///
/// Returns `None` if the syntax is broken; after duplicate keys the entries are still usable.
pub(crate) fn parse(
    text: &Text<'_>,
    syntax: Syntax,
    faults: &mut ParseFaults,
) -> Option<Vec<KeyEntry>> {
    let mut lenient = ParseFaults::default();
    let entries = parse_leniently(text, syntax, faults, &mut lenient);
    faults.extend(lenient, |fault| fault);
    entries
}

/// Parses like [`parse`], but adds problems that RFC 8259 forbids and Python's json accepts to `lenient`.
pub(crate) fn parse_leniently(
    text: &Text<'_>,
    syntax: Syntax,
    faults: &mut ParseFaults,
    lenient: &mut ParseFaults,
) -> Option<Vec<KeyEntry>> {
    match syntax {
        Syntax::Toml => toml::parse(text.text, faults),
        Syntax::Json => json::parse(text.text, faults, lenient),
    }
}
