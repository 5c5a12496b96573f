//! Determines the mode in force.
//!
//! nvpmodel and its status file name the mode that was set last, which may be that of the next boot. The masks of the
//! GPU and the CPUs online show whether it can be in force.

use thiserror::Error;

use super::predict::{Fit, compare};
use super::{ConfiguredMode, PowerConf};
use crate::{Files, Reading, ToolError, WhyNot};

/// The file in which nvpmodel records the mode that it has set, and sets again at boot.
pub(super) const STATUS: &str = "var/lib/nvpmodel/status";

/// The mode in force, and the source that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CurrentMode {
    /// The number of the mode.
    pub id: u32,
    /// The mode's name, if the configuration has one.
    pub name: Option<String>,
    /// The source that names the mode.
    pub source: ModeSource,
}

/// The source that names a mode as the one in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ModeSource {
    /// The answer of `nvpmodel -q`.
    Asked,
    /// nvpmodel's record of the mode that it set last, and sets again at boot.
    Status,
    /// bij's note, made when it recorded another mode for the next boot.
    Noted,
    /// The configuration's default, because no mode was ever set.
    Default,
    /// The GPU's masks and the CPUs online, which fit only this mode.
    Seen,
}

/// Returns the mode that is named as the one in force, unless masks and CPUs contradict it; then the only mode that
/// fits them.
///
/// # Errors
/// [`WhyNot::Contradicted`] if no mode or several modes fit.
pub(crate) fn verify_mode(
    files: &dyn Files,
    conf: &PowerConf,
    named: CurrentMode,
) -> Reading<CurrentMode> {
    let Some(mode) = conf.mode(named.id) else { return Ok(named) };
    let Fit::Contradicted(why) = compare(files, conf, mode) else { return Ok(named) };
    let fits = |mode: &&ConfiguredMode| compare(files, conf, mode) == Fit::Fits;
    let fitting: Vec<&ConfiguredMode> = conf.modes.iter().filter(fits).collect();
    if let [ConfiguredMode { id, name, .. }] = fitting[..] {
        return Ok(CurrentMode { id: *id, name: Some(name.clone()), source: ModeSource::Seen });
    }
    let others: Vec<&str> = fitting.iter().map(|mode| mode.name.as_str()).collect();
    let others =
        if others.is_empty() { "no mode fits".to_owned() } else { others.join(", ") + " fit" };
    let (name, source) = (&mode.name, named.source);
    Err(WhyNot::Contradicted(format!("{source} says {name}, but {why}; {others}")))
}

impl std::fmt::Display for ModeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Asked => "nvpmodel",
            Self::Status => "nvpmodel's status file",
            Self::Noted => "bij's note",
            Self::Default => "the default of nvpmodel.conf",
            Self::Seen => "what is seen",
        })
    }
}

/// Returns the mode that nvpmodel has recorded, or else the default of its configuration.
pub(super) fn recorded(files: &dyn Files, conf: &PowerConf) -> Reading<CurrentMode> {
    let (id, source) = match files.text(STATUS) {
        Ok(text) => (status(&text)?, ModeSource::Status),
        Err(WhyNot::Absent) => (conf.default.ok_or(WhyNot::Absent)?, ModeSource::Default),
        Err(why) => return Err(why),
    };
    let name = conf.mode(id).map(|mode| mode.name.clone());
    Ok(CurrentMode { id, name, source })
}

/// Parses `pmode:0002`, which older releases follow with `fmode:quiet`.
fn status(text: &str) -> Reading<u32> {
    let id = text.split_whitespace().find_map(|word| word.strip_prefix("pmode:"));
    id.and_then(|id| id.parse().ok()).ok_or_else(|| WhyNot::unparsable(text.as_bytes()))
}

/// Why nvpmodel did not name the mode in force.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// nvpmodel failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// nvpmodel named no mode: none was ever set, or its configuration is for another module.
    #[error("nvpmodel names no power mode; it printed {output:?}")]
    Unanswered {
        /// The beginning of nvpmodel's output.
        output: String,
    },
}

/// Parses `NV Power Mode: MODE_30W` and the number on a later line. Errors around them are about files that this user
/// may not read.
pub(super) fn parse_answer(text: &str) -> Result<CurrentMode, QueryError> {
    let mut lines = text.lines();
    let named =
        lines.find_map(|line| line.split_once("NV Power Mode: ").map(|(_, name)| name.trim()));
    // Warnings may stand between the two lines.
    let id = lines.find_map(|line| line.trim().parse().ok());
    match (named, id) {
        (Some(name), Some(id)) => {
            Ok(CurrentMode { id, name: Some(name.to_owned()), source: ModeSource::Asked })
        }
        _ => Err(QueryError::Unanswered { output: text.chars().take(200).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::CapturedTree;

    #[test]
    fn the_recorded_mode_takes_precedence_over_the_default() {
        let conf = "< POWER_MODEL ID=2 NAME=MODE_30W >\n< PM_CONFIG DEFAULT=2 >\n";
        let conf = PowerConf::parse(conf);
        let mut tree = CapturedTree::default();
        let current = recorded(&tree, &conf).unwrap();
        assert_eq!((current.id, current.source), (2, ModeSource::Default));
        tree.set(STATUS, "pmode:0003 fmode:quiet\n");
        let current = recorded(&tree, &conf).unwrap();
        assert_eq!((current.id, current.name, current.source), (3, None, ModeSource::Status));
        tree.set(STATUS, "pmode:\n");
        assert!(recorded(&tree, &conf).is_err());
        tree.remove(STATUS);
        assert_eq!(recorded(&tree, &PowerConf::default()), Err(WhyNot::Absent));
    }

    const CONF: &str = "< PARAM TYPE=FILE NAME=TPC >\nTPC_PG_MASK /sys/devices/gpu.0/tpc_pg_mask\n\
        < PARAM TYPE=FILE NAME=CPU_ONLINE >\n\
        CORE_0 /sys/devices/system/cpu/cpu0/online\nCORE_1 /sys/devices/system/cpu/cpu1/online\n\
        < POWER_MODEL ID=0 NAME=MAXN >\nTPC TPC_PG_MASK 0\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\n\
        < POWER_MODEL ID=1 NAME=15W >\nTPC TPC_PG_MASK 248\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 0\n\
        < POWER_MODEL ID=3 NAME=50W >\nTPC TPC_PG_MASK 0\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\n\
        < POWER_MODEL ID=4 NAME=PLAIN >\n";

    /// Returns the mode in force of a board with a recorded mode, a mask and CPUs online, as text.
    fn current_mode(recorded: u32, mask: Option<&str>, online: &str) -> String {
        let mut tree = CapturedTree::default();
        tree.set(STATUS, format!("pmode:{recorded:04}\n"));
        tree.set("etc/nvpmodel.conf", CONF);
        if let Some(mask) = mask {
            tree.set("sys/devices/gpu.0/tpc_pg_mask", format!("{mask}\n"));
        }
        tree.set("sys/devices/system/cpu/online", format!("{online}\n"));
        let modes = super::super::PowerModes::read(&tree);
        assert_eq!(modes.recorded.unwrap().id, recorded);
        match modes.current {
            Ok(mode) => format!("{} {:?}", mode.name.unwrap(), mode.source),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn a_recorded_mode_that_the_board_contradicts_is_not_in_force() {
        assert_eq!(current_mode(0, Some("0"), "0-1"), "MAXN Status");
        assert_eq!(current_mode(0, None, "0-1"), "MAXN Status", "nothing contradicts it");
        assert_eq!(
            current_mode(4, Some("248"), "0-1"),
            "PLAIN Status",
            "it sets no mask and no CPU"
        );
        assert_eq!(current_mode(0, Some("248"), "0"), "15W Seen", "MAXN comes with the next boot");
        assert_eq!(
            current_mode(1, Some("0"), "0-1"),
            "contradicted: nvpmodel's status file says 15W, but tpc_pg_mask is 0 and not 248; MAXN, 50W fit"
        );
        assert_eq!(
            current_mode(0, Some("0"), "0"),
            "contradicted: nvpmodel's status file says MAXN, but processor 1 is offline; no mode fits"
        );
        assert_eq!(current_mode(1, None, "0-1").split(';').next_back(), Some(" MAXN, 50W fit"));
    }

    #[test]
    fn every_known_answer_is_parsed() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
        for (file, mode) in [
            ("agx-orin-jp5/_cmd/nvpmodel-q.root.txt", (0, "MAXN")),
            ("agx-orin-jp5/_cmd/nvpmodel-q.user.txt", (0, "MAXN")),
            ("agx-orin-jp5/_cmd/nvpmodel-q-verbose.txt", (0, "MAXN")),
            ("agx-orin-jp6/_cmd/nvpmodel-q.txt", (2, "MODE_30W")),
            ("agx-orin-jp6/_cmd/nvpmodel-q-verbose.txt", (2, "MODE_30W")),
        ] {
            let text = std::fs::read_to_string(trees.join(file)).unwrap();
            let current = parse_answer(&text).unwrap();
            assert_eq!((current.id, current.name.as_deref()), (mode.0, Some(mode.1)), "{file}");
        }
        let warned = "NVPM WARN: fan mode is not set!\nNV Power Mode: 25W\n1\n";
        assert_eq!(parse_answer(warned).unwrap().id, 1);
        let between = "NV Power Mode: 25W\nNVPM ERROR: failed to read PARAM EMC\n1\n";
        assert_eq!(parse_answer(between).unwrap().id, 1);
    }

    #[test]
    fn an_answer_without_a_mode_is_an_error() {
        for text in ["", "NVPM ERROR: no mode\n", "NV Power Mode: \n", "NV Power Mode: MAXN\n"] {
            assert!(matches!(parse_answer(text), Err(QueryError::Unanswered { .. })), "{text}");
        }
    }
}
