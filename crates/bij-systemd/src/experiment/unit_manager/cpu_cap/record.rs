//! The record of a cap on disk, so that another process can remove the cap.
//!
//! `systemctl set-property --runtime` writes to the same file as a cap, and systemd leaves no room in that file
//! for a mark. So bij's runtime directory holds a record: the quotas that bij has set, and the quota before.
//! The record is written before the cap is set. A record of a cap that was never set does no harm, because it
//! does not match the file.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bij_core::{CpuQuota, Limit};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::last_quota;

/// Microseconds of CPU time per second in one percent. Files hold whole percents: systemd truncates the quota
/// (`bus_cgroup_set_property()` of its dbus-cgroup.c).
const MICROS_PER_PERCENT: u64 = 10_000;

/// What bij has recorded about its cap on one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CapRecord {
    /// The quotas that bij may have written to the file: one, or two while it is being changed.
    pub(super) ours: Vec<CpuQuota>,
    /// The quota that an operator had set with `set-property --runtime`, if any.
    pub(super) before: Option<Limit<CpuQuota>>,
    /// Whether `NeedDaemonReload=` was set before the cap.
    pub(super) reload_was_due: bool,
}

impl CapRecord {
    /// Reads the record in a file; `None` if it is missing or malformed.
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
        let directory = path.parent().unwrap_or(path);
        fs::create_dir_all(directory)?;
        let mut new = NamedTempFile::new_in(directory)?;
        // A member who stops the unit through polkit reads it, too.
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        new.write_all(text.as_bytes())?;
        new.persist(path)?;
        Ok(())
    }

    /// Returns `true` if the quota in the file is one of ours, or, without one in the file, the quota in force
    /// is. Otherwise an operator has set another quota since.
    pub(super) fn is_in_force(&self, file: Option<&str>, now: Option<Limit<CpuQuota>>) -> bool {
        let percent = |quota: &CpuQuota| quota.micros_per_sec() / MICROS_PER_PERCENT;
        match file.and_then(last_quota) {
            Some(Limit::At(found)) => self.ours.iter().any(|own| percent(own) == percent(&found)),
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
    fn a_record_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("caps/x.json");
        assert_eq!(CapRecord::read(&path), None);
        for before in [None, Some(Limit::Max), Some(Limit::At(quota("12.5%")))] {
            let record = CapRecord { ours: vec![quota("50%")], before, reload_was_due: true };
            record.write(&path).unwrap();
            assert_eq!(CapRecord::read(&path), Some(record));
        }
        fs::write(&path, "{\"ours\":[0]}").unwrap();
        assert_eq!(CapRecord::read(&path), None);
    }

    #[test]
    fn a_quota_that_an_operator_has_set_since_is_not_ours() {
        let ours = vec![quota("50.5%"), quota("25%")];
        let record = CapRecord { ours, before: None, reload_was_due: false };
        let now = Some(Limit::At(quota("25%")));
        for (text, is_ours) in [
            ("[Service]\nCPUQuota=50%\n", true),
            ("[Service]\nCPUQuota=25%\n", true),
            ("[Service]\nCPUQuota=30%\n", false),
            ("[Service]\nCPUQuota=\n", false),
            ("[Service]\n", true),
        ] {
            assert_eq!(record.is_in_force(Some(text), now), is_ours, "{text}");
        }
        assert!(record.is_in_force(None, now));
        assert!(!record.is_in_force(None, Some(Limit::Max)), "the cap was never set");
    }
}
