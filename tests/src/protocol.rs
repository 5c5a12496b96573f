//! What the host tells the agent (a [`Plan`] in the payload) and what the agent answers (one
//! [`Message`] a line). Both halves are built from the same tree, so there are no versions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where the agent finds its plan.
pub const PLAN_PATH: &str = "/usr/lib/bij-lab/plan.json";

/// Where a machine finds the programs of peers that a benchmark runs beside bij, if it wants any.
pub const PEERS_PATH: &str = "/usr/lib/bij-lab/peers";

/// Where a machine finds the test programs of the crates that make control groups.
pub const UNIT_TESTS_PATH: &str = "/usr/lib/bij-lab/unit-tests";

/// The results port of a machine with a kernel of its own: its second serial port.
pub const RESULTS_PORT: &str = "/dev/ttyS1";

/// In a container: a directory shared with the host, in which the agent appends to `results`.
pub const RESULTS_DIRECTORY: &str = "/bij-lab";

/// A kind of machine that scenarios run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// The distribution's systemd as PID 1 in namespaces: fast, but limits do not bind.
    Machine,
    /// A kernel of its own with the unified hierarchy.
    VmV2,
    /// A kernel of its own with controllers on cgroup v1, as on JetPack 5.
    VmV1,
}

impl Lane {
    /// Every lane.
    pub const ALL: &[Self] = &[Self::Machine, Self::VmV2, Self::VmV1];

    /// The fast lane, for all that needs no limits: what takes a second there takes ten in a machine
    /// that is emulated.
    pub const CONTAINER: &[Self] = &[Self::Machine];

    /// A container and one emulated machine, for long scenarios in which the version of control groups does not matter.
    pub const ONE_VM: &[Self] = &[Self::Machine, Self::VmV2];

    /// The lanes whose kernel holds units to their limits.
    pub const VM: &[Self] = &[Self::VmV2, Self::VmV1];
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Machine => "machine",
            Self::VmV2 => "vm-v2",
            Self::VmV1 => "vm-v1",
        })
    }
}

/// What one machine is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The machine's kind.
    pub lane: Lane,
    /// The major version that its systemd must have.
    pub systemd: u32,
    /// Waits are this many times longer than at native speed.
    pub slowness: u32,
    /// How often scenarios repeat what they repeat, in place of their own number.
    #[serde(default)]
    pub rounds: Option<u32>,
    /// Names of scenarios, in the order to run them.
    pub scenarios: Vec<String>,
}

/// How a machine goes down before a scenario's next phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// The guest shuts down by itself; the host boots it again.
    Reboot,
    /// The host kills the machine with SIGKILL, then boots it again.
    PowerCut,
}

/// One line on the results port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "message")]
pub enum Message {
    /// The agent runs; sent once a boot (and again if the agent itself was restarted).
    Hello {
        /// Counts this disk's boots from 1.
        boot: u32,
        /// The first line of `systemctl --version`.
        systemd: String,
    },
    /// A scenario begins, or goes on after a restart.
    Started {
        /// Its name.
        scenario: String,
    },
    /// A scenario has measured something worth telling, whether it holds or not.
    Told {
        /// Its name.
        scenario: String,
        /// One line.
        text: String,
    },
    /// A scenario held.
    Passed {
        /// Its name.
        scenario: String,
    },
    /// A scenario did not hold.
    Failed {
        /// Its name.
        scenario: String,
        /// What was expected and what was found, with the failing command's output.
        reason: String,
    },
    /// The machine is to go down and come back.
    Restart {
        /// In which way.
        how: Restart,
    },
    /// The plan is done; the machine may be thrown away.
    Finished,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message holds strings, a number and unit variants: none of them can fail to serialize.
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// A line on the results port that is no message.
#[derive(Debug)]
pub struct ParseMessageError {
    line: String,
    source: serde_json::Error,
}

impl fmt::Display for ParseMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a message of the agent: {:?}", self.line)
    }
}

impl std::error::Error for ParseMessageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl FromStr for Message {
    type Err = ParseMessageError;

    /// Reads one line; a terminal's carriage return at its end is taken off.
    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let line = line.trim();
        serde_json::from_str(line)
            .map_err(|source| ParseMessageError { line: line.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_even_when_its_reason_is_not() {
        let message = Message::Failed {
            scenario: "boot".to_owned(),
            reason: "first\nsecond \"quoted\" line \u{1F9E0}".to_owned(),
        };
        let line = message.to_string();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(line.parse::<Message>().unwrap(), message);
    }

    #[test]
    fn the_carriage_return_of_a_serial_port_does_not_hurt() {
        let line = format!("{}\r\n", Message::Finished);
        assert_eq!(line.parse::<Message>().unwrap(), Message::Finished);
    }

    #[test]
    fn noise_on_the_port_is_an_error_that_quotes_it() {
        let error = "[    1.0] kernel: hello".parse::<Message>().unwrap_err();
        assert_eq!(error.to_string(), "not a message of the agent: \"[    1.0] kernel: hello\"");
    }
}
