//! The coordinator of experiments; the library of this crate documents it.

use std::env;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bij_hook::start_logging;
use bij_host::{HostContext, confine};
use bijd::{CoordinatorCall, run_coordinator};

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
