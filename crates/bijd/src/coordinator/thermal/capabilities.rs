//! Reads which restraints this machine supports.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use bij_coordinator::thermal::ThermalCapabilities;
use bij_core::Percent;

use super::execute::done_without;

/// The failure of a kernel without `CONFIG_CFS_BANDWIDTH`.
const NO_BANDWIDTH: &str = "this kernel cannot limit processor time (CONFIG_CFS_BANDWIDTH)";

/// Reads the capabilities of a machine whose control groups are mounted at `cgroups`.
pub(super) fn read(cgroups: &Path) -> ThermalCapabilities {
    let count = available_parallelism().map_or(1, NonZero::get);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let can_cap = can_cap(cgroups);
    if !can_cap {
        log::warn!("heat: {}", done_without(&NO_BANDWIDTH));
    }
    ThermalCapabilities::new(Percent::new(count.saturating_mul(100)), can_cap)
}

/// Returns whether the kernel can limit processor time (`CONFIG_CFS_BANDWIDTH`; some of NVIDIA's cannot, and systemd
/// accepts `CPUQuota=` anyway). Cgroup v2 then has `cpu.max` beside `cpu.weight` in all groups but the root; v1 has
/// `cpu.cfs_quota_us`.
fn can_cap(cgroups: &Path) -> bool {
    for version_1 in ["cpu", "cpu,cpuacct"] {
        let group = cgroups.join(version_1);
        if group.join("cpu.shares").exists() {
            return group.join("cpu.cfs_quota_us").exists();
        }
    }
    let groups = fs::read_dir(cgroups).into_iter().flatten().flatten();
    let weighted = groups.map(|entry| entry.path()).find(|group| group.join("cpu.weight").exists());
    // Without a group that has a weight, assume that it can.
    weighted.is_none_or(|group| group.join("cpu.max").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn a_kernel_without_bandwidth_control_is_known_by_its_files() {
        for (files, can) in [
            (&["system.slice/cpu.weight", "system.slice/cpu.max"][..], true),
            (&["system.slice/cpu.weight"], false),
            (&["system.slice/cgroup.procs"], true),
            (&["cpu/cpu.shares", "cpu/cpu.cfs_quota_us"], true),
            (&["cpu,cpuacct/cpu.shares"], false),
        ] {
            assert_eq!(can_cap(tree(files).path()), can, "{files:?}");
        }
    }
}
