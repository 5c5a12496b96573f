//! Holding back what is in a group, without ending it.

use std::time::Duration;
use std::{fs, io, thread};

use bij_core::{CpuQuota, Limit};

use super::{Jar, JarLimits, MissingLimit};

/// How long the kernel may take to bring every task to a halt; one in a long system call of a device
/// takes its time. How often is looked.
const FROZEN_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(2);

impl Jar {
    /// Bounds the processor time of all processes in the group from now on.
    ///
    /// # Errors
    /// [`MissingLimit`] if that has no effect here.
    pub fn set_cpu(&self, quota: Limit<CpuQuota>) -> Result<(), MissingLimit> {
        let limits = JarLimits { cpu: Some(quota), ..JarLimits::default() };
        limits.apply(self.hierarchy, &self.cgroup).into_iter().next().map_or(Ok(()), Err)
    }

    /// Has all processes of the group, those that come later included, stand still; or go on. It
    /// returns when they do. `false` if the kernel has no freezer for this group: version 1.
    ///
    /// A frozen process can be killed, but heeds no other signal.
    ///
    /// # Errors
    /// If the kernel refuses, or not every process stands still in time; then none does.
    pub fn set_frozen(&self, frozen: bool) -> io::Result<bool> {
        let file = self.cgroup.unified().map(|group| group.join("cgroup.freeze"));
        let Some(file) = file.filter(|file| file.exists()) else { return Ok(false) };
        fs::write(&file, if frozen { "1" } else { "0" })?;
        let mut waited = Duration::ZERO;
        while self.cgroup.is_frozen() != Some(frozen) {
            if waited >= FROZEN_WITHIN {
                fs::write(&file, "0")?;
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
        Ok(true)
    }
}
