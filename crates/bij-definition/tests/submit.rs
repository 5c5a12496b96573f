//! Writing definitions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "these tests are about files")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bij_core::port::DefinitionSource as _;
use bij_core::spec::ExperimentSpec;
use bij_core::{ExperimentId, Layout, Outcome};
use bij_definition::{Definitions, SpecOverlay, SubmitError};

fn id(text: &str) -> ExperimentId {
    ExperimentId::new(text).unwrap()
}

fn empty() -> (tempfile::TempDir, Definitions) {
    let root = tempfile::tempdir().unwrap();
    let definitions = Definitions::new(Layout::system(root.path()));
    (root, definitions)
}

#[test]
fn a_submitted_definition_is_found_again() {
    let (_root, definitions) = empty();
    let toml = "command = ['/r']\n";
    assert_eq!(definitions.submit(&id("x"), toml).unwrap(), Outcome::Changed);
    assert_eq!(definitions.submit(&id("x"), toml).unwrap(), Outcome::Unchanged);
    assert_eq!(definitions.find(&id("x")).unwrap().spec.command, ["/r"]);
    let directory = definitions.layout().submitted();
    let mode = fs::metadata(directory.join("x.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1, "no draft is left");
    assert_eq!(definitions.withdraw(&id("x")).unwrap(), Outcome::Changed);
    assert_eq!(definitions.withdraw(&id("x")).unwrap(), Outcome::Unchanged);
    assert!(definitions.ids().unwrap().is_empty());
}

#[test]
fn an_invalid_or_hidden_definition_is_not_written() {
    let (_root, definitions) = empty();
    let error = definitions.submit(&id("x"), "comand = []").unwrap_err();
    assert!(matches!(error, SubmitError::Invalid { .. }));
    assert!(!definitions.layout().submitted().exists(), "nothing has been changed");
    fs::create_dir_all(definitions.layout().definitions()).unwrap();
    fs::write(definitions.layout().definitions().join("x.json"), "{}").unwrap();
    let error = definitions.submit(&id("x"), "command = ['/r']").unwrap_err();
    assert!(error.to_string().contains("x.json defines x by hand"), "{error}");
}

#[test]
fn commands_get_unused_ids() {
    let (_root, definitions) = empty();
    let spec = |program: &str| {
        let command = vec![program.to_owned(), "{config} $HOME %i".to_owned()];
        ExperimentSpec::new(id("unused"), command)
    };
    let first = definitions.submit_ad_hoc(spec("/usr/bin/python3")).unwrap();
    assert_eq!(first.id.as_str(), "python3-1");
    assert_eq!(definitions.find(&first.id).unwrap().spec, first);
    fs::create_dir_all(definitions.layout().experiment_state(&id("python3-2"))).unwrap();
    let second = definitions.submit_ad_hoc(spec("/usr/bin/python3")).unwrap();
    assert_eq!(second.id.as_str(), "python3-3");
    assert!(definitions.submit_ad_hoc(spec("./relative")).is_err());
}

#[test]
fn concurrent_commands_get_different_ids() {
    let (_root, definitions) = empty();
    let names: BTreeSet<_> = std::thread::scope(|scope| {
        let submit = || {
            let spec = ExperimentSpec::new(id("unused"), vec!["/bin/true".to_owned()]);
            definitions.submit_ad_hoc(spec).unwrap().id
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(submit)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(names.len(), 16);
}

#[test]
fn extras_are_set_and_removed() {
    let (_root, definitions) = empty();
    let mut extras = SpecOverlay::default();
    assert_eq!(definitions.set_extras(&id("x"), &extras).unwrap(), Outcome::Unchanged);
    extras.add_environment("SEED=1").unwrap();
    assert_eq!(definitions.set_extras(&id("x"), &extras).unwrap(), Outcome::Changed);
    assert_eq!(definitions.set_extras(&id("x"), &extras).unwrap(), Outcome::Unchanged);
    assert_eq!(definitions.extras(&id("x")).unwrap(), Some(extras));
    let nothing = SpecOverlay::default();
    assert_eq!(definitions.set_extras(&id("x"), &nothing).unwrap(), Outcome::Changed);
    assert_eq!(definitions.extras(&id("x")).unwrap(), None);
}
