//! Predicts which modes need a reboot, and which modes cannot be in force.
//!
//! A mode switches parts of the GPU on or off by masks. The driver accepts another mask only until the first context
//! is created on the GPU after boot (`tpc_pg_mask_store` of nvgpu). nvpmodel learns this by trying, and then offers
//! to reboot.

use super::{ConfiguredMode, ModeSetting, PowerConf};
use crate::{Files, Reading, WhyNot, gpu, identity, nodes, parse};

/// Returns `true` if switching to a mode needs a reboot.
pub(super) fn needs_reboot(
    files: &dyn Files,
    conf: &PowerConf,
    mode: &ConfiguredMode,
) -> Reading<bool> {
    match predict(files, conf, mode) {
        Ok(false) if mode.has_gap => {
            Err(WhyNot::unparsable(b"a line of this mode in nvpmodel.conf"))
        }
        known => known,
    }
}

/// How a mode's settings compare with the state of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The masks and CPUs that it sets are those of the board.
    Fits,
    /// It sets no masks and no CPUs.
    Unknown,
    /// The board contradicts it, so it is not in force; with the contradiction as a fragment.
    Contradicted(String),
}

/// Compares a mode with the GPU's masks and the CPUs online. Values that cannot be read contradict nothing.
pub(super) fn compare(files: &dyn Files, conf: &PowerConf, mode: &ConfiguredMode) -> Fit {
    let online = online_cores(files).ok();
    let mut fit = Fit::Unknown;
    for setting in &mode.settings {
        let compared = if is_mask(setting) {
            compare_mask(files, conf, setting)
        } else if setting.param == "CPU_ONLINE" {
            online.as_ref().and_then(|online| compare_core(online, conf, setting))
        } else {
            None
        };
        match compared {
            Some(contradicted @ Fit::Contradicted(_)) => return contradicted,
            Some(compared) => fit = compared,
            None => {}
        }
    }
    // The mode in force never needs a reboot.
    match needs_reboot(files, conf, mode) {
        Ok(true) => Fit::Contradicted("it takes a reboot to get there".to_owned()),
        Ok(false) | Err(_) => fit,
    }
}

fn is_mask(setting: &ModeSetting) -> bool {
    setting.arg.ends_with("_PG_MASK")
}

fn compare_mask(files: &dyn Files, conf: &PowerConf, setting: &ModeSetting) -> Option<Fit> {
    let wanted: u64 = setting.value.parse().ok()?;
    let seen = current_mask(files, conf, setting).ok()?;
    let name = setting.arg.to_lowercase();
    Some(if seen == wanted {
        Fit::Fits
    } else {
        Fit::Contradicted(format!("{name} is {seen} and not {wanted}"))
    })
}

fn compare_core(online: &[u32], conf: &PowerConf, setting: &ModeSetting) -> Option<Fit> {
    let core = conf.paths_of(setting).find_map(core_of)?;
    Some(match (setting.value.as_str(), online.contains(&core)) {
        ("1", true) | ("0", false) => Fit::Fits,
        ("1", false) => Fit::Contradicted(format!("processor {core} is offline")),
        ("0", true) => Fit::Contradicted(format!("processor {core} is online")),
        _ => return None,
    })
}

/// Returns the CPU of a path such as `/sys/devices/system/cpu/cpu3/online`.
fn core_of(path: &str) -> Option<u32> {
    path.strip_suffix("/online")?.rsplit('/').next()?.strip_prefix("cpu")?.parse().ok()
}

fn online_cores(files: &dyn Files) -> Reading<Vec<u32>> {
    files.text("sys/devices/system/cpu/online").and_then(|list| parse::ranges(&list))
}

fn predict(files: &dyn Files, conf: &PowerConf, mode: &ConfiguredMode) -> Reading<bool> {
    for setting in mode.settings.iter().filter(|setting| is_mask(setting)) {
        let wanted: u64 =
            setting.value.parse().map_err(|_| WhyNot::unparsable(setting.value.as_bytes()))?;
        if current_mask(files, conf, setting)? != wanted {
            // Whether the GPU was used is read last, because most masks are equal.
            return Ok(!nodes::never_powered_on(files));
        }
    }
    // On a Thor, CPUs go online and offline only at boot.
    if identity::chip(files).is_ok_and(|chip| chip == identity::THOR) {
        return changes_cores(files, mode);
    }
    Ok(false)
}

/// Returns `true` if a mode has another number of CPUs online than there are now.
fn changes_cores(files: &dyn Files, mode: &ConfiguredMode) -> Reading<bool> {
    let cores = mode.settings.iter().filter(|setting| setting.param == "CPU_ONLINE");
    let wanted = cores.clone().filter(|setting| setting.value == "1").count();
    Ok(cores.count() > 0 && wanted != online_cores(files)?.len())
}

/// Reads the mask in force from the path in the configuration, or else from the GPU's directory.
fn current_mask(files: &dyn Files, conf: &PowerConf, setting: &ModeSetting) -> Reading<u64> {
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
        let conf = PowerConf::parse(CONF);
        conf.modes.iter().map(|mode| needs_reboot(tree, &conf, mode)).collect()
    }

    #[test]
    fn another_mask_needs_a_reboot_after_the_gpu_was_used() {
        let mut tree = CapturedTree::default();
        tree.set("sys/devices/gpu.0/tpc_pg_mask", "240\n");
        assert_eq!(
            predicted(&tree),
            [Ok(true), Ok(false), Ok(false)],
            "the GPU may have been used"
        );
        tree.set("dev/nvgpu/igpu0/power", "");
        assert_eq!(predicted(&tree), [Ok(false), Ok(false), Ok(false)], "the GPU was not used");
        tree.set("dev/nvgpu/igpu0/as", "");
        assert_eq!(predicted(&tree), [Ok(true), Ok(false), Ok(false)]);
    }

    #[test]
    fn a_thor_needs_a_reboot_for_another_number_of_cpus() {
        let conf = "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\n\
                    < POWER_MODEL ID=1 NAME=70W >\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 0\n";
        let conf = PowerConf::parse(conf);
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
    fn a_mask_is_read_from_the_gpu_where_the_configured_path_is_wrong() {
        let mut tree = CapturedTree::default();
        assert_eq!(predicted(&tree), [Err(WhyNot::Absent), Err(WhyNot::Absent), Ok(false)]);
        tree.set("sys/devices/platform/17000000.gpu/tpc_pg_mask", "0\n");
        assert_eq!(predicted(&tree), [Ok(false), Ok(true), Ok(false)]);
    }
}
