//! What stands in `nvpmodel.conf`.

use std::fmt;

use super::PassedOver;

/// The configuration of nvpmodel for one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerConf {
    /// What can be set.
    pub params: Vec<PowerParam>,
    /// What is set in each mode, in the order of the file.
    pub modes: Vec<PowerMode>,
    /// The mode of a machine on which none was ever chosen.
    pub default: Option<u32>,
    /// The profile of the fan that goes with it, on older releases.
    pub fan_default: Option<String>,
    /// What is not understood of the file, in its order.
    pub passed_over: Vec<PassedOver>,
}

/// Something that a mode can set, and through which files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerParam {
    /// How its files are written.
    pub kind: ParamKind,
    /// `CPU_ONLINE`, `GPU`, `TPC_POWER_GATING`.
    pub name: String,
    /// Names of arguments and the path of each; of [`ParamKind::Hwmon`] a directory, a blank and the name of an
    /// attribute.
    pub paths: Vec<(String, String)>,
}

/// How nvpmodel writes the files of a parameter; a newer one may know more ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// The value as it stands.
    File,
    /// A rate, held within a table.
    Clock,
    /// A file of a chip that is found by its name.
    Hwmon,
    /// Another word.
    Other(String),
}

/// A mode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerMode {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it sets, in this order.
    pub settings: Vec<PowerSetting>,
    /// Whether a line of it is not understood, so that it sets more than is known.
    pub has_gap: bool,
}

/// One value of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerSetting {
    /// The parameter.
    pub param: String,
    /// Its argument.
    pub arg: String,
    /// `-1` is no bound for a clock.
    pub value: String,
}

impl PowerConf {
    /// A mode by its number.
    pub fn mode(&self, id: u32) -> Option<&PowerMode> {
        self.modes.iter().find(|mode| mode.id == id)
    }

    /// A mode by its name or its number, as people write them; `30W` finds `MODE_30W`.
    pub fn find(&self, mode: &str) -> Option<&PowerMode> {
        let bare = |name: &str| name.to_uppercase().trim_start_matches("MODE_").to_owned();
        let by_name = || self.modes.iter().find(|known| known.name == mode);
        let by_likeness = || self.modes.iter().find(|known| bare(&known.name) == bare(mode));
        let by_number = || mode.parse().ok().and_then(|id| self.mode(id));
        by_name().or_else(by_number).or_else(by_likeness)
    }

    /// The paths that a setting is written to: the one it names, and the one for newer kernels.
    pub(crate) fn paths_of<'a>(
        &'a self,
        setting: &'a PowerSetting,
    ) -> impl Iterator<Item = &'a str> {
        let params = self.params.iter().filter(|param| param.name == setting.param);
        params.flat_map(|param| &param.paths).filter_map(|(arg, path)| {
            let bare = arg.strip_suffix("_KNEXT").unwrap_or(arg);
            (bare == setting.arg).then_some(path.as_str())
        })
    }
}

impl fmt::Display for ParamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "FILE",
            Self::Clock => "CLOCK",
            Self::Hwmon => "HWMON",
            Self::Other(word) => word,
        })
    }
}

impl From<&str> for ParamKind {
    fn from(word: &str) -> Self {
        match word {
            "FILE" => Self::File,
            "CLOCK" => Self::Clock,
            "HWMON" => Self::Hwmon,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for PowerConf {
    /// As the file that nvpmodel reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for param in &self.params {
            writeln!(f, "< PARAM TYPE={} NAME={} >", param.kind, param.name)?;
            for (arg, path) in &param.paths {
                writeln!(f, "{arg} {path}")?;
            }
            writeln!(f)?;
        }
        for mode in &self.modes {
            writeln!(f, "< POWER_MODEL ID={} NAME={} >", mode.id, mode.name)?;
            for PowerSetting { param, arg, value } in &mode.settings {
                writeln!(f, "{param} {arg} {value}")?;
            }
            writeln!(f)?;
        }
        if let Some(default) = self.default {
            writeln!(f, "< PM_CONFIG DEFAULT={default} >")?;
        }
        if let Some(profile) = &self.fan_default {
            writeln!(f, "< FAN_CONFIG DEFAULT={profile} >")?;
        }
        Ok(())
    }
}
