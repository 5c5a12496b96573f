//! The definitions are understood by bij and name what a package installs.

use std::fs;
use std::path::Path;

use bij_core::ExperimentId;
use bij_core::spec::ExperimentSpec;
use bij_definition::{Definition, SourceFile, Syntax};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/definitions");
/// Where `cargo xtask stage` puts the programs and the script.
const PROGRAMS: &str = "/usr/libexec/brain-in-jar/examples/";
const SCRIPTS: &str = "/usr/share/brain-in-jar/examples/";

fn definition(id: &str) -> ExperimentSpec {
    let name = format!("{id}.toml");
    let text = fs::read(Path::new(FOLDER).join(&name)).unwrap();
    let id: ExperimentId = id.parse().unwrap();
    let parsed = Definition::new(&id, SourceFile::new(&name, &text), Syntax::Toml).parse();
    let parsed = parsed.unwrap_or_else(|error| panic!("{error}"));
    assert!(parsed.warnings.is_empty(), "{name}");
    parsed.spec
}

#[test]
fn every_definition_is_understood_and_names_an_installed_program() {
    let ids = ["amnesiac_001", "unstable_002", "panopticon_003", "dreamer_004"];
    assert_eq!(fs::read_dir(FOLDER).unwrap().count(), ids.len());
    for id in ids {
        let command = definition(id).command;
        match &command[..] {
            [program] => assert_eq!(*program, format!("{PROGRAMS}{id}")),
            [python, script] => {
                assert_eq!(python, "/usr/bin/python3");
                let name = script.strip_prefix(SCRIPTS).unwrap();
                let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
                assert!(source.is_file(), "{name}");
            }
            other => panic!("{id}: {other:?}"),
        }
    }
}

#[test]
fn each_definition_asks_for_what_its_experiment_is_about() {
    let amnesiac = definition("amnesiac_001");
    assert!(amnesiac.limits.memory.is_some() && amnesiac.limits.swap.is_some());
    assert!(definition("unstable_002").restart.burst > 3);
    let panopticon = definition("panopticon_003").health;
    assert!(panopticon.notify && panopticon.watchdog.is_some());
    assert!(definition("dreamer_004").health.stall_after.is_some());
}
