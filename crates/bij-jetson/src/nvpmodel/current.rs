//! Which mode is in force.

use super::PowerConf;
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
    /// Nobody ever chose one: the configuration's default.
    Default,
}

/// What the files say, without asking anybody.
pub(super) fn from_files(files: &dyn Files, conf: &PowerConf) -> Reading<CurrentMode> {
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
        let conf = PowerConf::parse(conf).unwrap();
        let mut tree = CapturedTree::default();
        let current = from_files(&tree, &conf).unwrap();
        assert_eq!((current.id, current.source), (2, ModeSource::Default));
        tree.set(STATUS, "pmode:0003 fmode:quiet\n");
        let current = from_files(&tree, &conf).unwrap();
        assert_eq!((current.id, current.name, current.source), (3, None, ModeSource::Status));
        tree.set(STATUS, "pmode:\n");
        assert!(from_files(&tree, &conf).is_err());
        tree.remove(STATUS);
        assert_eq!(from_files(&tree, &PowerConf::default()), Err(WhyNot::Absent));
    }
}
