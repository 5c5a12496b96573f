//! Temporary caps on a unit's CPU time.
//!
//! A cap is a runtime property, as set by `systemctl set-property --runtime`: it takes effect without a
//! reload, and `systemctl show` shows it. systemd has no call to remove such a property, and it outlives the
//! unit. So removing a cap restores the previous quota: the one that an operator had set with `--runtime`,
//! which a [record] keeps, or the one in the unit's other files. `set-property` without `--runtime` writes
//! another file and counts among these.
//!
//! The file of the cap stays, without settings: systemd sets `NeedDaemonReload=` when a file that it has read
//! is missing, or newer than what it has read.

mod record;

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bij_core::port::UnitError;
use bij_core::{CpuQuota, ExperimentId, Limit, Outcome, Percent};
use tempfile::Builder;
use zbus::Variant;

use super::{SystemdUnits, is_down};
use crate::bus::{Operation, call};
use crate::properties::UnitProperties;
use record::CapRecord;

const NO_EFFECT: &str = "CPU time cannot be limited here: the kernel lacks \
     CONFIG_CFS_BANDWIDTH, or this service manager was given no cpu controller";

/// Content of the drop-in after the cap was removed. An empty file would be a mask.
const CLEARED_DROP_IN: &str =
    "# bij limited this unit's CPU time and has removed the limit.\n[Service]\n";

/// The state of one unit's cap on disk.
struct CpuCapState {
    /// The drop-in in which systemd keeps the property.
    file: PathBuf,
    /// The text of `file`.
    text: Option<String>,
    record_file: PathBuf,
    /// The record of the cap, if a cap of ours is in force.
    record: Option<CapRecord>,
}

impl SystemdUnits {
    pub(super) async fn apply_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Percent,
    ) -> Result<Outcome, UnitError> {
        let properties = self.bus()?.unit(id).await?;
        if is_down(&properties) {
            return Ok(Outcome::Unchanged);
        }
        let in_force = properties.cpu_quota();
        let cap_state = self.read_cpu_cap(id, in_force);
        let is_ours = cap_state.record.is_some();
        let mut record = cap_state.record.clone().unwrap_or_else(|| CapRecord {
            ours: Vec::new(),
            // The file drops fractions of a percent, so the value in force is used.
            before: cap_state.text.as_deref().and_then(last_quota).and(in_force),
            reload_was_due: reload_is_due(&properties),
        });
        let own = quota_without_cap(&properties, &cap_state, record.before).await?;
        let wanted = own.at().into_iter().fold(CpuQuota::at_most(cap), CpuQuota::min);
        if is_ours && in_force == Some(Limit::At(wanted)) {
            return Ok(Outcome::Unchanged);
        }
        record.ours.push(wanted);
        write_record(&record, &cap_state.record_file, id)?;
        self.set_quota(id, Limit::At(wanted)).await?;
        record.ours = vec![wanted];
        write_record(&record, &cap_state.record_file, id)?;
        // systemd writes to the control group before it answers the next call.
        let properties = self.bus()?.unit(id).await?;
        let group = self.resources(properties.text("ControlGroup").unwrap_or_default());
        if group.cpu_usage_nsec.is_some() && group.cpu_quota.is_none() {
            self.remove_cpu_cap(id).await?;
            return Err(UnitError::Unsupported(NO_EFFECT));
        }
        Ok(Outcome::Changed)
    }

    pub(super) async fn remove_cpu_cap(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let bus = self.bus()?;
        let record_file = self.dirs.cpu_cap_record(&id.unit_name());
        if !record_file.exists() {
            return Ok(Outcome::Unchanged);
        }
        let properties = bus.unit(id).await?;
        let cap_state = self.read_cpu_cap(id, properties.cpu_quota());
        let Some(record) = &cap_state.record else {
            // An operator has set another quota since; it stays.
            let _ = fs::remove_file(&record_file);
            return Ok(Outcome::Unchanged);
        };
        let own = quota_without_cap(&properties, &cap_state, record.before).await?;
        self.set_quota(id, own).await?;
        if record.before.is_none() {
            // If this fails, the file repeats the quota of the other files until the next boot.
            let _ = clear_drop_in(&cap_state.file);
        }
        // systemd before 257 loses the new file's place in the order of drop-ins.
        if !record.reload_was_due && reload_is_due(&self.bus()?.unit(id).await?) {
            self.bus()?.reload().await?;
        }
        let _ = fs::remove_file(&record_file);
        Ok(Outcome::Changed)
    }

    fn read_cpu_cap(&self, id: &ExperimentId, in_force: Option<Limit<CpuQuota>>) -> CpuCapState {
        let unit = id.unit_name();
        let file = self.dirs.runtime_property(&unit, "CPUQuota");
        let text = fs::read_to_string(&file).ok();
        let record_file = self.dirs.cpu_cap_record(&unit);
        let record = CapRecord::read(&record_file);
        let record = record.filter(|record| record.is_in_force(text.as_deref(), in_force));
        CpuCapState { file, text, record_file, record }
    }

    async fn set_quota(&self, id: &ExperimentId, quota: Limit<CpuQuota>) -> Result<(), UnitError> {
        let manager = self.bus()?.manager().await?;
        let value = quota.at().map_or(u64::MAX, CpuQuota::micros_per_sec);
        let properties = [("CPUQuotaPerSecUSec", Variant::from(value))];
        let operation = Operation { verb: "limit the CPU time of", id: Some(id) };
        call(operation, manager.set_unit_properties(&id.unit_name(), true, &properties)).await
    }
}

/// Writes the record of a cap. Without a record the cap could not be removed, so an error prevents the cap.
fn write_record(record: &CapRecord, path: &Path, id: &ExperimentId) -> Result<(), UnitError> {
    record.write(path).map_err(|error| UnitError::Refused {
        action: format!("limit the CPU time of {id}, because {} cannot be written", path.display()),
        source: error.into(),
    })
}

/// Removes all settings from a drop-in and keeps its modification time.
fn clear_drop_in(file: &Path) -> io::Result<()> {
    let modified = fs::metadata(file)?.modified()?;
    // The temporary name is not that of a drop-in, so that systemd never reads half of the file.
    let mut new = Builder::new().suffix(".new").tempfile_in(file.parent().unwrap_or(file))?;
    new.write_all(CLEARED_DROP_IN.as_bytes())?;
    new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    new.as_file().set_modified(modified)?;
    new.persist(file)?;
    Ok(())
}

fn reload_is_due(properties: &UnitProperties) -> bool {
    properties.flag("NeedDaemonReload") == Some(true)
}

/// Returns the quota in force without the cap: the previous runtime property `before`, or the quota of the
/// unit's other files.
async fn quota_without_cap(
    properties: &UnitProperties,
    cap_state: &CpuCapState,
    before: Option<Limit<CpuQuota>>,
) -> Result<Limit<CpuQuota>, UnitError> {
    if let Some(before) = before {
        return Ok(before);
    }
    let (files, cap_file) = (properties.files(), cap_state.file.clone());
    let read = move || {
        let files = files.iter().filter(|file| cap_file != PathBuf::from(file));
        let texts = files.filter_map(|file| fs::read_to_string(file).ok());
        texts.filter_map(|text| last_quota(&text)).next_back().unwrap_or(Limit::Max)
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|lost| UnitError::Unreachable(lost.into()))
}

/// Returns the last `CPUQuota=` of a unit file that systemd would accept (systemd.syntax(7)).
fn last_quota(text: &str) -> Option<Limit<CpuQuota>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let values = lines.filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim_end() == "CPUQuota").then(|| value.trim())
    });
    let mut quotas = values.filter_map(|value| match value {
        "" => Some(Limit::Max),
        value => value.parse().ok().map(Limit::At),
    });
    quotas.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_quota_of_a_file_counts() {
        let quota = |text: &str| Limit::At(text.parse::<CpuQuota>().unwrap());
        assert_eq!(last_quota("[Service]\nMemoryMax=1G\n"), None);
        assert_eq!(last_quota("[Service]\nCPUQuota=150%\n"), Some(quota("150%")));
        assert_eq!(
            last_quota("CPUQuota=10%\n CPUQuota = 20% \n#CPUQuota=30%\n"),
            Some(quota("20%"))
        );
        assert_eq!(last_quota("CPUQuota=10%\nCPUQuota=\n"), Some(Limit::Max));
        assert_eq!(last_quota("CPUQuota=10%\nCPUQuota=much\n"), Some(quota("10%")));
    }
}
