//! Which mode is in force.
//!
//! A file, and nvpmodel itself, name the mode that was set last or is to come with the next boot. Masks of the GPU and
//! processors tell whether that can be the one in force.

use super::predict::{Fit, fit};
use super::{PowerConf, PowerMode};
use crate::{Files, Reading, WhyNot};

/// Where nvpmodel writes down what it has set, and looks at boot.
pub(super) const STATUS: &str = "var/lib/nvpmodel/status";

/// A mode, and who says that it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentMode {
    /// Its number.
    pub id: u32,
    /// Its name, if the configuration has one for it.
    pub name: Option<String>,
    /// Who says so.
    pub source: ModeSource,
}

/// Who says that a mode is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeSource {
    /// nvpmodel, when it was asked.
    Asked,
    /// What nvpmodel wrote down when it last set one; it sets it again at boot.
    Status,
    /// bij noted it when it had another one written down for the next boot.
    Noted,
    /// The configuration's default, because none was ever chosen.
    Default,
    /// The masks of the GPU and the processors that are online: they are those of this mode alone.
    Seen,
}

/// Returns a mode that is named as the one in force, unless masks and processors contradict that; then the only
/// mode that they fit.
///
/// # Errors
/// [`WhyNot::Contradicted`] if they fit none or several.
pub(crate) fn judge(
    files: &dyn Files,
    conf: &PowerConf,
    named: CurrentMode,
) -> Reading<CurrentMode> {
    let Some(mode) = conf.mode(named.id) else { return Ok(named) };
    let Fit::Contradicted(why) = fit(files, conf, mode) else { return Ok(named) };
    let fits = |mode: &&PowerMode| fit(files, conf, mode) == Fit::Fits;
    let fitting: Vec<&PowerMode> = conf.modes.iter().filter(fits).collect();
    if let [PowerMode { id, name, .. }] = fitting[..] {
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

/// The mode that was set last, or is to come with the next boot, as the files say.
pub(super) fn recorded(files: &dyn Files, conf: &PowerConf) -> Reading<CurrentMode> {
    let (id, source) = match files.text(STATUS) {
        Ok(text) => (status(&text)?, ModeSource::Status),
        Err(WhyNot::Absent) => (conf.default.ok_or(WhyNot::Absent)?, ModeSource::Default),
        Err(why) => return Err(why),
    };
    let name = conf.mode(id).map(|mode| mode.name.clone());
    Ok(CurrentMode { id, name, source })
}

/// `pmode:0002`, on older releases followed by `fmode:quiet`.
fn status(text: &str) -> Reading<u32> {
    let id = text.split_whitespace().find_map(|word| word.strip_prefix("pmode:"));
    id.and_then(|id| id.parse().ok()).ok_or_else(|| WhyNot::unparsable(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn the_last_choice_comes_before_the_default() {
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

    /// What is told of a board with a mode recorded, a mask and processors.
    fn told(recorded: u32, mask: Option<&str>, online: &str) -> String {
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
    fn a_mode_that_the_board_contradicts_is_not_in_force() {
        assert_eq!(told(0, Some("0"), "0-1"), "MAXN Status");
        assert_eq!(told(0, None, "0-1"), "MAXN Status", "nothing contradicts it");
        assert_eq!(told(4, Some("248"), "0-1"), "PLAIN Status", "it sets nothing that is seen");
        assert_eq!(told(0, Some("248"), "0"), "15W Seen", "MAXN comes with the next boot");
        assert_eq!(
            told(1, Some("0"), "0-1"),
            "contradicted: nvpmodel's status file says 15W, but tpc_pg_mask is 0 and not 248; MAXN, 50W fit"
        );
        assert_eq!(
            told(0, Some("0"), "0"),
            "contradicted: nvpmodel's status file says MAXN, but processor 1 is offline; no mode fits"
        );
        assert_eq!(told(1, None, "0-1").split(';').next_back(), Some(" MAXN, 50W fit"));
    }
}
