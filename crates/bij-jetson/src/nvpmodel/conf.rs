//! The contents of `nvpmodel.conf`.

use std::fmt;

use super::PassedOver;

/// The configuration of nvpmodel for one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerConf {
    /// The parameters that modes can set.
    pub params: Vec<PowerParam>,
    /// The modes, in the order of the file.
    pub modes: Vec<ConfiguredMode>,
    /// The default mode, which is in force until one is set.
    pub default: Option<u32>,
    /// The fan profile of the default mode, in older releases.
    pub fan_default: Option<String>,
    /// Lines that could not be parsed, in the order of the file.
    pub passed_over: Vec<PassedOver>,
}

/// A parameter that modes can set, and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerParam {
    /// How the parameter's files are written.
    pub kind: ParamKind,
    /// The parameter's name: `CPU_ONLINE`, `GPU`, `TPC_POWER_GATING`.
    pub name: String,
    /// The argument names and the path of each. The path of a [`ParamKind::Hwmon`] is a directory, a blank and the
    /// name of an attribute.
    pub paths: Vec<(String, String)>,
}

/// How nvpmodel writes the files of a parameter; newer versions may have more kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// The value is written as it is.
    File,
    /// The value is a clock rate, limited by a table.
    Clock,
    /// The file belongs to a chip that is found by its name.
    Hwmon,
    /// Any other kind, in nvpmodel's word.
    Other(String),
}

/// A mode and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfiguredMode {
    /// The mode's number.
    pub id: u32,
    /// The mode's name.
    pub name: String,
    /// The mode's settings, in the order of the file.
    pub settings: Vec<ModeSetting>,
    /// Whether a line of it could not be parsed, so that it sets more than is known.
    pub has_gap: bool,
}

/// One value of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeSetting {
    /// The parameter's name.
    pub param: String,
    /// The argument's name.
    pub arg: String,
    /// The value; `-1` is no limit of a clock.
    pub value: String,
}

impl PowerConf {
    /// Returns the mode with this number.
    pub fn mode(&self, id: u32) -> Option<&ConfiguredMode> {
        self.modes.iter().find(|mode| mode.id == id)
    }

    /// Finds a mode by its name or number, as people write them; `30W` finds `MODE_30W`.
    pub fn find(&self, mode: &str) -> Option<&ConfiguredMode> {
        let bare = |name: &str| name.to_uppercase().trim_start_matches("MODE_").to_owned();
        let by_name = || self.modes.iter().find(|known| known.name == mode);
        let by_likeness = || self.modes.iter().find(|known| bare(&known.name) == bare(mode));
        let by_number = || mode.parse().ok().and_then(|id| self.mode(id));
        by_name().or_else(by_number).or_else(by_likeness)
    }

    /// Returns the paths to which a setting is written: that of its argument, and that for newer kernels.
    pub(crate) fn paths_of<'a>(
        &'a self,
        setting: &'a ModeSetting,
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
    /// Writes the configuration in the format of the file.
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
            for ModeSetting { param, arg, value } in &mode.settings {
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
