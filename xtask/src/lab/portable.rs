//! Builds for machines whose C library is older than ours, by zig as the linker (`cargo-zigbuild`).

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// What such programs are built for.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The oldest C library among our suites (bullseye's).
const GLIBC: &str = "2.31";

/// The version of the C library that this host links against, as (major, minor).
pub(super) fn host_glibc() -> Option<(u32, u32)> {
    let text = shell::read(Command::new("getconf").arg("GNU_LIBC_VERSION")).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Makes of `cargo` a command that builds against the oldest C library.
pub(crate) fn prepare(cargo: &mut Command) -> Result<()> {
    if shell::find_program("cargo-zigbuild").is_none() {
        bail!(
            "programs for a distribution older than this host need cargo-zigbuild: \
             run `pip install cargo-zigbuild ziglang`"
        );
    }
    cargo.args(["zigbuild", "--target", &format!("{TARGET}.{GLIBC}")]);
    Ok(())
}
