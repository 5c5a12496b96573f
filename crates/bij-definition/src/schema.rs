//! The JSON Schema of definitions.

use std::fmt::Write as _;

use bij_core::ExperimentId;
use bij_core::spec::ExperimentSpec;
use serde_json::Value as Json;

use crate::keys::{KEYS, SpecKey, TABLES};
use crate::kind::Schema;

/// Returns the JSON Schema (draft 2020-12) of a definition, for editors and other tools.
///
/// It describes every key. Its rules for values are never stricter than those of
/// [`Definition::parse`](crate::Definition::parse), but may be less strict.
pub fn schema() -> String {
    let mut properties = Vec::new();
    for keys in KEYS.chunk_by(|a, b| a.field.table == b.field.table) {
        let table = keys[0].field.table;
        if table.is_empty() {
            properties.extend(keys.iter().map(|key| format!("    {}", property(key))));
        } else {
            properties.push(table_property(table, keys));
        }
    }
    format!("{HEAD}  \"properties\": {{\n{}\n  }},\n{DEFINITIONS}}}\n", properties.join(",\n"))
}

fn table_property(table: &str, keys: &[SpecKey]) -> String {
    let mut text = format!("    \"{table}\": {{\n");
    if let Some((_, meaning)) = TABLES.iter().find(|(name, _)| *name == table) {
        let _ = writeln!(text, "      \"description\": {},", Json::from(*meaning));
    }
    let keys: Vec<_> = keys.iter().map(|key| format!("        {}", property(key))).collect();
    text.push_str("      \"type\": \"object\",\n      \"additionalProperties\": false,\n");
    let _ = write!(text, "      \"properties\": {{\n{}\n      }}\n    }}", keys.join(",\n"));
    text
}

/// Returns the member of one key: its name and the schema of its value.
fn property(key: &SpecKey) -> String {
    let members = match key.schema {
        Schema::Members(members) => members.to_owned(),
        Schema::Words(words) => format!("\"enum\": {}", Json::from(words())),
    };
    let default = default(key).map(|value| format!(", \"default\": {value}")).unwrap_or_default();
    let meaning = Json::from(key.meaning);
    format!("\"{}\": {{ \"description\": {meaning}, {members}{default} }}", key.field.name)
}

/// Returns the value of a key that a definition leaves out, unless it is absent or empty.
fn default(key: &SpecKey) -> Option<Json> {
    let id = ExperimentId::new("x").expect("x is a letter");
    match (key.show)(&ExperimentSpec::new(id, Vec::new())) {
        Json::Null | Json::Array(_) | Json::Object(_) => None,
        value => Some(value),
    }
}

/// Returns the reference of the manual: a Markdown table of all keys.
#[cfg(test)]
pub(crate) fn reference() -> String {
    let mut table = "| key | default | meaning |\n| --- | --- | --- |\n".to_owned();
    for key in KEYS {
        let default = default(key).map(|value| format!("`{value}`")).unwrap_or_default();
        let _ = write!(table, "| `{}` | {default} | {}", key.field.path(), key.meaning);
        if let Schema::Words(words) = key.schema {
            let _ = write!(table, " One of `{}`.", words().join("`, `"));
        }
        table.push_str(" |\n");
    }
    table
}

const HEAD: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Definition of an experiment",
  "description": "The content of <id>.toml or <id>.json. Absent settings have their defaults.",
  "type": "object",
  "required": ["command"],
  "additionalProperties": false,
"#;

/// The kinds of values that several keys share.
const DEFINITIONS: &str = r##"  "$defs": {
    "argument": {
      "type": "string",
      "maxLength": 131071,
      "pattern": "^[^\\u0000]*$"
    },
    "variable": {
      "type": "string",
      "maxLength": 131071,
      "pattern": "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f]*$"
    },
    "path": {
      "type": "string",
      "pattern": "^/[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    },
    "id": {
      "type": "string",
      "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
    },
    "someOf": {
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "any": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/id" } },
        "all": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/id" } }
      },
      "maxProperties": 1
    },
    "size": {
      "description": "An amount of memory to the base 1024 with its unit, a share of the machine's memory, or infinity.",
      "type": "string",
      "pattern": "^\\s*(([0-9]+(\\.[0-9]*)?[BKMGTPE]\\s*)+|[0-9]+(\\.[0-9]*)?\\s*%|infinity)\\s*$",
      "examples": ["512M", "8G", "50%", "infinity"]
    },
    "span": {
      "description": "A span of time as in systemd.time(7); a bare number is seconds.",
      "oneOf": [
        { "type": "number", "minimum": 0 },
        { "type": "string", "pattern": "^\\s*([0-9]+(\\.[0-9]*)?\\s*[a-zA-Z\\u00b5\\u03bc]*\\s*)+$" }
      ],
      "examples": ["90s", "5min 20s", "12h"]
    },
    "spanOrInfinity": {
      "anyOf": [{ "$ref": "#/$defs/span" }, { "const": "infinity" }]
    }
  }
"##;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::keys;

    fn document() -> Value {
        serde_json::from_str(&schema()).unwrap()
    }

    #[test]
    fn the_schema_has_the_keys_of_the_parser_and_no_others() {
        let document = document();
        let tables: BTreeSet<_> = keys::fields().iter().map(|field| field.table).collect();
        let mut named = BTreeSet::new();
        for (name, key) in document["properties"].as_object().unwrap() {
            if tables.contains(name.as_str()) {
                let keys = key["properties"].as_object().unwrap().keys();
                named.extend(keys.map(|key| format!("{name}.{key}")));
                assert_eq!(key["additionalProperties"], false, "{name}");
            } else {
                named.insert(name.clone());
            }
        }
        let read: BTreeSet<_> = keys::fields().iter().map(|field| field.path()).collect();
        assert_eq!(named, read);
    }

    #[test]
    fn the_schema_has_the_words_of_the_parser() {
        let document = document();
        let words = |pointer: &str| -> Vec<String> {
            let words = document.pointer(&format!("/properties{pointer}/enum")).unwrap();
            serde_json::from_value(words.clone()).unwrap()
        };
        assert_eq!(words("/limits/properties/oom_policy"), ["stop", "continue", "kill"]);
        assert_eq!(words("/restart/properties/on_reboot"), ["resume", "requeue", "hold"]);
        assert_eq!(words("/power/properties/clocks"), ["dynamic", "max"]);
        assert_eq!(words("/sandbox/properties/profile"), ["default", "strict", "trusted"]);
    }

    #[test]
    fn every_reference_of_the_schema_has_a_target() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    for (key, value) in object {
                        if let ("$ref", Value::String(target)) = (key.as_str(), value) {
                            found.push(target.clone());
                        }
                        references(value, found);
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn the_example_of_every_key_is_valid() {
        for field in keys::fields() {
            let text = match field.table {
                "" if field.name == "command" => format!("command = {}", field.example),
                "" => format!("command = ['/r']\n{} = {}", field.name, field.example),
                table => format!("command = ['/r']\n[{table}]\n{} = {}", field.name, field.example),
            };
            let id = ExperimentId::new("x").unwrap();
            let file = crate::SourceFile::new("x.toml", text.as_bytes());
            let parsed = crate::Definition::new(&id, file, crate::Syntax::Toml).parse();
            assert!(parsed.is_ok(), "{}: {parsed:?}", field.path());
        }
    }
}
