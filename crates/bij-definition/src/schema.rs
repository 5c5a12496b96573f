//! The JSON Schema of definitions.

/// Returns the JSON Schema (draft 2020-12) of a definition, for editors and other tools.
///
/// It describes every key. Its rules for values are never stricter than those of
/// [`Definition::parse`](super::Definition::parse), but may be less strict.
pub fn schema() -> &'static str {
    include_str!("schema.json")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::fields::{CLOCKS, FIELDS, ON_REBOOT, OOM_POLICIES, PROFILES};

    fn document() -> Value {
        serde_json::from_str(schema()).unwrap()
    }

    #[test]
    fn the_schema_has_the_keys_of_the_parser_and_no_others() {
        let document = document();
        let tables: BTreeSet<_> = FIELDS.iter().map(|field| field.table).collect();
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
        let read: BTreeSet<_> = FIELDS.iter().map(crate::field::Field::path).collect();
        assert_eq!(named, read);
    }

    #[test]
    fn the_schema_has_the_words_of_the_parser() {
        let document = document();
        let words = |pointer: &str| -> Vec<String> {
            let words = document.pointer(&format!("/properties{pointer}/enum")).unwrap();
            serde_json::from_value(words.clone()).unwrap()
        };
        assert_eq!(words("/limits/properties/oom_policy"), OOM_POLICIES.map(|(word, _)| word));
        assert_eq!(words("/restart/properties/on_reboot"), ON_REBOOT.map(|(word, _)| word));
        assert_eq!(words("/power/properties/clocks"), CLOCKS.map(|(word, _)| word));
        assert_eq!(words("/sandbox/properties/profile"), PROFILES.map(|(word, _)| word));
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
        for field in FIELDS {
            let text = match field.table {
                "" if field.name == "command" => format!("command = {}", field.example),
                "" => format!("command = ['/r']\n{} = {}", field.name, field.example),
                table => format!("command = ['/r']\n[{table}]\n{} = {}", field.name, field.example),
            };
            let id = bij_core::ExperimentId::new("x").unwrap();
            let file = crate::SourceFile::new("x.toml", text.as_bytes());
            let parsed = crate::Definition::new(&id, file, crate::Syntax::Toml).parse();
            assert!(parsed.is_ok(), "{}: {parsed:?}", field.path());
        }
    }
}
