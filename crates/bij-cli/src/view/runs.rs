//! Runs by their names, where the name is the result.

use std::io::{self, Write};

use bij_api::message::{Changed, Entry};
use serde::Serialize;

use super::{Format, View};

/// Runs that were taken in or changed: their names for a script, everything in JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Taken(pub(crate) Vec<Entry>);

impl View for Taken {
    fn text(&self, out: &mut dyn Write, _: &Format) -> io::Result<()> {
        self.0.iter().try_for_each(|entry| writeln!(out, "{}", entry.id()))
    }
}

/// What became of runs that something was done to.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ChangedRuns(pub(crate) Vec<Changed>);

impl View for ChangedRuns {
    /// People are told on stderr; the result itself is silent, as in systemctl.
    fn text(&self, _: &mut dyn Write, _: &Format) -> io::Result<()> {
        Ok(())
    }
}

/// Whether something that is no run was changed.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ChangedAtAll {
    pub(crate) changed: bool,
}

impl View for ChangedAtAll {
    fn text(&self, _: &mut dyn Write, _: &Format) -> io::Result<()> {
        Ok(())
    }
}
