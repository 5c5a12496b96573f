//! The filter between experiments and the service manager's notification socket; the library of this crate documents it.
//!
//! `brain-experiment-notify.socket` starts it, with its socket as standard input.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Error;
use bij_hook::start_logging;
use bij_systemd::experiment::MANAGER_NOTIFY_SOCKET;
use bijd::filter_notifications;

fn main() -> ExitCode {
    start_logging("bij-notify", None);
    match filter_notifications(std::io::stdin(), Path::new(MANAGER_NOTIFY_SOCKET), Path::new("/")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{:#}", Error::from(error));
            ExitCode::FAILURE
        }
    }
}
