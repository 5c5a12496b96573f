//! What cargo knows of this workspace.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::shell;

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let own = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        own.parent().expect("xtask lies in the workspace's directory").to_owned()
    });
    &ROOT
}

/// The part of `cargo metadata` that chores need.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) license_file: Option<String>,
    /// The registries that it may be published to: none, or any if this is `None`.
    pub(crate) publish: Option<Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

impl Package {
    /// Returns `true` if the package is meant for other projects.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }

    /// Returns `true` if the package has a library.
    pub(crate) fn is_library(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "lib"))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

impl Metadata {
    /// Asks cargo about our own crates.
    pub(crate) fn read() -> Result<Self> {
        Self::ask("--no-deps")
    }

    /// Asks cargo about our own crates and everything they are built from on Linux.
    pub(crate) fn read_with_dependencies() -> Result<Self> {
        Self::ask("--filter-platform=x86_64-unknown-linux-gnu")
    }

    fn ask(option: &str) -> Result<Self> {
        let text = shell::read(shell::cargo().args(["metadata", "--format-version=1", option]))?;
        serde_json::from_str(&text).context("cargo metadata is not as expected")
    }

    /// The packages of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The names of the programs that a member of this workspace builds.
    pub(crate) fn programs(&self, package: &str) -> Vec<&str> {
        self.members()
            .filter(|member| member.name == package)
            .flat_map(|member| &member.targets)
            .filter(|target| target.kind.iter().any(|kind| kind == "bin"))
            .map(|target| target.name.as_str())
            .collect()
    }
}
