//! Which modes need a reboot, without trying.
//!
//! A mode that takes parts of the GPU away, or gives them back, does so by masks, and the driver takes
//! another mask only as long as no context was ever made on the GPU since boot (`tpc_pg_mask_store` of
//! nvgpu). nvpmodel finds that out by trying, and then offers to reboot at once.

use super::{PowerConf, PowerMode, PowerSetting};
use crate::{Files, Reading, WhyNot, gpu, nodes};

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
    Ok(false)
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
    fn a_mask_is_found_with_the_gpu_where_the_configuration_is_wrong() {
        let mut tree = CapturedTree::default();
        assert_eq!(predicted(&tree), [Err(WhyNot::Absent), Err(WhyNot::Absent), Ok(false)]);
        tree.set("sys/devices/platform/17000000.gpu/tpc_pg_mask", "0\n");
        assert_eq!(predicted(&tree), [Ok(false), Ok(true), Ok(false)]);
    }
}
