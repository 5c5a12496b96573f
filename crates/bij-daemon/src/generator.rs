//! The generator: every definition becomes the drop-in of its unit (systemd.generator(7)).
//!
//! It runs before anything else at boot, and at every reload while PID 1 waits for it. So it reads
//! files and writes files and does nothing else; `/var` may not be mounted yet, and then only what
//! lies in `/etc` is rendered: `begin` has the rest made good. A broken definition gets no drop-in,
//! so that its unit says what is wrong when somebody starts it, and hurts no neighbour.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bij_core::ExperimentId;
use bij_core::port::{DefinitionSource, FindError};
use bij_systemd::DropIn;
use thiserror::Error;

use crate::Place;
use crate::systemd::scope;

/// The groups that own GPU nodes on some machine or other.
const GPU_GROUPS: [&str; 2] = ["video", "render"];

/// What became of the definitions.
#[derive(Debug, Default)]
pub struct Generated {
    /// How many drop-ins were written.
    pub written: usize,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
}

/// Why an experiment has no drop-in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Skipped {
    /// No definition could be looked for.
    #[error("the definitions cannot be listed")]
    List(#[source] FindError),
    /// Its definition cannot be used.
    #[error("{id} has no drop-in")]
    Definition {
        /// The experiment.
        id: ExperimentId,
        /// What is wrong with it.
        #[source]
        source: FindError,
    },
    /// Its drop-in could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The drop-in.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Renders every usable definition into a directory of `output`, systemd's "normal" directory.
pub fn generate(place: &Place, definitions: &impl DefinitionSource, output: &Path) -> Generated {
    let mut generated = Generated::default();
    let ids = match definitions.ids() {
        Ok(ids) => ids,
        Err(error) => {
            generated.skipped.push(Skipped::List(error));
            return generated;
        }
    };
    let gpu_groups = gpu_groups(place);
    for id in ids {
        match generate_one(place, definitions, &gpu_groups, output, &id) {
            Ok(()) => generated.written += 1,
            Err(skipped) => generated.skipped.push(skipped),
        }
    }
    generated
}

fn generate_one(
    place: &Place,
    definitions: &impl DefinitionSource,
    gpu_groups: &[String],
    output: &Path,
    id: &ExperimentId,
) -> Result<(), Skipped> {
    let found =
        definitions.find(id).map_err(|source| Skipped::Definition { id: id.clone(), source })?;
    let drop_in = DropIn {
        spec: &found.spec,
        source: &found.source,
        stamp: &found.stamp,
        layout: place.layout(),
        scope: scope(place),
        gpu_groups,
    };
    let text = drop_in.render();
    let directory = output.join(format!("{}.d", id.unit_name()));
    let path = directory.join("10-experiment.conf");
    // systemd has emptied `output` before and reads it after: nobody sees half a file.
    let write = || {
        fs::create_dir_all(&directory)?;
        fs::write(&path, text)
    };
    write().map_err(|source| Skipped::Write { path: path.clone(), source })
}

/// Those of the usual groups that this machine has; a unit that names another one fails to start.
fn gpu_groups(place: &Place) -> Vec<String> {
    let groups = fs::read_to_string(place.root().join("etc/group")).unwrap_or_default();
    let exists = |name: &&str| groups.lines().any(|line| line.split(':').next() == Some(*name));
    GPU_GROUPS.iter().filter(|name| exists(name)).map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Machine;

    #[test]
    fn a_definition_becomes_a_drop_in_where_systemd_looks_for_it() {
        let machine = Machine::new();
        let output = machine.tree.path().join("run/systemd/generator");
        let generated = generate(&machine.place, &machine.definitions, &output);
        assert_eq!((generated.written, generated.skipped.len()), (1, 0));
        let text = fs::read_to_string(machine.place.layout().drop_in(&machine.id)).unwrap();
        assert!(
            text.contains("ExecStart=:\"/bin/true\"\n") || text.contains("/bin/true"),
            "{text}"
        );
        assert!(text.contains("BIJ_STAMP=s1"), "{text}");
    }

    #[test]
    fn only_groups_that_exist_are_named() {
        let machine = Machine::new();
        assert_eq!(gpu_groups(&machine.place), [""; 0]);
        machine.write("etc/group", "root:x:0:\nvideo:x:44:\nrenderer:x:9:\n");
        assert_eq!(gpu_groups(&machine.place), ["video"]);
    }

    #[test]
    fn what_cannot_be_written_is_told_and_stops_nothing() {
        let machine = Machine::new();
        machine.write("output", "a file");
        let generated = generate(&machine.place, &machine.definitions, &machine.path("output"));
        assert_eq!(generated.written, 0);
        assert!(generated.skipped[0].to_string().starts_with("cannot write "), "{generated:?}");
    }
}
