//! The distributions that machines are made of.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Result, anyhow};
use bij_e2e::Lane;

use super::image::{self, Image};
use crate::stage::Linking;

/// A Debian release, and what differs in it.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Its code name, as mirrors spell it.
    pub(crate) name: &'static str,
    /// The major version of its systemd.
    pub(crate) systemd: u32,
    /// Packages beyond the ones that every suite gets.
    pub(crate) packages: &'static [&'static str],
    /// The newest glibc its programs may need, as (major, minor).
    pub(crate) glibc: (u32, u32),
    /// Processors of an emulated machine.
    pub(crate) processors: u32,
}

/// systemd 247, between JetPack 5's and 6's.
pub(crate) static BULLSEYE: Suite = Suite {
    name: "bullseye",
    systemd: 247,
    packages: &["policykit-1"],
    glibc: (2, 31),
    processors: 2,
};

/// systemd 252, the one every change is tested on.
pub(crate) static BOOKWORM: Suite =
    Suite { name: "bookworm", systemd: 252, packages: &["polkitd"], glibc: (2, 36), processors: 2 };

/// systemd 257. Its kernel 6.12 has panicked under emulation with two processors.
pub(crate) static TRIXIE: Suite =
    Suite { name: "trixie", systemd: 257, packages: &["polkitd"], glibc: (2, 41), processors: 1 };

impl Suite {
    /// Its image, built now unless it was before.
    pub(crate) fn image(&'static self) -> Result<Image> {
        // One at a time: two threads must not build the same image, nor fight over the network.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _guard = BUILDING.lock().map_err(|_| anyhow!("building an image panicked"))?;
        image::provide(self)
    }

    /// Whether it boots there. systemd 256 and later refuse cgroup v1, which is also what a container
    /// finds on many a host.
    pub(crate) fn boots(&self, lane: Lane) -> bool {
        self.systemd < 256 || lane == Lane::VmV2
    }

    /// How programs that are to start in it must be linked.
    pub(crate) fn linking(&self) -> Linking {
        match super::portable::host_glibc() {
            Some(host) if host > self.glibc => Linking::Portable,
            Some(_) | None => Linking::Native,
        }
    }
}

/// Where images are kept: outside the repository, where caches belong.
pub(crate) fn cache_directory() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .ok_or_else(|| anyhow!("neither $XDG_CACHE_HOME nor $HOME says where caches belong"))?;
    Ok(base.join("bij-lab"))
}
