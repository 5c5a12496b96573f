//! The examples of the manual are valid and complete.

use super::*;

const MANUAL: &str = include_str!("../../../../docs/definitions.md");

fn examples() -> Vec<&'static str> {
    let blocks = MANUAL.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn the_definition_of_the_manual_is_valid_and_has_every_key() {
    let text = examples()[0];
    let spec = spec(text);
    assert_eq!(spec.command[3], "/opt/brain/configs/amnesiac_001.json");
    let mut table = "";
    let mut shown = Vec::new();
    for line in text.lines() {
        let before_comment = line.split('#').next().unwrap();
        if let Some(name) = before_comment.trim().strip_prefix('[') {
            table = name.strip_suffix(']').unwrap();
        } else if let Some((key, _)) = before_comment.split_once('=') {
            shown.push((table, key.trim()));
        }
    }
    let read: Vec<_> = keys::fields().iter().map(|field| (field.table, field.name)).collect();
    assert_eq!(shown, read);
}

#[test]
fn the_settings_of_the_manual_are_valid() {
    let file = SourceFile::new("coordinator.toml", examples()[1].as_bytes());
    let settings = Settings::parse(file).unwrap();
    let coordinator = settings.coordinator;
    assert_eq!(coordinator.max_concurrent, Some(coordinator.slots()));
    assert!(coordinator.total_memory.is_some() && coordinator.health_check_interval.is_some());
    assert_eq!(coordinator.groups.len(), 1);
    let runner = settings.runner.unwrap();
    assert_eq!(runner.command.len(), 4);
    assert!(runner.config_directory.is_some() && runner.user.is_some());
}

#[test]
fn the_reference_of_the_manual_is_that_of_the_table() {
    let reference = schema::reference();
    assert!(MANUAL.contains(&reference), "docs/definitions.md needs this table:\n\n{reference}");
}
