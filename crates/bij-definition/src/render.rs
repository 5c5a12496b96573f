//! Rendering of definitions as TOML.

use std::fmt::Write as _;

use bij_core::spec::ExperimentSpec;
use serde_json::Value as Json;

use crate::keys::{KEYS, SpecKey};

/// Renders a definition as a file that parses back the same. Defaults are left out.
pub fn to_toml(spec: &ExperimentSpec) -> String {
    render(spec, KEYS.iter())
}

/// Renders some keys of a definition, those at their default left out.
pub(crate) fn render<'a>(spec: &ExperimentSpec, keys: impl Iterator<Item = &'a SpecKey>) -> String {
    let default = ExperimentSpec::new(spec.id.clone(), Vec::new());
    let mut toml = Toml::default();
    for key in keys {
        let value = (key.write)(spec);
        if value != (key.write)(&default) {
            toml.add(key.field.table, key.field.name, &value);
        }
    }
    toml.into_text()
}

/// A TOML document that is being written.
#[derive(Default)]
struct Toml {
    /// The keys above all tables.
    top: String,
    tables: Vec<(&'static str, String)>,
}

impl Toml {
    fn add(&mut self, table: &'static str, key: &'static str, value: &Json) {
        match (table, value) {
            ("", Json::Object(entries)) => {
                for (name, value) in entries {
                    self.line(key, name, value);
                }
            }
            _ => self.line(table, key, value),
        }
    }

    fn line(&mut self, table: &'static str, key: &str, value: &Json) {
        let text = if table.is_empty() {
            &mut self.top
        } else {
            if self.tables.last().is_none_or(|(last, _)| *last != table) {
                self.tables.push((table, String::new()));
            }
            self.tables.last_mut().map_or(&mut self.top, |(_, text)| text)
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {}", toml_value(value));
    }

    fn into_text(self) -> String {
        let mut text = self.top;
        for (name, lines) in self.tables {
            let _ = write!(text, "\n[{name}]\n{lines}");
        }
        text
    }
}

fn toml_value(value: &Json) -> String {
    match value {
        Json::String(text) => basic_string(text),
        // Unlike JSON, bij writes 80 for a float without a fraction.
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => float.to_string(),
            None => number.to_string(),
        },
        Json::Bool(flag) => flag.to_string(),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) => {
            let entry = |(key, value)| format!("{key} = {}", toml_value(value));
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // TOML has no null; an absent value is a key that is left out.
        Json::Null => String::new(),
    }
}

/// Renders a TOML basic string, with quotes, backslashes and control characters escaped.
fn basic_string(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => string.extend(['\\', c]),
            '\n' => string.push_str("\\n"),
            '\t' => string.push_str("\\t"),
            '\r' => string.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(string, "\\u{:04X}", u32::from(c));
            }
            c => string.push(c),
        }
    }
    string.push('"');
    string
}
