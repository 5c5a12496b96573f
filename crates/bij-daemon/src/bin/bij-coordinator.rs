//! The coordinator of experiments; `bij_daemon` documents it.

use std::env;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bij_daemon::{CoordinatorCall, Place, run_coordinator, start_logging};

/// `EX_USAGE` of sysexits.h(3head).
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    start_logging("bij-coordinator", None);
    let call = match CoordinatorCall::parse(env::args_os().skip(1)) {
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
    let CoordinatorCall { user, root } = call;
    let place = if *user {
        Place::user(root, |name| env::var_os(name)).context("the user's files cannot be found")?
    } else {
        Place::system(root)
    };
    run_coordinator(&place, |name| env::var_os(name))
}
