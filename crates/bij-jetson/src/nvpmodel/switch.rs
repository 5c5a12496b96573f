//! Switches the power mode and verifies the result.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bij_core::Outcome;
use thiserror::Error;

use super::current::{STATUS, parse_answer};
use super::{ConfiguredMode, CurrentMode, PowerConf, QueryError, predict};
use crate::files::{Root, remove_if_present};
use crate::{ClocksError, Files, JetsonClocks, Reading, ToolError, WhyNot, tool};

/// Time limit of nvpmodel; a switch takes up to a second.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs NVIDIA's `nvpmodel`. It never reboots, because nvpmodel's question is never answered with "yes".
#[derive(Clone, Debug)]
pub struct Nvpmodel {
    root: Root,
    limit: Duration,
}

/// Why a mode was not set. The previous mode is still in force, except after [`Refused`](Self::Refused).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// The machine has no configuration of nvpmodel.
    #[error("this machine has no power modes: /etc/nvpmodel.conf is not there")]
    NoModes,
    /// The configuration cannot be read or parsed.
    #[error("cannot read the power modes: /etc/nvpmodel.conf is {0}")]
    NoConf(WhyNot),
    /// There is no mode of this name or number.
    #[error("there is no power mode {wanted}; there are {}", known.join(", "))]
    UnknownMode {
        /// The name or number that was requested.
        wanted: String,
        /// The existing modes, each as `2 MODE_30W`.
        known: Vec<String>,
    },
    /// The configuration belongs to another module.
    #[error("/etc/nvpmodel.conf is for another module: it sets {path}, which does not exist")]
    WrongConf {
        /// The file of a CPU that this module does not have.
        path: String,
    },
    /// The mode takes effect only after a reboot.
    #[error("power mode {id} needs a reboot: it changes which parts of the GPU have power")]
    NeedsReboot {
        /// The number of the requested mode.
        id: u32,
    },
    /// The kernel refused one of the mode's values; the values before it are in force.
    #[error("the kernel refused {value} for {path} (errno {errno}); the mode is partly set")]
    Refused {
        /// The file that was written to.
        path: String,
        /// The value that nvpmodel wrote.
        value: String,
        /// The kernel's error code: 16 is EBUSY, 19 ENODEV.
        errno: i32,
    },
    /// nvpmodel reported success, but another mode is in force.
    #[error("nvpmodel reported no error, and power mode {found} is in force instead of {wanted}")]
    Silent {
        /// The number of the requested mode.
        wanted: u32,
        /// The mode that is in force.
        found: u32,
    },
    /// The held clocks are above those of the mode and could not be released.
    #[error("cannot release the clocks that jetson_clocks holds")]
    Clocks(#[from] ClocksError),
    /// nvpmodel did not run to its end.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The mode of the next boot could not be recorded.
    #[error("cannot write /var/lib/nvpmodel/status")]
    NotWritten(#[source] io::Error),
    /// The mode in force could not be noted, so the mode of the next boot was not recorded.
    #[error("cannot note the power mode that is in force until the next boot")]
    NotNoted(#[source] io::Error),
    /// nvpmodel did not name the mode in force after the switch.
    #[error("cannot verify that the power mode is set")]
    Unverified(#[source] QueryError),
}

impl SwitchError {
    /// Converts the reason why the configuration cannot be read.
    pub fn without_modes(why: WhyNot) -> Self {
        if why == WhyNot::Absent { Self::NoModes } else { Self::NoConf(why) }
    }

    /// Creates the error for a name or number that no mode has.
    pub(crate) fn unknown(wanted: &str, conf: &PowerConf) -> Self {
        let known = conf.modes.iter().map(|mode| format!("{} {}", mode.id, mode.name));
        Self::UnknownMode { wanted: wanted.to_owned(), known: known.collect() }
    }

    /// Returns the remedy, if it is known.
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NeedsReboot { .. } => {
                Some("--allow-reboot-later has the next boot come up with it")
            }
            // The error code 13 is EACCES.
            Self::Refused { errno: 13, .. } => Some("only root may switch the board"),
            _ => None,
        }
    }
}

impl Nvpmodel {
    /// Creates the control from the tool below a root.
    pub fn below(root: impl AsRef<Path>) -> Self {
        Self { root: Root::new(root), limit: LIMIT }
    }

    /// Reads nvpmodel's configuration.
    ///
    /// # Errors
    /// [`WhyNot`] if there is none, or no mode in it can be parsed.
    pub fn conf(&self) -> Reading<PowerConf> {
        PowerConf::read(&self.root)
    }

    /// Sets the time limit of nvpmodel.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn program(&self) -> PathBuf {
        self.root.at("usr/sbin/nvpmodel")
    }

    /// Asks nvpmodel for the mode in force.
    ///
    /// # Errors
    /// [`QueryError`] if nvpmodel fails or names no mode.
    pub fn query(&self) -> Result<CurrentMode, QueryError> {
        let output = tool::run(&self.program(), &["-q"], self.limit)?;
        // Its exit code may be 0 despite errors, and another despite an answer.
        parse_answer(&output.text).map_err(|unanswered| match output.check(&self.program()) {
            Err(killed @ ToolError::Killed { .. }) => killed.into(),
            Ok(()) | Err(_) => unanswered,
        })
    }

    /// Sets a mode and verifies that it is in force. Held clocks are released first, because nvpmodel does not lower
    /// them.
    ///
    /// # Errors
    /// [`SwitchError`]; the mode is not set, or could not be verified.
    pub fn switch(&self, id: u32, clocks: &JetsonClocks) -> Result<Outcome, SwitchError> {
        let conf = PowerConf::read(&self.root).map_err(SwitchError::without_modes)?;
        let Some(mode) = conf.mode(id) else {
            return Err(SwitchError::unknown(&id.to_string(), &conf));
        };
        match self.query() {
            Ok(current) if current.id == id && !is_contradicted(&self.root, &conf, mode) => {
                return Ok(Outcome::Unchanged);
            }
            // An unknown mode in force does not matter, because it is replaced.
            Ok(_) | Err(QueryError::Unanswered { .. }) => {}
            Err(QueryError::Tool(error)) => return Err(error.into()),
        }
        if let Some(path) = missing_core(&self.root, &conf, mode) {
            return Err(SwitchError::WrongConf { path });
        }
        // If a mask cannot be read, nvpmodel decides.
        if predict::needs_reboot(&self.root, &conf, mode) == Ok(true) {
            return Err(SwitchError::NeedsReboot { id });
        }
        clocks.restore()?;
        self.set_and_verify(id)
    }

    /// Sets the mode of the next boot, by writing nvpmodel's status file, which nvpmodel applies at boot. The mode in
    /// force stays, and nothing is rebooted.
    ///
    /// # Errors
    /// [`SwitchError::NotWritten`] if the file cannot be written.
    pub fn set_at_next_boot(&self, id: u32) -> Result<(), SwitchError> {
        let path = self.root.at(STATUS);
        let mode = format!("pmode:{id:04}");
        let text = match fs::read_to_string(&path) {
            // Older releases keep more words in this file.
            Ok(text) => {
                let word = |word| if is_mode_word(word) { mode.as_str() } else { word };
                text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
            }
            Err(_) => mode,
        };
        replace(&path, &format!("{text}\n")).map_err(SwitchError::NotWritten)
    }

    fn set_and_verify(&self, id: u32) -> Result<Outcome, SwitchError> {
        let output = tool::run(&self.program(), &["-m", &id.to_string()], self.limit)?;
        if let Some(error) = parse_error(&output.text, id) {
            return Err(error);
        }
        match self.query() {
            // The exit code does not matter if the mode is in force.
            Ok(found) if found.id == id => Ok(Outcome::Changed),
            Ok(found) => {
                output.check(&self.program())?;
                Err(SwitchError::Silent { wanted: id, found: found.id })
            }
            Err(error) => {
                output.check(&self.program())?;
                Err(SwitchError::Unverified(error))
            }
        }
    }
}

fn is_contradicted(files: &dyn Files, conf: &PowerConf, mode: &ConfiguredMode) -> bool {
    matches!(predict::compare(files, conf, mode), predict::Fit::Contradicted(_))
}

/// Replaces a file that every user may read, which is always complete, even after a power cut.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_extension(format!("{}-{write}.new", process::id()));
    let replaced = write_new(&fresh, text).and_then(|()| fs::rename(&fresh, path));
    if replaced.is_err() {
        // The first error is the one to report.
        let _ = remove_if_present(&fresh);
    }
    replaced?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// Writes a file to the disk. A file of that name can only be the rest of an earlier attempt, and is replaced.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    remove_if_present(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn is_mode_word(word: &str) -> bool {
    word.starts_with("pmode:")
}

/// Returns the first CPU that a mode switches on and this machine does not have.
fn missing_core(files: &dyn Files, conf: &PowerConf, mode: &ConfiguredMode) -> Option<String> {
    let cores = mode.settings.iter().filter(|s| s.param == "CPU_ONLINE" && s.value == "1");
    let missing = |path: &str| files.read(path).map_err(WhyNot::from) == Err(WhyNot::Absent);
    cores
        .filter_map(|setting| conf.paths_of(setting).next())
        .find(|path| missing(path))
        .map(ToOwned::to_owned)
}

/// Parses nvpmodel's error output; its exit code may be 0 nevertheless.
fn parse_error(text: &str, id: u32) -> Option<SwitchError> {
    if text.contains("Reboot required") {
        return Some(SwitchError::NeedsReboot { id });
    }
    // `NVPM ERROR: Error writing 248 to /sys/…/tpc_pg_mask: 16`
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once("Error writing ")?;
        let (value, rest) = rest.split_once(" to ")?;
        let (path, errno) = rest.rsplit_once(": ")?;
        let errno = errno.trim().parse().ok()?;
        Some(SwitchError::Refused { path: path.to_owned(), value: value.to_owned(), errno })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_mode_of_the_next_boot_keeps_the_rest_of_the_file() {
        let tree = tempfile::tempdir().unwrap();
        let status = tree.path().join(STATUS);
        fs::create_dir_all(status.parent().unwrap()).unwrap();
        let nvpmodel = Nvpmodel::below(tree.path());
        for (before, after) in [
            (None, "pmode:0001\n"),
            (Some("pmode:0002\n"), "pmode:0001\n"),
            (Some("pmode:0002 fmode:quiet\n"), "pmode:0001 fmode:quiet\n"),
        ] {
            if let Some(text) = before {
                fs::write(&status, text).unwrap();
            }
            nvpmodel.set_at_next_boot(1).unwrap();
            assert_eq!(fs::read_to_string(&status).unwrap(), after);
        }
        let names = fs::read_dir(status.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1, "no temporary file is left");
        let mode = fs::metadata(&status).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "every user may read it");
        let nowhere = Nvpmodel::below(tree.path().join("nowhere"));
        assert!(matches!(nowhere.set_at_next_boot(1), Err(SwitchError::NotWritten(_))));
    }

    #[test]
    fn every_known_error_output_is_parsed() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
        let error_in = |file: &str| {
            let text = fs::read_to_string(trees.join(file)).unwrap();
            parse_error(&text, 2)
        };
        for file in [
            "agx-orin-jp5/_cmd/nvpmodel-m-reboot-declined.no-tty.txt",
            "agx-orin-jp6/_cmd/nvpmodel-m-reboot-declined.no-tty.txt",
            "agx-orin-jp6/_cmd/nvpmodel-m-reboot-declined.tty.txt",
        ] {
            assert!(matches!(error_in(file), Some(SwitchError::NeedsReboot { id: 2 })), "{file}");
        }
        match error_in("agx-orin-jp6/_cmd/nvpmodel-m-write-error.txt") {
            Some(SwitchError::Refused { path, value, errno: 16 }) => {
                assert_eq!(path, "/sys/devices/platform/gpu.0/tpc_pg_mask");
                assert_eq!(value, "248");
            }
            other => panic!("{other:?}"),
        }
        assert!(error_in("agx-orin-jp5/_cmd/nvpmodel-q.user.txt").is_none(), "a read error");
        assert!(error_in("agx-orin-jp6/_cmd/nvpmodel-m-bad-id.txt").is_none(), "see the exit code");
    }
}
