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

pub use conf::{ParamKind, PowerConf, PowerMode, PowerParam, PowerSetting};
pub use current::{CurrentMode, ModeSource};
pub use parse::ConfError;
pub use query::QueryError;
pub use switch::{Nvpmodel, SwitchError};

use crate::{Files, Reading, WhyNot};

/// Where nvpmodel looks for its configuration.
const CONF: &str = "etc/nvpmodel.conf";

/// The power modes of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerModes {
    /// The mode that was set last.
    pub current: Reading<CurrentMode>,
    /// What there is to choose from, by their numbers.
    pub offered: Reading<Vec<OfferedMode>>,
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
            Err(why) => Self { current: Err(why.clone()), offered: Err(why) },
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
                Self { current: current::from_files(files, &conf), offered: Ok(offered) }
            }
        }
    }
}

impl PowerConf {
    /// The configuration in force.
    ///
    /// # Errors
    /// [`WhyNot`] if there is none, or it cannot be understood.
    pub fn read(files: &dyn Files) -> Reading<Self> {
        let text = files.text(CONF)?;
        Self::parse(&text).map_err(|error| WhyNot::unparsable(error.to_string().as_bytes()))
    }
}
