//! The contents of `nvpmodel.conf`, and their parser.
//!
//! The format is NVIDIA's, is not uniform and grows with each release. Lines that cannot be parsed are skipped and
//! reported.

use std::fmt;

/// The configuration of nvpmodel for one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
#[non_exhaustive]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConfiguredMode {
    /// The number of the mode.
    pub id: u32,
    /// The name of the mode.
    pub name: String,
    /// The mode's settings, in the order of the file.
    pub settings: Vec<ModeSetting>,
    /// Whether a line of it could not be parsed, so that it sets more than is known.
    pub has_gap: bool,
}

/// One value of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ModeSetting {
    /// The name of the parameter.
    pub param: String,
    /// The name of the argument.
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

/// A line of nvpmodel's configuration that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PassedOver {
    /// The number of the line, beginning with 1.
    pub line: usize,
    /// The reason, as a fragment.
    pub what: &'static str,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of nvpmodel.conf: {}", self.line, self.what)
    }
}

/// The kind of section that the current line belongs to.
#[derive(Clone, Copy)]
enum Section {
    /// Before the first heading, or below a heading that takes no lines.
    None,
    Param,
    Mode,
    /// Below an unknown heading, whose lines are skipped.
    PassedOver,
}

impl PowerConf {
    /// Parses a configuration. A line that cannot be parsed is skipped, an unknown heading together with the lines
    /// below it; [`PowerConf::passed_over`] lists them.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        let mut section = Section::None;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            // NVIDIA's comments contain sample sections.
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let taken = match line.strip_prefix('<') {
                Some(heading) => {
                    let begun = conf.parse_heading(heading);
                    section = begun.unwrap_or(Section::PassedOver);
                    begun.map(drop)
                }
                None => conf.parse_line(section, line),
            };
            conf.passed_over.extend(taken.err().map(|what| PassedOver { line: at + 1, what }));
        }
        conf
    }

    /// Parses a line that is no heading.
    fn parse_line(&mut self, section: Section, line: &str) -> Result<(), &'static str> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (section, words.as_slice()) {
            (Section::PassedOver, _) => Ok(()),
            (Section::None, _) => Err("it belongs to no section"),
            (Section::Param, [arg, place @ ..]) if !place.is_empty() => {
                let param = self.params.last_mut().ok_or("it belongs to no section")?;
                // The path of TYPE=HWMON is a directory and the name of an attribute, as on a Xavier NX.
                param.paths.push(((*arg).to_owned(), place.join(" ")));
                Ok(())
            }
            (Section::Param, _) => Err("it should be an argument and a path"),
            (Section::Mode, words) => {
                let mode = self.modes.last_mut().ok_or("it belongs to no section")?;
                let [param, arg, value] = words else {
                    mode.has_gap = true;
                    return Err("it should be a parameter, an argument and a value");
                };
                let [param, arg, value] = [param, arg, value].map(|word| (*word).to_owned());
                mode.settings.push(ModeSetting { param, arg, value });
                Ok(())
            }
        }
    }

    /// Parses a heading, with its attributes in any order.
    fn parse_heading(&mut self, heading: &str) -> Result<Section, &'static str> {
        let heading = heading.strip_suffix('>').ok_or("a `<` without its `>`")?;
        let mut words = heading.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let attributes: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        let attribute = |name: &str| {
            attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        };
        let number = |name: &str| attribute(name).and_then(|value| value.parse::<u32>().ok());
        match kind {
            "PARAM" => {
                let kind = ParamKind::from(attribute("TYPE").ok_or("a PARAM without a TYPE")?);
                let name = attribute("NAME").ok_or("a PARAM without a NAME")?.to_owned();
                self.params.push(PowerParam { kind, name, paths: Vec::new() });
                Ok(Section::Param)
            }
            "POWER_MODEL" => {
                let id = number("ID").ok_or("a POWER_MODEL without a number as its ID")?;
                let name = attribute("NAME").ok_or("a POWER_MODEL without a NAME")?.to_owned();
                if self.mode(id).is_some() {
                    return Err("a second POWER_MODEL with this ID");
                }
                self.modes.push(ConfiguredMode { id, name, settings: Vec::new(), has_gap: false });
                Ok(Section::Mode)
            }
            "PM_CONFIG" => {
                let default = number("DEFAULT").ok_or("a PM_CONFIG without a number as DEFAULT")?;
                self.default = Some(default);
                Ok(Section::None)
            }
            "FAN_CONFIG" => {
                self.fan_default = attribute("DEFAULT").map(ToOwned::to_owned);
                Ok(Section::None)
            }
            _ => Err("a section that is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn configurations_as_shipped_are_parsed() {
        let conf = PowerConf::parse(
            "# < POWER_MODEL ID=id_num NAME=mode_name >\n#\n\n\
             <PARAM TYPE=CLOCK NAME=EMC >\nMAX_FREQ /a \t\n<PARAM NAME=X TYPE=NEW>\n\
             < NEWS FROM=R40 >\nwhatever this may be\n\
             < POWER_MODEL NAME=25W ID=3 >\n\tEMC MAX_FREQ  -1\n\
             < PM_CONFIG DEFAULT=3 >\n< FAN_CONFIG DEFAULT=quiet >\n",
        );
        assert_eq!(conf.params[0].paths, [("MAX_FREQ".to_owned(), "/a".to_owned())]);
        assert_eq!(conf.params[1].kind, ParamKind::Other("NEW".to_owned()));
        assert_eq!((conf.modes[0].id, conf.modes[0].settings[0].value.as_str()), (3, "-1"));
        assert_eq!((conf.default, conf.fan_default.as_deref()), (Some(3), Some("quiet")));
    }

    #[test]
    fn a_malformed_line_is_reported_with_its_number() {
        for (text, line, what) in [
            ("\nx y\n", 2, "no section"),
            ("< PARAM NAME=X >\n", 1, "TYPE"),
            ("< PARAM TYPE=FILE NAME=X >\nonly\n", 2, "a path"),
            ("< POWER_MODEL ID=x NAME=Y >\n", 1, "ID"),
            ("< POWER_MODEL ID=1 NAME=Y >\n< POWER_MODEL ID=1 NAME=Z >\n", 2, "second"),
            ("< POWER_MODEL ID=1 NAME=Y >\na b\n", 2, "a value"),
            ("< PM_CONFIG DEFAULT=MAXN >\n", 1, "DEFAULT"),
            ("< PM_CONFIG DEFAULT=1\n", 1, "`>`"),
        ] {
            let skipped = PowerConf::parse(text).passed_over;
            assert_eq!((skipped.len(), skipped[0].line), (1, line), "{text}");
            assert!(skipped[0].what.contains(what), "{text}: {}", skipped[0]);
        }
    }

    #[test]
    fn a_malformed_line_hides_no_other_lines() {
        let conf = PowerConf::parse(
            "\u{feff}# of a later release\n\
             < PARAM TYPE=HWMON NAME=VDDIN_OC_LIMIT >\nWARN /sys/bus/7-0040/hwmon curr1_max\nlonely\n\
             < PARAM NAME=NO_TYPE >\nX /x\n\
             < POWER_MODEL ID=zero NAME=BROKEN >\nA B 1\n\
             < POWER_MODEL ID=2 NAME=MODE_15W_6CORE >\nVDDIN_OC_LIMIT WARN 3000\nA B C 4\n\
             < POWER_MODEL ID=8 NAME=MODE_20W_6CORE >\nA B 1\n\
             < NEWS FROM=R40 >\nwhatever this may be\n\
             < PM_CONFIG DEFAULT=2 >\n",
        );
        let modes: Vec<_> = conf.modes.iter().map(|mode| (mode.id, mode.has_gap)).collect();
        assert_eq!(modes, [(2, true), (8, false)]);
        assert_eq!(conf.modes[0].settings.len(), 1);
        assert_eq!(conf.default, Some(2));
        assert_eq!(conf.params[0].paths[0].1, "/sys/bus/7-0040/hwmon curr1_max");
        let lines: Vec<usize> = conf.passed_over.iter().map(|skipped| skipped.line).collect();
        assert_eq!(lines, [4, 5, 7, 11, 14]);
    }

    #[test]
    fn modes_are_found_as_people_write_them() {
        let conf = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=7 NAME=MODE_30W >\n\
                    < POWER_MODEL ID=30 NAME=X >\n";
        let conf = PowerConf::parse(conf);
        let id = |mode: &str| conf.find(mode).map(|mode| mode.id);
        assert_eq!((id("MAXN"), id("maxn"), id("0")), (Some(0), Some(0), Some(0)));
        assert_eq!((id("MODE_30W"), id("30W"), id("30")), (Some(7), Some(7), Some(30)));
        assert_eq!((id("50W"), id("-1"), id("")), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_text_is_a_reason_to_panic(text in "[<> \\n#=A-Z0-9_a-z/-]{0,200}") {
            let _ = PowerConf::parse(&text);
        }

        #[test]
        fn what_is_written_reads_as_it_was(
            modes in proptest::collection::btree_map(0u32..40, "[A-Z0-9_]{1,9}", 0..5),
            paths in proptest::collection::vec(("[A-Z_]{1,8}", "/[a-z0-9./@,]{1,20}"), 0..4),
            default in proptest::option::of(0u32..9),
        ) {
            let setting = |(arg, _): &(String, String)| ModeSetting {
                param: "GPU".to_owned(), arg: arg.clone(), value: "-1".to_owned(),
            };
            let settings: Vec<ModeSetting> = paths.iter().map(setting).collect();
            let param = PowerParam { kind: ParamKind::Clock, name: "GPU".to_owned(), paths };
            let modes = modes.into_iter().map(|(id, name)| {
                ConfiguredMode { id, name, settings: settings.clone(), has_gap: false }
            });
            let conf = PowerConf {
                params: vec![param], modes: modes.collect(), default, fan_default: None,
                passed_over: Vec::new(),
            };
            prop_assert_eq!(PowerConf::parse(&conf.to_string()), conf);
        }
    }
}
