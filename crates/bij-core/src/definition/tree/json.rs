//! JSON into the tree.

use std::collections::BTreeSet;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Entry, Node, Value};
use crate::definition::fault::{Fault, Faults};

/// No comments, no trailing commas, none of what JSON5 adds to JSON.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn read(text: &str, faults: &mut Faults) -> Option<Vec<Entry>> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT);
    let value = match parsed {
        Ok(parsed) => parsed.value,
        Err(error) => {
            let message = format!("this is not JSON: {}", lowercase_first(error.kind()));
            faults.push(Fault::new(error.range().start, message));
            return None;
        }
    };
    match value {
        Some(ast::Value::Object(object)) => Some(entries(object, faults)),
        Some(other) => {
            let found = node(other, faults);
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

fn entries(object: ast::Object<'_>, faults: &mut Faults) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::with_capacity(object.properties.len());
    for property in object.properties {
        let at = property.name.start();
        let key = property.name.into_string();
        let node = node(property.value, faults);
        if seen.insert(key.clone()) {
            entries.push(Entry { key, at, node });
        } else {
            let message = format!("the key {} stands here again", super::quoted(&key));
            faults.push(Fault::new(at, message).hint("keep one of them"));
        }
    }
    entries
}

fn node(value: ast::Value<'_>, faults: &mut Faults) -> Node {
    let at = value.start();
    let value = match value {
        ast::Value::StringLit(text) => Value::Text(text.value.into_owned()),
        ast::Value::NumberLit(number) => Value::Number(number.value.to_owned()),
        ast::Value::BooleanLit(flag) => Value::Flag(flag.value),
        ast::Value::Object(object) => Value::Table(entries(object, faults)),
        ast::Value::Array(list) => {
            Value::List(list.elements.into_iter().map(|item| node(item, faults)).collect())
        }
        ast::Value::NullKeyword(_) => Value::Other("null"),
    };
    Node { at, value }
}
