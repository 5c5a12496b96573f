//! The processors that packages are built for.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::shell;

/// A processor, by Debian's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    /// PCs and servers
    Amd64,
    /// Jetsons
    Arm64,
}

impl Architecture {
    /// The processor of this host.
    pub(crate) const HOST: Self =
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 };

    /// Returns Debian's name.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the target as Rust names it.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Makes sure that the compiler has a standard library for it.
    ///
    /// # Errors
    ///
    /// If it has none and rustup cannot fetch it.
    pub(crate) fn provide_standard_library(self) -> Result<()> {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let directory =
            shell::read(rustc.args(["--print=target-libdir", "--target", self.target()]))?;
        if !Path::new(directory.trim()).is_dir() {
            println!("fetching Rust's standard library for {}, once", self.debian());
            shell::run_quietly(Command::new("rustup").args(["target", "add", self.target()]))?;
        }
        Ok(())
    }
}
