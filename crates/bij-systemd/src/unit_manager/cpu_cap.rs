//! Bounds a unit's processor time for a while.
//!
//! It is a runtime property, as of `systemctl set-property --runtime`: in force at once, without a
//! reload, and `systemctl show` tells it. systemd has no call to take one back, and it would outlive
//! the unit. So what was in force before is set in its place: what an operator had set by the same
//! means, which a [memo] keeps, or what the unit's other files say. A setting that was made with
//! `set-property` and without `--runtime` is another file, and counts as one of those.
//!
//! The file itself stays, with nothing in it: without it systemd would want the unit's files read again
//! (`NeedDaemonReload=`), as it would with one that is newer than what it has read.

mod memo;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bij_core::port::UnitError;
use bij_core::{CpuQuota, ExperimentId, Limit, Outcome, Percent};
use zbus::Variant;

use super::{SystemdUnits, is_down};
use crate::bus::{Action, call};
use crate::properties::Properties;
use memo::Memo;

const NO_EFFECT: &str = "no processor time can be bounded here: the kernel lacks \
     CONFIG_CFS_BANDWIDTH, or this service manager was given no cpu controller";

/// What stays of a bound that was lifted. A file with nothing at all in it would mask others.
const LIFTED: &str =
    "# bij had bounded this unit's processor time, and has lifted that.\n[Service]\n";

/// The bound of one unit.
struct Bound {
    /// Where systemd keeps it.
    file: PathBuf,
    /// What that file holds.
    text: Option<String>,
    memo_file: PathBuf,
    /// What is known of it, if it is in force and ours.
    memo: Option<Memo>,
}

impl SystemdUnits {
    pub(super) async fn bound_processor_time(
        &self,
        id: &ExperimentId,
        cap: Percent,
    ) -> Result<Outcome, UnitError> {
        let properties = self.bus.unit(id).await?;
        if is_down(&properties) {
            return Ok(Outcome::Unchanged);
        }
        let in_force = properties.cpu_quota();
        let bound = self.bound_of(id, in_force);
        let is_ours = bound.memo.is_some();
        let mut memo = bound.memo.clone().unwrap_or_else(|| Memo {
            ours: Vec::new(),
            // The file has no fractions of a percent, so what is in force counts.
            before: bound.text.as_deref().and_then(quota_in).and(in_force),
            reload_was_due: reload_is_due(&properties),
        });
        let own = own_quota(&properties, &bound, memo.before).await?;
        let wanted = own.at().into_iter().fold(CpuQuota::at_most(cap), CpuQuota::min);
        if is_ours && in_force == Some(Limit::At(wanted)) {
            return Ok(Outcome::Unchanged);
        }
        memo.ours.push(wanted);
        write_down(&memo, &bound.memo_file, id)?;
        self.set_quota(id, Limit::At(wanted)).await?;
        memo.ours = vec![wanted];
        write_down(&memo, &bound.memo_file, id)?;
        // systemd writes to the control group before it answers the next question.
        let properties = self.bus.unit(id).await?;
        let group = self.resources(properties.text("ControlGroup").unwrap_or_default());
        if group.cpu_usage_nsec.is_some() && group.cpu_quota.is_none() {
            self.lift_bound(id).await?;
            return Err(UnitError::Unsupported(NO_EFFECT));
        }
        Ok(Outcome::Changed)
    }

    pub(super) async fn lift_bound(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let memo_file = self.dirs.bound_memo(&id.unit_name());
        if !memo_file.exists() {
            return Ok(Outcome::Unchanged);
        }
        let properties = self.bus.unit(id).await?;
        let bound = self.bound_of(id, properties.cpu_quota());
        let Some(memo) = &bound.memo else {
            // Somebody has set another one since, and that one stays.
            let _ = fs::remove_file(&memo_file);
            return Ok(Outcome::Unchanged);
        };
        let own = own_quota(&properties, &bound, memo.before).await?;
        self.set_quota(id, own).await?;
        if memo.before.is_none() {
            // Where that may not be, the file says what the others say, up to the next boot.
            let _ = empty(&bound.file);
        }
        // systemd before 257 forgets where among the others the new file belongs.
        if !memo.reload_was_due && reload_is_due(&self.bus.unit(id).await?) {
            self.bus.reload().await?;
        }
        let _ = fs::remove_file(&memo_file);
        Ok(Outcome::Changed)
    }

    fn bound_of(&self, id: &ExperimentId, in_force: Option<Limit<CpuQuota>>) -> Bound {
        let unit = id.unit_name();
        let file = self.dirs.runtime_property(&unit, "CPUQuota");
        let text = fs::read_to_string(&file).ok();
        let memo_file = self.dirs.bound_memo(&unit);
        let memo = Memo::read(&memo_file);
        let memo = memo.filter(|memo| memo.is_in_force(text.as_deref(), in_force));
        Bound { file, text, memo_file, memo }
    }

    async fn set_quota(&self, id: &ExperimentId, quota: Limit<CpuQuota>) -> Result<(), UnitError> {
        let manager = self.bus.manager().await?;
        let value = quota.at().map_or(u64::MAX, CpuQuota::micros_per_sec);
        let properties = [("CPUQuotaPerSecUSec", Variant::from(value))];
        let action = Action { verb: "bound the processor time of", id: Some(id) };
        call(action, manager.set_unit_properties(&id.unit_name(), true, &properties)).await
    }
}

/// Without it nobody could lift the bound, so there is none then.
fn write_down(memo: &Memo, path: &Path, id: &ExperimentId) -> Result<(), UnitError> {
    memo.write(path).map_err(|error| UnitError::Refused {
        action: format!(
            "bound the processor time of {id}, for {} cannot be written",
            path.display()
        ),
        source: error.into(),
    })
}

/// Takes everything out of a drop-in, and leaves it as old as it is.
fn empty(file: &Path) -> io::Result<()> {
    let modified = fs::metadata(file)?.modified()?;
    // By a name that is no drop-in's, so that nobody reads half of it.
    let new = file.with_extension("new");
    let mut writing = File::create(&new)?;
    writing.write_all(LIFTED.as_bytes())?;
    writing.set_modified(modified)?;
    fs::rename(new, file)
}

fn reload_is_due(properties: &Properties) -> bool {
    properties.flag("NeedDaemonReload") == Some(true)
}

/// What is in force without the bound: what somebody had set by the same means, or what the unit's
/// other files say.
async fn own_quota(
    properties: &Properties,
    bound: &Bound,
    before: Option<Limit<CpuQuota>>,
) -> Result<Limit<CpuQuota>, UnitError> {
    if let Some(before) = before {
        return Ok(before);
    }
    let (files, passed_over) = (properties.files(), bound.file.clone());
    let read = move || {
        let files = files.iter().filter(|file| passed_over != PathBuf::from(file));
        let texts = files.filter_map(|file| fs::read_to_string(file).ok());
        texts.filter_map(|text| quota_in(&text)).next_back().unwrap_or(Limit::Max)
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|lost| UnitError::Unreachable(lost.into()))
}

/// The last `CPUQuota=` of a unit file that systemd would take (systemd.syntax(7)).
fn quota_in(text: &str) -> Option<Limit<CpuQuota>> {
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
        assert_eq!(quota_in("[Service]\nMemoryMax=1G\n"), None);
        assert_eq!(quota_in("[Service]\nCPUQuota=150%\n"), Some(quota("150%")));
        assert_eq!(quota_in("CPUQuota=10%\n CPUQuota = 20% \n#CPUQuota=30%\n"), Some(quota("20%")));
        assert_eq!(quota_in("CPUQuota=10%\nCPUQuota=\n"), Some(Limit::Max));
        assert_eq!(quota_in("CPUQuota=10%\nCPUQuota=much\n"), Some(quota("10%")));
    }
}
