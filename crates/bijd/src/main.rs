//! The coordinator of experiments; the library of this crate documents it.

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bij_hook::start_logging;
use bij_host::{HostContext, confine};
use bijd::run_coordinator;
use lexopt::prelude::Long;
use thiserror::Error;

/// `EX_USAGE` of sysexits.h(3head).
const EX_USAGE: u8 = 64;

/// Variables that the coordinator's unit sets: the log level, when the C library returns memory, and the process that
/// the watchdog is for.
const OWN_VARIABLES: [&str; 4] =
    ["BIJ_LOG", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "WATCHDOG_PID"];

fn main() -> ExitCode {
    let call = CoordinatorCall::parse(env::args_os().skip(1));
    // A user's manager is found by environment variables, and has only the rights of the user.
    let is_users = call.as_ref().is_ok_and(|call| call.user);
    if !is_users && let Err(error) = confine(&OWN_VARIABLES) {
        let _ = writeln!(std::io::stderr(), "cannot execute bijd again: {error}");
        return ExitCode::FAILURE;
    }
    start_logging("bijd", None);
    let call = match call {
        Ok(call) => call,
        Err(usage) => {
            log::error!("{usage}");
            return ExitCode::from(EX_USAGE);
        }
    };
    match run(&call) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(call: &CoordinatorCall) -> Result<()> {
    let CoordinatorCall { user, root, board } = call;
    let host = if *user {
        HostContext::user(root, |name| env::var_os(name)).context("cannot find the user's files")?
    } else {
        HostContext::system(root)
    };
    run_coordinator(&host, board.as_deref(), |name| env::var_os(name))
}

/// The arguments of one call of `bijd`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CoordinatorCall {
    /// `--user`: coordinates the experiments of the calling user instead of the system's.
    user: bool,
    /// `--root DIR`: the tree of all paths, by default `/`.
    root: PathBuf,
    /// `--board DIR`: another tree to read the hardware from, including memory, such as a captured board for trying out
    /// thermal control.
    board: Option<PathBuf>,
}

/// The arguments are invalid.
#[derive(Debug, Error)]
#[error("{0}; usage: bijd [--user] [--root DIR] [--board DIR]")]
struct CoordinatorUsage(#[from] lexopt::Error);

impl CoordinatorCall {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`CoordinatorUsage`] names the argument that is wrong.
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, CoordinatorUsage> {
        let mut call = Self { user: false, root: PathBuf::from("/"), board: None };
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("user") => call.user = true,
                Long("root") => call.root = parser.value()?.into(),
                Long("board") => {
                    // The unit passes a variable of an operator's drop-in, which is empty by default.
                    let board = parser.value()?;
                    call.board = Some(board).filter(|board| !board.is_empty()).map(Into::into);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<CoordinatorCall, CoordinatorUsage> {
        CoordinatorCall::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn known_options_are_read_and_others_refused() {
        let call = parse(&["--user", "--root", "/tree", "--board", "/agx"]).unwrap();
        let board = Some("/agx".into());
        assert_eq!(call, CoordinatorCall { user: true, root: "/tree".into(), board });
        let plain = CoordinatorCall { user: false, root: "/".into(), board: None };
        assert_eq!(parse(&[]).unwrap(), plain);
        assert_eq!(parse(&["--board", ""]).unwrap(), plain, "as in the unit");
        for bad in [&["--root"][..], &["--board"], &["start"], &["--usr"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
