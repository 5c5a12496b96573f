//! Parsing of TOML into the tree.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue, Error};

use super::{KeyEntry, Value, ValueNode};
use crate::fault::{ParseFault, ParseFaults};

pub(super) fn parse(text: &str, faults: &mut ParseFaults) -> Option<Vec<KeyEntry>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut is_usable = true;
    let mut last_line = None;
    let line_starts = if errors.is_empty() { Vec::new() } else { line_starts(text) };
    for error in errors {
        let is_duplicate = error.message() == "duplicate key";
        is_usable &= is_duplicate;
        // After an error the parser often reports more errors on the same line; only the first helps.
        let line = error.span().map(|span| line_starts.partition_point(|at| *at <= span.start));
        if is_duplicate || line.is_none() || line != last_line {
            faults.push(fault(text, &error));
        }
        last_line = line;
    }
    is_usable.then(|| entries(document.into_inner()))
}

/// Returns the byte offsets of all lines. They are computed once, because a megabyte can hold a million errors.
fn line_starts(text: &str) -> Vec<usize> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
}

fn fault(text: &str, error: &Error) -> ParseFault {
    let span = error.span().unwrap_or(0..0);
    if error.message() == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        return ParseFault::new(span.start, format!("duplicate key {}", super::quoted(key)))
            .hint("keep one of them");
    }
    ParseFault::new(span.start, format!("this is not TOML: {}", error.message()))
}

fn entries(table: DeTable<'_>) -> Vec<KeyEntry> {
    let mut entries: Vec<KeyEntry> = table
        .into_iter()
        .map(|(key, value)| KeyEntry {
            at: key.span().start,
            key: key.into_inner().into_owned(),
            node: node(value),
        })
        .collect();
    // The parser's map is sorted by key; problems are listed in the order of the file.
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn node(value: Spanned<DeValue<'_>>) -> ValueNode {
    let at = value.span().start;
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => Value::Number(decimal(number.as_str(), number.radix())),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => Value::List(items.into_iter().map(node).collect()),
        DeValue::Table(table) => Value::Table(entries(table)),
    };
    ValueNode { at, value }
}

/// Returns a number of another radix in decimal. A number that is too large is unchanged and is refused where
/// it is used.
fn decimal(digits: &str, radix: u32) -> String {
    match i128::from_str_radix(digits, radix) {
        Ok(number) => number.to_string(),
        Err(_) => digits.to_owned(),
    }
}
