//! JSON into the tree.

use std::collections::BTreeMap;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Entry, Node, Value};
use crate::definition::fault::{Fault, Faults};

/// No comments, no trailing commas, none of what JSON5 adds to JSON but the numbers that Python's json
/// writes and reads. Those are told apart below.
const AS_PYTHON: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: true,
    allow_extended_string_escapes: false,
};

/// Reads an object. What RFC 8259 forbids and Python's json reads goes into `beyond`: numbers that are not
/// finite, and a key that stands twice, of which the last counts.
pub(super) fn read(text: &str, faults: &mut Faults, beyond: &mut Faults) -> Option<Vec<Entry>> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &AS_PYTHON);
    let value = match parsed {
        Ok(parsed) => parsed.value,
        Err(error) => {
            let (at, kind) = (error.range().start, lowercase_first(error.kind()));
            faults.push(Fault::new(at, format!("this is not JSON: {kind}: {}", found(text, at))));
            return None;
        }
    };
    let mut reader = Reader { text, faults, beyond };
    match value {
        Some(ast::Value::Object(object)) => Some(reader.entries(object)),
        Some(other) => {
            let found = reader.node(other);
            faults.push(found.instead_of("an object: { \"command\": [...] }"));
            None
        }
        None => {
            faults.push(Fault::new(0, "the file is empty, expected a JSON object"));
            None
        }
    }
}

fn lowercase_first(message: &impl ToString) -> String {
    let message = message.to_string();
    let mut chars = message.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The longest piece of a broken text that a message names, in characters.
const NAMED: usize = 20;

/// What stands at a place, and in which column.
fn found(text: &str, at: usize) -> String {
    let rest = text.get(at..).unwrap_or_default();
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = rest.chars().take_while(|c| is_word(*c)).take(NAMED).collect();
    let sign: String = rest.chars().take(if rest.starts_with('/') { 2 } else { 1 }).collect();
    let column = column(text, at);
    match (word.is_empty(), sign.is_empty()) {
        (false, _) => format!("found {} in column {column}", super::quoted(&word)),
        (true, false) => format!("found {} in column {column}", super::quoted(&sign)),
        (true, true) => format!("the file ends in column {column}"),
    }
}

/// The column of a place, from 1, in characters.
fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1
}

struct Reader<'a> {
    text: &'a str,
    faults: &'a mut Faults,
    beyond: &'a mut Faults,
}

impl Reader<'_> {
    fn entries(&mut self, object: ast::Object<'_>) -> Vec<Entry> {
        let mut seen = BTreeMap::new();
        let mut entries: Vec<Entry> = Vec::with_capacity(object.properties.len());
        for property in object.properties {
            let at = property.name.start();
            let key = property.name.into_string();
            let entry = Entry { key: key.clone(), at, node: self.node(property.value) };
            if let Some(first) = seen.get(&key) {
                let (key, column) = (super::quoted(&key), column(self.text, at));
                let message = format!("the key {key} stands here again, in column {column}");
                self.beyond.push(Fault::new(at, message).hint("keep one of them"));
                entries[*first] = entry;
            } else {
                seen.insert(key, entries.len());
                entries.push(entry);
            }
        }
        entries
    }

    fn node(&mut self, value: ast::Value<'_>) -> Node {
        let at = value.start();
        let value = match value {
            ast::Value::StringLit(text) => Value::Text(text.value.into_owned()),
            ast::Value::NumberLit(number) => {
                self.check_finite(at, number.value);
                Value::Number(number.value.to_owned())
            }
            ast::Value::BooleanLit(flag) => Value::Flag(flag.value),
            ast::Value::Object(object) => Value::Table(self.entries(object)),
            ast::Value::Array(list) => {
                Value::List(list.elements.into_iter().map(|item| self.node(item)).collect())
            }
            ast::Value::NullKeyword(_) => Value::Other("null"),
        };
        Node { at, value }
    }

    fn check_finite(&mut self, at: usize, number: &str) {
        let faults = match number {
            "NaN" | "Infinity" | "-Infinity" => &mut *self.beyond,
            "-NaN" => &mut *self.faults,
            _ => return,
        };
        let message =
            format!("{number}, in column {}, is no number of JSON", column(self.text, at));
        faults.push(Fault::new(at, message).hint("write a finite number, null or a text"));
    }
}
