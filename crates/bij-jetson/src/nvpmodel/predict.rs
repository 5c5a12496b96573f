//! Which modes need a reboot, without trying.
//!
//! A mode that takes parts of the GPU away, or gives them back, does so by masks, and the driver takes
//! another mask only as long as no context was ever made on the GPU since boot (`tpc_pg_mask_store` of
//! nvgpu). nvpmodel finds that out by trying, and then offers to reboot at once.

use super::{PowerConf, PowerMode, PowerSetting};
use crate::{Files, Reading, WhyNot, gpu, identity, nodes, parse};

/// Whether a mode cannot be had without a reboot.
pub(super) fn needs_reboot(files: &dyn Files, conf: &PowerConf, mode: &PowerMode) -> Reading<bool> {
    for setting in mode.settings.iter().filter(|setting| setting.arg.ends_with("_PG_MASK")) {
        let wanted: u64 =
            setting.value.parse().map_err(|_| WhyNot::unparsable(setting.value.as_bytes()))?;
        if current_mask(files, conf, setting)? != wanted {
            // The cheaper question first: most masks are as they are to be.
            return Ok(!nodes::never_powered_on(files));
        }
    }
    if identity::chip(files).is_ok_and(|chip| chip == THOR) {
        return changes_cores(files, mode);
    }
    Ok(false)
}

/// On it, processors come and go only with a boot.
const THOR: &str = "tegra264";

/// Whether a mode has another number of processors online than there are now.
fn changes_cores(files: &dyn Files, mode: &PowerMode) -> Reading<bool> {
    let cores = mode.settings.iter().filter(|setting| setting.param == "CPU_ONLINE");
    let wanted = cores.clone().filter(|setting| setting.value == "1").count();
    let online =
        files.text("sys/devices/system/cpu/online").and_then(|list| parse::ranges(&list))?;
    Ok(cores.count() > 0 && wanted != online.len())
}

/// The mask in force: at the path that the configuration has for it, or with the GPU as it was found.
fn current_mask(files: &dyn Files, conf: &PowerConf, setting: &PowerSetting) -> Reading<u64> {
    for path in conf.paths_of(setting) {
        match files.count(path) {
            Err(WhyNot::Absent) => {}
            other => return other,
        }
    }
    let device = gpu::device(files)?;
    files.count(&format!("{device}/{}", setting.arg.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    const CONF: &str = "< PARAM TYPE=FILE NAME=TPC >\nTPC_PG_MASK /sys/devices/gpu.0/tpc_pg_mask\n\
                        < POWER_MODEL ID=0 NAME=MAXN >\nTPC TPC_PG_MASK 0\n\
                        < POWER_MODEL ID=2 NAME=MODE_30W >\nTPC TPC_PG_MASK 240\n\
                        < POWER_MODEL ID=4 NAME=PLAIN >\n";

    fn predicted(tree: &CapturedTree) -> Vec<Reading<bool>> {
        let conf = PowerConf::parse(CONF).unwrap();
        conf.modes.iter().map(|mode| needs_reboot(tree, &conf, mode)).collect()
    }

    #[test]
    fn another_mask_needs_a_reboot_once_the_gpu_was_used() {
        let mut tree = CapturedTree::default();
        tree.set("sys/devices/gpu.0/tpc_pg_mask", "240\n");
        assert_eq!(predicted(&tree), [Ok(true), Ok(false), Ok(false)], "nothing says it was not");
        tree.set("dev/nvgpu/igpu0/power", "");
        assert_eq!(predicted(&tree), [Ok(false), Ok(false), Ok(false)], "it was never switched on");
        tree.set("dev/nvgpu/igpu0/as", "");
        assert_eq!(predicted(&tree), [Ok(true), Ok(false), Ok(false)]);
    }

    #[test]
    fn a_thor_needs_a_reboot_for_another_number_of_processors() {
        let conf = "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\n\
                    < POWER_MODEL ID=1 NAME=70W >\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 0\n";
        let conf = PowerConf::parse(conf).unwrap();
        let mut tree = CapturedTree::default();
        tree.set("sys/devices/system/cpu/online", "0-1\n");
        let mut reboots = |chip: &str| {
            tree.set("proc/device-tree/compatible", format!("nvidia,{chip}\0"));
            conf.modes.iter().map(|mode| needs_reboot(&tree, &conf, mode)).collect::<Vec<_>>()
        };
        assert_eq!(reboots("tegra264"), [Ok(false), Ok(true)]);
        assert_eq!(reboots("tegra234"), [Ok(false), Ok(false)]);
    }

    #[test]
    fn a_mask_is_found_with_the_gpu_where_the_configuration_is_wrong() {
        let mut tree = CapturedTree::default();
        assert_eq!(predicted(&tree), [Err(WhyNot::Absent), Err(WhyNot::Absent), Ok(false)]);
        tree.set("sys/devices/platform/17000000.gpu/tpc_pg_mask", "0\n");
        assert_eq!(predicted(&tree), [Ok(false), Ok(true), Ok(false)]);
    }
}
