//! Power modes, as nvpmodel has them: what its configuration offers, which one is in force, which ones
//! need a reboot, and switching.
//!
//! Modes are never written to sysfs directly: a mode is dozens of files in an order that only nvpmodel
//! knows. And nvpmodel is never believed: after a switch it is asked what is in force.

mod conf;
mod current;
mod parse;
mod predict;
mod query;
mod switch;

pub(crate) use current::judge;

pub use conf::{ParamKind, PowerConf, PowerMode, PowerParam, PowerSetting};
pub use current::{CurrentMode, ModeSource};
pub use parse::PassedOver;
pub use query::QueryError;
pub use switch::{Nvpmodel, SwitchError};

use crate::{Files, Reading, WhyNot};

/// Where nvpmodel looks for its configuration.
const CONF: &str = "etc/nvpmodel.conf";

/// The power modes of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerModes {
    /// The mode in force, as far as files tell: the recorded one, unless masks of the GPU or processors contradict
    /// that.
    pub current: Reading<CurrentMode>,
    /// The mode that nvpmodel has written down. It was set last, or is the one that the next boot comes up with.
    pub recorded: Reading<CurrentMode>,
    /// What there is to choose from, by their numbers.
    pub offered: Reading<Vec<OfferedMode>>,
    /// Lines of nvpmodel's configuration that are not understood.
    pub passed_over: Vec<PassedOver>,
}

/// A mode that could be set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct OfferedMode {
    /// Its number; neither contiguous nor in the order of power.
    pub id: u32,
    /// Its name: `MODE_30W`.
    pub name: String,
    /// Whether it takes a reboot to get there from what is in force.
    pub needs_reboot: Reading<bool>,
}

impl PowerModes {
    /// The modes, as the files tell: nothing is started and nothing is changed.
    pub fn read(files: &dyn Files) -> Self {
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
                let current = recorded.clone().and_then(|named| judge(files, &conf, named));
                Self { current, recorded, offered: Ok(offered), passed_over: conf.passed_over }
            }
        }
    }
}

impl PowerConf {
    /// The configuration in force.
    ///
    /// # Errors
    /// [`WhyNot`] if there is none, or no mode of it is understood.
    pub fn read(files: &dyn Files) -> Reading<Self> {
        let conf = Self::parse(&String::from_utf8_lossy(&files.read(CONF)?));
        if !conf.modes.is_empty() {
            return Ok(conf);
        }
        let why = conf.passed_over.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "no POWER_MODEL in nvpmodel.conf".to_owned());
        Err(WhyNot::unparsable(why.as_bytes()))
    }
}
