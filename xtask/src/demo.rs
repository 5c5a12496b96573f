//! `cargo xtask demo`: the three example experiments, side by side, until their end.

use anyhow::{Result, bail};

/// Builds all and runs it.
pub(crate) fn demo() -> Result<()> {
    bail!("the command-line tool is not there yet")
}
