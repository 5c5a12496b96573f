//! What a bound has taken the place of, kept so that whoever lifts it need not be who has set it.
//!
//! `systemctl set-property --runtime` writes to the same file as a bound, and systemd leaves no room in
//! it for a mark. So a memo lies beside, in bij's own runtime directory: which quotas are ours, and what
//! was in force before. It is written before the bound is set; one that tells of a bound that never came
//! to be does no harm, because the file does not hold what it says.

use std::fs;
use std::io;
use std::path::Path;

use bij_core::{CpuQuota, Limit};
use serde_json::{Value, json};

use super::quota_in;

/// The quota that stands in a file has no fraction of a percent: systemd cuts it off
/// (`bus_cgroup_set_property()` of its dbus-cgroup.c).
const WHOLE: u64 = 10_000;

/// What is known of a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memo {
    /// What may stand in the file for that we have written it: one, or two while it is being changed.
    pub(super) ours: Vec<CpuQuota>,
    /// What somebody had set by `set-property --runtime`; `None` if nobody had.
    pub(super) before: Option<Limit<CpuQuota>>,
    /// Whether systemd already wanted the unit's files read again.
    pub(super) reload_was_due: bool,
}

impl Memo {
    /// The memo in a file, if there is one that makes sense.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let value: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
        let ours = value["ours"].as_array()?.iter();
        let before = match &value["before"] {
            Value::Null => None,
            Value::String(_) => Some(Limit::Max),
            number => Some(Limit::At(quota(number)?)),
        };
        let reload_was_due = value["reload_was_due"].as_bool()?;
        Some(Self { ours: ours.map(quota).collect::<Option<_>>()?, before, reload_was_due })
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let micros = |quota: CpuQuota| Value::from(quota.micros_per_sec());
        let before = self.before.map(|before| before.at().map_or_else(|| json!("max"), micros));
        let ours: Vec<Value> = self.ours.iter().copied().map(micros).collect();
        let reload_was_due = self.reload_was_due;
        let text =
            json!({ "ours": ours, "before": before, "reload_was_due": reload_was_due }).to_string();
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        let new = path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, path)
    }

    /// Whether what stands in the file, or in its absence what is in force, is a bound of ours. If not,
    /// somebody has set another one since.
    pub(super) fn is_in_force(&self, file: Option<&str>, now: Option<Limit<CpuQuota>>) -> bool {
        let cut = |quota: &CpuQuota| quota.micros_per_sec() / WHOLE;
        match file.and_then(quota_in) {
            Some(Limit::At(found)) => self.ours.iter().any(|own| cut(own) == cut(&found)),
            Some(Limit::Max) => false,
            None => now.and_then(Limit::at).is_some_and(|now| self.ours.contains(&now)),
        }
    }
}

fn quota(value: &Value) -> Option<CpuQuota> {
    CpuQuota::from_micros_per_sec(value.as_u64()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(text: &str) -> CpuQuota {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("caps/x.json");
        assert_eq!(Memo::read(&path), None);
        for before in [None, Some(Limit::Max), Some(Limit::At(quota("12.5%")))] {
            let memo = Memo { ours: vec![quota("50%")], before, reload_was_due: true };
            memo.write(&path).unwrap();
            assert_eq!(Memo::read(&path), Some(memo));
        }
        fs::write(&path, "{\"ours\":[0]}").unwrap();
        assert_eq!(Memo::read(&path), None);
    }

    #[test]
    fn what_somebody_has_set_since_is_told_apart() {
        let ours = vec![quota("50.5%"), quota("25%")];
        let memo = Memo { ours, before: None, reload_was_due: false };
        let now = Some(Limit::At(quota("25%")));
        for (text, is_ours) in [
            ("[Service]\nCPUQuota=50%\n", true),
            ("[Service]\nCPUQuota=25%\n", true),
            ("[Service]\nCPUQuota=30%\n", false),
            ("[Service]\nCPUQuota=\n", false),
            ("[Service]\n", true),
        ] {
            assert_eq!(memo.is_in_force(Some(text), now), is_ours, "{text}");
        }
        assert!(memo.is_in_force(None, now));
        assert!(!memo.is_in_force(None, Some(Limit::Max)), "it never came to be");
    }
}
