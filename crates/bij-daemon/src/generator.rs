//! The generator: every definition becomes the drop-in of its unit (systemd.generator(7)).
//!
//! It runs before anything else at boot, and at every reload while PID 1 waits for it. So it reads
//! files and writes files and does nothing else; `/var` may not be mounted yet, and then only what
//! lies in `/etc` is rendered: `begin` has the rest made good. A broken definition gets no drop-in,
//! so that its unit says what is wrong when somebody starts it, and hurts no neighbour.

use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use bij_core::ExperimentId;
use bij_core::port::{DefinitionSource, FindError};
use bij_systemd::{DropIn, SystemdVersion};
use thiserror::Error;

use crate::Place;
use crate::gpu::{GpuSettings, unit_stamp};
use crate::systemd::scope;

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
    let host = Host::read(place);
    let generate_some = |ids: &[ExperimentId]| -> Vec<Result<(), Skipped>> {
        let one = |id| generate_one(place, definitions, &host, output, id);
        ids.iter().map(one).collect()
    };
    thread::scope(|scope| {
        let share = ids.len().div_ceil(workers()).max(WORTH_A_THREAD);
        let running: Vec<_> =
            ids.chunks(share).map(|ids| scope.spawn(|| generate_some(ids))).collect();
        for results in running {
            // A definition that makes a worker panic costs its share, never the boot.
            for result in results.join().into_iter().flatten() {
                match result {
                    Ok(()) => generated.written += 1,
                    Err(skipped) => generated.skipped.push(skipped),
                }
            }
        }
    });
    generated
}

/// Fewer definitions are faster rendered than a thread is made.
const WORTH_A_THREAD: usize = 64;

/// How many processors to use: PID 1 waits, but so do other generators.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(4)
}

fn generate_one(
    place: &Place,
    definitions: &impl DefinitionSource,
    host: &Host,
    output: &Path,
    id: &ExperimentId,
) -> Result<(), Skipped> {
    let found =
        definitions.find(id).map_err(|source| Skipped::Definition { id: id.clone(), source })?;
    let stamp = unit_stamp(place, &found, || host.gpu.clone());
    let drop_in = DropIn {
        spec: &found.spec,
        source: &found.source,
        stamp: &stamp,
        layout: place.layout(),
        scope: scope(place),
        gpu: host.gpu.as_slice(),
        systemd: host.systemd,
    };
    let mut text = drop_in.render();
    if found.spec.user.as_deref().is_some_and(|user| !host.has_user(user)) {
        text.push_str(UNKNOWN_USER);
    }
    let directory = output.join(format!("{}.d", id.unit_name()));
    let path = directory.join("10-experiment.conf");
    // systemd has emptied `output` before and reads it after: nobody sees half a file.
    let write = || {
        fs::create_dir_all(&directory)?;
        fs::write(&path, text)
    };
    write().map_err(|source| Skipped::Write { path: path.clone(), source })
}

/// systemd becomes the unit's user for the hooks as well. If there is none, it takes a condition's
/// failure for "not now" and skips the start without a word; without a condition the start fails and
/// says why (217/USER). A user that only a directory service knows is found all the same, and its
/// experiment begins without being let.
const UNKNOWN_USER: &str = "
# This machine's own files do not know the user: without a condition, a start fails and says so.
[Service]
ExecCondition=
ExecStartPre=+/usr/libexec/brain-in-jar/bij-hook begin %i
";

/// What differs from machine to machine: the users in its own files (no directory service is there at
/// boot), its GPU and its systemd.
struct Host {
    users: String,
    gpu: GpuSettings,
    systemd: SystemdVersion,
}

impl Host {
    fn read(place: &Place) -> Self {
        let read = |name| fs::read_to_string(place.root().join(name)).unwrap_or_default();
        Self {
            gpu: GpuSettings::find(place),
            users: read("etc/passwd"),
            systemd: systemd_version(place.root(), std::env::var_os("SYSTEMD_SCOPE").is_some()),
        }
    }

    fn has_user(&self, user: &str) -> bool {
        user.parse::<u32>().is_ok() || has_entry(&self.users, user)
    }
}

/// Since 251 generators are told `$SYSTEMD_SCOPE` (systemd.generator(7)). Before, the name of systemd's
/// own library tells its version.
fn systemd_version(root: &Path, scope_is_told: bool) -> SystemdVersion {
    if scope_is_told {
        return SystemdVersion(251);
    }
    let entries = ["usr/lib/systemd", "lib/systemd"].map(|name| fs::read_dir(root.join(name)));
    let names = entries.into_iter().flatten().flatten().flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| {
        let version = name.to_str()?.strip_prefix("libsystemd-shared-")?;
        version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    numbers.max().map_or(SystemdVersion::OLDEST, SystemdVersion)
}

/// Whether a file such as passwd(5) has a line for this name.
fn has_entry(file: &str, name: &str) -> bool {
    file.lines().any(|line| line.split(':').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
    fn a_unit_with_the_gpu_gets_the_nodes_of_this_machine_and_a_stamp_of_them() {
        let machine = Machine::new();
        machine.definitions.0.lock().unwrap().as_mut().unwrap().0.gpu.access = true;
        let output = machine.tree.path().join("run/systemd/generator");
        let mut stamps = BTreeSet::new();
        for (devices, node, policy) in [
            ("226 drm\n", "card0", &["# [gpu] access: this machine has no GPU"][..]),
            ("503 17000000.gpu\n", "card0", &["DevicePolicy=closed", "DeviceAllow=/dev/nvmap rw"]),
            (
                "226 drm\n",
                "renderD128",
                &["DevicePolicy=closed", "DeviceAllow=/dev/dri/renderD128"],
            ),
            ("195 nvidia\n", "renderD128", &["PrivateDevices=no", "SupplementaryGroups=video"]),
        ] {
            machine.write("proc/devices", &format!("Character devices:\n{devices}"));
            machine.write("etc/group", "root:x:0:\nvideo:x:44:\nrenderer:x:9:\n");
            machine.write(&format!("dev/dri/{node}"), "");
            generate(&machine.place, &machine.definitions, &output);
            let text = fs::read_to_string(machine.place.layout().drop_in(&machine.id)).unwrap();
            assert!(policy.iter().all(|line| text.contains(line)), "{text}");
            stamps
                .extend(text.lines().find(|line| line.contains("BIJ_STAMP=s1")).map(str::to_owned));
        }
        assert_eq!(stamps.len(), 4, "another GPU is another unit: {stamps:?}");
    }

    #[test]
    fn the_version_of_systemd_is_that_of_its_library_where_nobody_tells() {
        let machine = Machine::new();
        let version = |told| systemd_version(machine.place.root(), told);
        assert_eq!(version(false), SystemdVersion::OLDEST);
        machine.write("lib/systemd/libsystemd-shared-247.so", "");
        assert_eq!(version(false), SystemdVersion(247));
        machine.write("usr/lib/systemd/libsystemd-shared-249.11-0ubuntu3.so", "");
        machine.write("usr/lib/systemd/systemd", "");
        assert_eq!(version(false), SystemdVersion(249));
        assert_eq!(version(true), SystemdVersion(251));
    }

    #[test]
    fn a_user_that_is_not_there_makes_a_start_fail_instead_of_skipping_it() {
        let machine = Machine::new();
        machine.definitions.0.lock().unwrap().as_mut().unwrap().0.user = Some("brain".to_owned());
        let output = machine.tree.path().join("run/systemd/generator");
        for (users, conditional) in [("root:x:0:0\n", false), ("brain:x:7:7\n", true)] {
            machine.write("etc/passwd", users);
            generate(&machine.place, &machine.definitions, &output);
            let text = fs::read_to_string(machine.place.layout().drop_in(&machine.id)).unwrap();
            assert_eq!(!text.contains("\nExecCondition=\n"), conditional, "{text}");
            assert_eq!(!text.contains("/bij-hook begin %i\n"), conditional, "{text}");
        }
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
