//! nvpmodel's power modes: the configured modes, the mode in force, which modes need a reboot, and switching.
//!
//! Modes are never written to sysfs directly, because a mode is dozens of files in an order that only nvpmodel knows.
//! After a switch the mode in force is verified, because nvpmodel may report success when it has failed.

mod conf;
mod current;
mod predict;
mod switch;

pub(crate) use current::verify_mode;

pub use conf::{ConfiguredMode, ModeSetting, ParamKind, PassedOver, PowerConf, PowerParam};
pub use current::{CurrentMode, ModeSource, QueryError};
pub use switch::{Nvpmodel, SwitchError};

use crate::{Files, Reading, WhyNot};

/// nvpmodel's configuration file.
const CONF: &str = "etc/nvpmodel.conf";

/// The power modes of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PowerModes {
    /// The mode in force according to files: the recorded one, unless the masks of the GPU or the CPUs online
    /// contradict it.
    pub current: Reading<CurrentMode>,
    /// The mode that nvpmodel has recorded: the one set last, or the one of the next boot.
    pub recorded: Reading<CurrentMode>,
    /// The modes to choose from, sorted by number.
    pub offered: Reading<Vec<OfferedMode>>,
    /// Lines of nvpmodel's configuration that could not be parsed.
    pub passed_over: Vec<PassedOver>,
}

/// A mode that can be set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OfferedMode {
    /// The mode's number; neither contiguous nor in the order of power.
    pub id: u32,
    /// The mode's name, such as `MODE_30W`.
    pub name: String,
    /// Whether switching to it from the mode in force needs a reboot.
    pub needs_reboot: Reading<bool>,
}

impl PowerModes {
    /// Reads the modes from files: no tool is run and nothing is changed.
    pub(crate) fn read(files: &dyn Files) -> Self {
        match PowerConf::read(files) {
            Err(why) => Self {
                current: Err(why.clone()),
                recorded: Err(why.clone()),
                offered: Err(why),
                passed_over: Vec::new(),
            },
            Ok(conf) => {
                let mut offered: Vec<OfferedMode> = conf
                    .modes
                    .iter()
                    .map(|mode| OfferedMode {
                        id: mode.id,
                        name: mode.name.clone(),
                        needs_reboot: predict::needs_reboot(files, &conf, mode),
                    })
                    .collect();
                offered.sort();
                let recorded = current::recorded(files, &conf);
                let current = recorded.clone().and_then(|named| verify_mode(files, &conf, named));
                Self { current, recorded, offered: Ok(offered), passed_over: conf.passed_over }
            }
        }
    }
}

impl PowerConf {
    /// Reads nvpmodel's configuration.
    ///
    /// # Errors
    /// [`WhyNot`] if there is none, or no mode in it can be parsed.
    pub(crate) fn read(files: &dyn Files) -> Reading<Self> {
        let conf = Self::parse(&String::from_utf8_lossy(&files.read(CONF)?));
        if !conf.modes.is_empty() {
            return Ok(conf);
        }
        let why = conf.passed_over.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "no POWER_MODEL in nvpmodel.conf".to_owned());
        Err(WhyNot::unparsable(why.as_bytes()))
    }
}
