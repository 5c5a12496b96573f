//! `bij power`.

use clap::{Args, Subcommand};

/// `bij power`.
#[derive(Debug, Args)]
pub(crate) struct PowerArgs {
    /// What is to be done; the modes are listed without
    #[command(subcommand)]
    pub(crate) verb: Option<PowerVerb>,
}

/// What is done with power modes.
#[derive(Debug, Subcommand)]
pub(crate) enum PowerVerb {
    /// List the power modes of this board, and which of them need a reboot
    List,
    /// Switch the board to a power mode
    Set {
        /// Its name or number
        #[arg(value_name = "MODE")]
        mode: String,
        /// If the mode needs a reboot, have the next boot come up with it; the board is not rebooted
        #[arg(long)]
        allow_reboot_later: bool,
    },
}
