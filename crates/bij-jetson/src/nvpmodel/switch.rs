//! Another power mode: asked for, and then looked whether it is so.

use std::path::PathBuf;
use std::time::Duration;

use bij_core::Outcome;
use thiserror::Error;

use super::current::STATUS;
use super::{CurrentMode, PowerConf, PowerMode, QueryError, predict, query};
use crate::{ClocksError, Files, JetsonClocks, Root, ToolError, WhyNot, tool};

/// A switch takes up to a second; only one that hangs takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Asks and orders NVIDIA's `nvpmodel`. It never reboots, and never answers "yes".
#[derive(Clone, Debug)]
pub struct Nvpmodel {
    root: Root,
    limit: Duration,
}

/// Why a mode was not set; the mode that was in force is, but for [`Refused`](Self::Refused).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// It has none.
    #[error("this machine has no power modes: /etc/nvpmodel.conf is not there")]
    NoModes,
    /// The configuration cannot be had.
    #[error("cannot tell what power modes there are: /etc/nvpmodel.conf is {0}")]
    NoConf(WhyNot),
    /// There is no such mode.
    #[error("there is no power mode {wanted}; there are {}", known.join(", "))]
    UnknownMode {
        /// The mode that was wanted, as it was named.
        wanted: String,
        /// What there is, each as `2 MODE_30W`.
        known: Vec<String>,
    },
    /// The configuration is that of another module.
    #[error("/etc/nvpmodel.conf is not for this module: it wants {path}, which is not there")]
    WrongConf {
        /// A processor that this module does not have.
        path: String,
    },
    /// It cannot be had without a reboot.
    #[error("power mode {id} needs a reboot: it changes which parts of the GPU have power")]
    NeedsReboot {
        /// The mode that was wanted.
        id: u32,
    },
    /// The kernel refused a part of it. What came before that part is in force now.
    #[error("the kernel refused {value} for {path} (errno {errno}); the mode is partly set")]
    Refused {
        /// The file.
        path: String,
        /// What nvpmodel wanted to write.
        value: String,
        /// The kernel's answer: 16 is EBUSY, 19 ENODEV.
        errno: i32,
    },
    /// nvpmodel said that all is well, and it is not.
    #[error("nvpmodel reported no error, and power mode {found} is in force instead of {wanted}")]
    Silent {
        /// The mode that was wanted.
        wanted: u32,
        /// The mode that is in force.
        found: u32,
    },
    /// The clocks are held above what the mode allows, and could not be let go.
    #[error("cannot let go of the clocks that jetson_clocks holds")]
    Clocks(#[from] ClocksError),
    /// nvpmodel did not run, or not to its end.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// What is to be in force at the next boot could not be written down.
    #[error("cannot write /var/lib/nvpmodel/status")]
    NotWritten(#[source] std::io::Error),
    /// The mode in force could not be noted, and nvpmodel would have forgotten it.
    #[error("cannot note which power mode is in force until the next boot")]
    NotNoted(#[source] std::io::Error),
    /// nvpmodel cannot tell what is in force now.
    #[error("cannot verify that the power mode is set")]
    Unverified(#[source] QueryError),
}

impl SwitchError {
    /// There is nothing to choose from.
    pub fn without_modes(why: WhyNot) -> Self {
        if why == WhyNot::Absent { Self::NoModes } else { Self::NoConf(why) }
    }

    /// There is no mode of that name or number.
    pub(crate) fn unknown(wanted: &str, conf: &PowerConf) -> Self {
        let known = conf.modes.iter().map(|mode| format!("{} {}", mode.id, mode.name));
        Self::UnknownMode { wanted: wanted.to_owned(), known: known.collect() }
    }

    /// What helps, where that is known.
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NeedsReboot { .. } => {
                Some("--allow-reboot-later has the next boot come up with it")
            }
            // 13 is EACCES.
            Self::Refused { errno: 13, .. } => Some("only root may switch the board"),
            _ => None,
        }
    }
}

impl Nvpmodel {
    /// The tool below a root.
    pub fn below(root: Root) -> Self {
        Self { root, limit: LIMIT }
    }

    /// The same, with another time to its end.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn program(&self) -> PathBuf {
        self.root.at("usr/sbin/nvpmodel")
    }

    /// The mode in force, by nvpmodel's own word.
    ///
    /// # Errors
    /// [`QueryError`] if it has none to give.
    pub fn query(&self) -> Result<CurrentMode, QueryError> {
        let said = tool::run(&self.program(), &["-q"], self.limit)?;
        // It ends with 0 in spite of its errors, and with others in spite of its answer.
        query::answer(&said.text).map_err(|unanswered| match said.end(&self.program()) {
            Err(killed @ ToolError::Killed { .. }) => killed.into(),
            Ok(()) | Err(_) => unanswered,
        })
    }

    /// Sets a mode and verifies that it is in force. Clocks that are held are let go before: nvpmodel
    /// does not lower them.
    ///
    /// # Errors
    /// [`SwitchError`]; each of its kinds has its own remedy.
    pub fn switch(&self, id: u32, clocks: &JetsonClocks) -> Result<Outcome, SwitchError> {
        let conf = PowerConf::read(&self.root).map_err(SwitchError::without_modes)?;
        let Some(mode) = conf.mode(id) else {
            return Err(SwitchError::unknown(&id.to_string(), &conf));
        };
        match self.query() {
            Ok(current) if current.id == id && !is_contradicted(&self.root, &conf, mode) => {
                return Ok(Outcome::Unchanged);
            }
            // Whatever is in force, it is about to be left.
            Ok(_) | Err(QueryError::Unanswered { .. }) => {}
            Err(QueryError::Tool(error)) => return Err(error.into()),
        }
        if let Some(path) = missing_core(&self.root, &conf, mode) {
            return Err(SwitchError::WrongConf { path });
        }
        // A mask that cannot be read is nvpmodel's to judge.
        if predict::needs_reboot(&self.root, &conf, mode) == Ok(true) {
            return Err(SwitchError::NeedsReboot { id });
        }
        clocks.restore()?;
        self.order(id)
    }

    /// Has the next boot come up in a mode: nvpmodel sets at boot what stands in its status file. What
    /// is in force now stays so, and nothing is rebooted.
    ///
    /// # Errors
    /// [`SwitchError::NotWritten`] if that cannot be written down.
    pub fn set_at_next_boot(&self, id: u32) -> Result<(), SwitchError> {
        let path = self.root.at(STATUS);
        let fresh = path.with_extension("bij");
        let mode = format!("pmode:{id:04}");
        let text = match std::fs::read_to_string(&path) {
            // An older release keeps more in it.
            Ok(text) => {
                let word = |word| if is_mode(word) { mode.as_str() } else { word };
                text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
            }
            Err(_) => mode,
        };
        std::fs::write(&fresh, format!("{text}\n"))
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(SwitchError::NotWritten)
    }

    fn order(&self, id: u32) -> Result<Outcome, SwitchError> {
        let said = tool::run(&self.program(), &["-m", &id.to_string()], self.limit)?;
        if let Some(error) = complaint(&said.text, id) {
            return Err(error);
        }
        match self.query() {
            // Whatever its exit code was.
            Ok(found) if found.id == id => Ok(Outcome::Changed),
            Ok(found) => {
                said.end(&self.program())?;
                Err(SwitchError::Silent { wanted: id, found: found.id })
            }
            Err(error) => {
                said.end(&self.program())?;
                Err(SwitchError::Unverified(error))
            }
        }
    }
}

fn is_contradicted(files: &dyn Files, conf: &PowerConf, mode: &PowerMode) -> bool {
    matches!(predict::fit(files, conf, mode), predict::Fit::Contradicted(_))
}

fn is_mode(word: &str) -> bool {
    word.starts_with("pmode:")
}

/// The first processor that a mode switches on and this machine does not have.
fn missing_core(files: &dyn Files, conf: &PowerConf, mode: &PowerMode) -> Option<String> {
    let cores = mode.settings.iter().filter(|s| s.param == "CPU_ONLINE" && s.value == "1");
    let missing = |path: &str| files.read(path).map_err(WhyNot::from) == Err(WhyNot::Absent);
    cores
        .filter_map(|setting| conf.paths_of(setting).next())
        .find(|path| missing(path))
        .map(ToOwned::to_owned)
}

/// What nvpmodel says when it does not do it; its exit code may be 0 all the same.
fn complaint(text: &str, id: u32) -> Option<SwitchError> {
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
    use std::path::Path;

    use super::*;

    #[test]
    fn the_next_boot_comes_up_as_it_is_told_and_nothing_else_is_forgotten() {
        let tree = tempfile::tempdir().unwrap();
        let status = tree.path().join(STATUS);
        std::fs::create_dir_all(status.parent().unwrap()).unwrap();
        let nvpmodel = Nvpmodel::below(Root::new(tree.path()));
        for (before, after) in [
            (None, "pmode:0001\n"),
            (Some("pmode:0002\n"), "pmode:0001\n"),
            (Some("pmode:0002 fmode:quiet\n"), "pmode:0001 fmode:quiet\n"),
        ] {
            if let Some(text) = before {
                std::fs::write(&status, text).unwrap();
            }
            nvpmodel.set_at_next_boot(1).unwrap();
            assert_eq!(std::fs::read_to_string(&status).unwrap(), after);
        }
        let nowhere = Nvpmodel::below(Root::new(tree.path().join("nowhere")));
        assert!(matches!(nowhere.set_at_next_boot(1), Err(SwitchError::NotWritten(_))));
    }

    #[test]
    fn every_complaint_that_was_seen_is_understood() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
        let said = |file: &str| {
            let text = std::fs::read_to_string(trees.join(file)).unwrap();
            complaint(&text, 2)
        };
        for file in [
            "agx-orin-jp5/_cmd/nvpmodel-m-reboot-declined.no-tty.txt",
            "agx-orin-jp6/_cmd/nvpmodel-m-reboot-declined.no-tty.txt",
            "agx-orin-jp6/_cmd/nvpmodel-m-reboot-declined.tty.txt",
        ] {
            assert!(matches!(said(file), Some(SwitchError::NeedsReboot { id: 2 })), "{file}");
        }
        match said("agx-orin-jp6/_cmd/nvpmodel-m-write-error.txt") {
            Some(SwitchError::Refused { path, value, errno: 16 }) => {
                assert_eq!(path, "/sys/devices/platform/gpu.0/tpc_pg_mask");
                assert_eq!(value, "248");
            }
            other => panic!("{other:?}"),
        }
        assert!(said("agx-orin-jp5/_cmd/nvpmodel-q.user.txt").is_none(), "an error of reading");
        assert!(said("agx-orin-jp6/_cmd/nvpmodel-m-bad-id.txt").is_none(), "its exit code tells");
    }
}
