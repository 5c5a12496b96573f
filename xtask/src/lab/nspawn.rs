//! The machine lane: the distribution's own systemd as PID 1 in namespaces, at native speed.
//!
//! The root is an overlay: the image below, then payload and plan, then a directory that takes every
//! write. It is mounted in a mount namespace of the container's own and vanishes with it. Control groups
//! are the host's and usually not writable, so limits do not bind here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use bij_e2e::RESULTS_DIRECTORY;

use super::image::Image;
use super::machine::{Boot, Machine};
use super::payload::Loaded;

/// Mounts the overlay, then becomes the container. Arguments: lower directories, the machine's
/// directory, and where the results are shared.
const SCRIPT: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
exec systemd-nspawn --quiet --register=no --keep-unit --directory="$2/root" \
    --bind="$2/results:$3" --private-network --console=pipe --boot
"#;

/// A container and its writable layer.
#[derive(Debug)]
pub(super) struct Container {
    directory: PathBuf,
    lower: String,
    boots: u32,
}

impl Container {
    /// Makes the layers; boots nothing yet.
    pub(super) fn prepare(image: &Image, payload: &Loaded, directory: &Path) -> Result<Self> {
        for name in ["upper", "work", "root"] {
            fs::create_dir_all(directory.join(name))?;
        }
        let lower = [&payload.plan, &payload.tree, &image.tree()]
            .map(|layer| layer.display().to_string())
            .join(":");
        Ok(Self { directory: directory.to_owned(), lower, boots: 0 })
    }
}

impl Machine for Container {
    fn boot(&mut self) -> Result<Boot> {
        self.boots += 1;
        let shared = self.directory.join("results");
        if shared.exists() {
            fs::remove_dir_all(&shared)?;
        }
        fs::create_dir_all(&shared)?;
        let mut machine = Command::new("unshare");
        machine
            // In a process namespace of its own, so that nothing of the container outlives nspawn:
            // its own systemd would, being nobody's child then.
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["bash", "-c", SCRIPT, "container", &self.lower])
            .arg(&self.directory)
            .arg(RESULTS_DIRECTORY);
        let console = self.directory.join(format!("console.{}.log", self.boots));
        Boot::start(&machine, shared.join("results"), console)
    }

    fn discard(&mut self) {
        for name in ["upper", "work"] {
            drop(fs::remove_dir_all(self.directory.join(name)));
        }
    }
}
