//! Parsing of JSON into the tree.

use std::collections::BTreeMap;
use std::ops::Range;

use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, ast, parse_to_ast};

use super::{KeyEntry, Value, ValueNode};
use crate::fault::{ParseFault, ParseFaults};

/// No comments, no trailing commas, and none of JSON5's extensions except the numbers that Python's json writes
/// and accepts, which [`JsonReader::check_finite`] reports.
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

/// Parses an object. Problems that Python's json accepts and other parsers refuse are added to `lenient`:
/// numbers that are not finite, lone surrogates, and duplicate keys, of which the last counts.
pub(super) fn parse(
    text: &str,
    faults: &mut ParseFaults,
    lenient: &mut ParseFaults,
) -> Option<Vec<KeyEntry>> {
    let halves = lone_surrogates(text);
    for half in &halves {
        let (escape, column) = (&text[half.clone()], column(text, half.start));
        let message = format!("{escape}, in column {column}, is a lone surrogate");
        lenient.push(ParseFault::new(half.start, message).hint("write the character itself"));
    }
    let mut whole = text.to_owned();
    for half in halves {
        whole.replace_range(half, REPLACEMENT);
    }
    let text = whole.as_str();
    let parsed = parse_to_ast(text, &CollectOptions::default(), &AS_PYTHON);
    let value = match parsed {
        Ok(parsed) => parsed.value,
        Err(error) => {
            let (at, kind) = (error.range().start, lowercase_first(error.kind()));
            faults.push(ParseFault::new(
                at,
                format!("this is not JSON: {kind}: {}", found(text, at)),
            ));
            return None;
        }
    };
    let mut reader = JsonReader { text, faults, lenient };
    match value {
        Some(ast::Value::Object(object)) => Some(reader.entries(object)),
        Some(other) => {
            let found = reader.node(other);
            faults.push(found.instead_of("an object: { \"command\": [...] }"));
            None
        }
        None => {
            faults.push(ParseFault::new(0, "the file is empty, expected a JSON object"));
            None
        }
    }
}

/// U+FFFD as an escape, which has the length of the escape that it replaces.
const REPLACEMENT: &str = "\\ufffd";

/// Returns the ranges of escapes `\ud800` to `\udfff` that are not part of a pair.
fn lone_surrogates(text: &str) -> Vec<Range<usize>> {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut lone, mut at) = (Vec::new(), 0);
    while let Some(next) = text[at..].find('\\') {
        at += next;
        let (first, second) = (unit(at), unit(at + REPLACEMENT.len()));
        let is_pair = matches!((first, second), (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)));
        at = match first {
            _ if is_pair => at + 2 * REPLACEMENT.len(),
            Some(half) => {
                let end = at + REPLACEMENT.len();
                if (0xd800..=0xdfff).contains(&half) {
                    lone.push(at..end);
                }
                end
            }
            // Another escape: skip the character after the backslash.
            None => at + 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    lone
}

fn lowercase_first(message: &impl ToString) -> String {
    let message = message.to_string();
    let mut chars = message.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The longest word of a broken text that a message quotes, in characters.
const MAX_WORD: usize = 20;

/// Returns a description of the text at a byte offset, with its column.
fn found(text: &str, at: usize) -> String {
    let rest = text.get(at..).unwrap_or_default();
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = rest.chars().take_while(|c| is_word(*c)).take(MAX_WORD).collect();
    let sign: String = rest.chars().take(if rest.starts_with('/') { 2 } else { 1 }).collect();
    let column = column(text, at);
    match (word.is_empty(), sign.is_empty()) {
        (false, _) => format!("found {} in column {column}", super::quoted(&word)),
        (true, false) => format!("found {} in column {column}", super::quoted(&sign)),
        (true, true) => format!("the file ends in column {column}"),
    }
}

/// Returns the column of a byte offset in characters, from 1.
fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1
}

struct JsonReader<'a> {
    text: &'a str,
    faults: &'a mut ParseFaults,
    lenient: &'a mut ParseFaults,
}

impl JsonReader<'_> {
    fn entries(&mut self, object: ast::Object<'_>) -> Vec<KeyEntry> {
        let mut seen = BTreeMap::new();
        let mut entries: Vec<KeyEntry> = Vec::with_capacity(object.properties.len());
        for property in object.properties {
            let at = property.name.start();
            let key = property.name.into_string();
            let entry = KeyEntry { key: key.clone(), at, node: self.node(property.value) };
            if let Some(first) = seen.get(&key) {
                let (key, column) = (super::quoted(&key), column(self.text, at));
                let message = format!("duplicate key {key} in column {column}");
                self.lenient.push(ParseFault::new(at, message).hint("keep one of them"));
                entries[*first] = entry;
            } else {
                seen.insert(key, entries.len());
                entries.push(entry);
            }
        }
        entries
    }

    fn node(&mut self, value: ast::Value<'_>) -> ValueNode {
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
        ValueNode { at, value }
    }

    fn check_finite(&mut self, at: usize, number: &str) {
        let faults = match number {
            "NaN" | "Infinity" | "-Infinity" => &mut *self.lenient,
            "-NaN" => &mut *self.faults,
            _ => return,
        };
        let message =
            format!("{number}, in column {}, is not a JSON number", column(self.text, at));
        faults.push(ParseFault::new(at, message).hint("write a finite number, null or a text"));
    }
}
