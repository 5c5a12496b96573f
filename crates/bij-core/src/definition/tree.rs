//! What TOML and JSON have in common: values that know where they stand.

mod json;
mod toml;

use super::fault::{Fault, Faults};
use super::source::Text;

/// How a definition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML 1.0.
    Toml,
    /// JSON (RFC 8259) with the same keys.
    Json,
}

/// A value and the byte offset where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// As it was written, without `_`; decimal.
    Number(String),
    Flag(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A kind of value that no setting takes, by its name.
    Other(&'static str),
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// The longest piece of a file that a message quotes, in characters.
const QUOTED: usize = 60;

/// A text in quotes, cut to what a message can bear.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

impl Node {
    /// What stands there, for "found …".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Text(text) => quoted(text),
            Value::Number(number) => {
                let mut number = number.clone();
                if let Some((end, _)) = number.char_indices().nth(QUOTED) {
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

    /// The fault of finding this where something else belongs.
    pub(crate) fn instead_of(&self, expected: &str) -> Fault {
        Fault::new(self.at, format!("found {}, expected {expected}", self.describe()))
    }
}

/// Reads the whole text into entries; what is wrong with the syntax goes into `faults`.
///
/// Where the syntax is broken, the entries may be incomplete and are not worth reading; duplicate
/// keys leave the rest readable.
pub(crate) fn read(text: &Text<'_>, syntax: Syntax, faults: &mut Faults) -> Option<Vec<Entry>> {
    let mut beyond = Faults::default();
    let entries = read_leniently(text, syntax, faults, &mut beyond);
    faults.extend(beyond, |fault| fault);
    entries
}

/// The same, with what RFC 8259 forbids and Python's json reads apart, in `beyond`.
pub(crate) fn read_leniently(
    text: &Text<'_>,
    syntax: Syntax,
    faults: &mut Faults,
    beyond: &mut Faults,
) -> Option<Vec<Entry>> {
    match syntax {
        Syntax::Toml => toml::read(text.text, faults),
        Syntax::Json => json::read(text.text, faults, beyond),
    }
}
