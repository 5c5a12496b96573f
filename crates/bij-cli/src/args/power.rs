//! The arguments of `bij power`.

use clap::{Args, Subcommand};

/// The arguments of `bij power`.
#[derive(Debug, Args)]
pub(crate) struct PowerArgs {
    /// Without a verb the modes are listed
    #[command(subcommand)]
    pub(crate) verb: Option<PowerVerb>,
}

/// The verbs of `bij power`.
#[derive(Debug, Subcommand)]
pub(crate) enum PowerVerb {
    /// List the power modes of this board: which is in force, and which need a reboot
    List,
    /// Switch the board to a power mode
    Set {
        /// The name or number of the mode
        #[arg(value_name = "MODE")]
        mode: String,
        /// Let the next boot come up in the mode if it needs a reboot; the board is not rebooted
        #[arg(long)]
        allow_reboot_later: bool,
    },
}
