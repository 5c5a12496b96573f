//! Bounds a unit's processor time for a while.
//!
//! It is a runtime property, as of `systemctl set-property --runtime`: in force at once, without a
//! reload, and `systemctl show` tells it. systemd has no call to take one back, and it would outlive
//! the unit: so what the unit's other files say is set in its place, and the file is removed. A
//! setting that an operator has made with `set-property` and without `--runtime` is another file, and
//! counts as one of those.

use std::fs;
use std::path::PathBuf;

use bij_core::port::UnitError;
use bij_core::{CpuQuota, ExperimentId, Limit, Outcome, Percent};
use zbus::Variant;

use super::{SystemdUnits, is_down};
use crate::bus::{Action, call};
use crate::properties::Properties;

const NO_EFFECT: &str = "no processor time can be bounded here: the kernel lacks \
     CONFIG_CFS_BANDWIDTH, or this service manager was given no cpu controller";

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
        let file = self.bound_file(id);
        let own = own_quota(&properties, file.clone()).await?;
        let wanted = own.at().into_iter().chain([CpuQuota::at_most(cap)]).min();
        let wanted = wanted.map_or(Limit::Max, Limit::At);
        if file.exists() && properties.cpu_quota() == Some(wanted) {
            return Ok(Outcome::Unchanged);
        }
        self.set_quota(id, wanted).await?;
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
        let file = self.bound_file(id);
        if !file.exists() {
            return Ok(Outcome::Unchanged);
        }
        let properties = self.bus.unit(id).await?;
        let own = own_quota(&properties, file.clone()).await?;
        let in_force = properties.cpu_quota();
        self.set_quota(id, own).await?;
        // Where it may not be removed it says what the other files say, up to the next boot.
        let removed = fs::remove_file(&file).is_ok();
        Ok(if removed || in_force != Some(own) { Outcome::Changed } else { Outcome::Unchanged })
    }

    async fn set_quota(&self, id: &ExperimentId, quota: Limit<CpuQuota>) -> Result<(), UnitError> {
        let manager = self.bus.manager().await?;
        let value = quota.at().map_or(u64::MAX, CpuQuota::micros_per_sec);
        let properties = [("CPUQuotaPerSecUSec", Variant::from(value))];
        let action = Action { verb: "bound the processor time of", id: Some(id) };
        call(action, manager.set_unit_properties(&id.unit_name(), true, &properties)).await
    }

    fn bound_file(&self, id: &ExperimentId) -> PathBuf {
        self.dirs.runtime_property(&id.unit_name(), "CPUQuota")
    }
}

/// What the unit's files but `passed_over` say.
async fn own_quota(
    properties: &Properties,
    passed_over: PathBuf,
) -> Result<Limit<CpuQuota>, UnitError> {
    let files = properties.files();
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
