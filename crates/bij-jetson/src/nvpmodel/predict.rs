//! Which modes need a reboot, without trying, and which ones cannot be in force.
//!
//! A mode that takes parts of the GPU away, or gives them back, does so by masks, and the driver takes
//! another mask only as long as no context was ever made on the GPU since boot (`tpc_pg_mask_store` of
//! nvgpu). nvpmodel finds that out by trying, and then offers to reboot at once.

use super::{PowerConf, PowerMode, PowerSetting};
use crate::{Files, Reading, WhyNot, gpu, identity, nodes, parse};

/// Whether a mode cannot be had without a reboot.
pub(super) fn needs_reboot(files: &dyn Files, conf: &PowerConf, mode: &PowerMode) -> Reading<bool> {
    match by_what_is_known(files, conf, mode) {
        Ok(false) if mode.has_gap => {
            Err(WhyNot::unparsable(b"a line of this mode in nvpmodel.conf"))
        }
        known => known,
    }
}

/// Whether what is seen of the board is what a mode sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Its masks and processors are those that are seen.
    Fits,
    /// It sets nothing that could be seen.
    Unknown,
    /// It is not in force; what contradicts it, as a fragment.
    Contradicted(String),
}

/// Compares a mode with the masks of the GPU and the processors online. What cannot be read contradicts nothing.
pub(super) fn fit(files: &dyn Files, conf: &PowerConf, mode: &PowerMode) -> Fit {
    let online = online(files).ok();
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
    // Whatever that is judged by: a mode that is in force needs no reboot.
    match needs_reboot(files, conf, mode) {
        Ok(true) => Fit::Contradicted("it takes a reboot to get there".to_owned()),
        Ok(false) | Err(_) => fit,
    }
}

fn is_mask(setting: &PowerSetting) -> bool {
    setting.arg.ends_with("_PG_MASK")
}

fn compare_mask(files: &dyn Files, conf: &PowerConf, setting: &PowerSetting) -> Option<Fit> {
    let wanted: u64 = setting.value.parse().ok()?;
    let seen = current_mask(files, conf, setting).ok()?;
    let name = setting.arg.to_lowercase();
    Some(if seen == wanted {
        Fit::Fits
    } else {
        Fit::Contradicted(format!("{name} is {seen} and not {wanted}"))
    })
}

fn compare_core(online: &[u32], conf: &PowerConf, setting: &PowerSetting) -> Option<Fit> {
    let core = conf.paths_of(setting).find_map(core_of)?;
    Some(match (setting.value.as_str(), online.contains(&core)) {
        ("1", true) | ("0", false) => Fit::Fits,
        ("1", false) => Fit::Contradicted(format!("processor {core} is offline")),
        ("0", true) => Fit::Contradicted(format!("processor {core} is online")),
        _ => return None,
    })
}

/// The processor of a path such as `/sys/devices/system/cpu/cpu3/online`.
fn core_of(path: &str) -> Option<u32> {
    path.strip_suffix("/online")?.rsplit('/').next()?.strip_prefix("cpu")?.parse().ok()
}

fn online(files: &dyn Files) -> Reading<Vec<u32>> {
    files.text("sys/devices/system/cpu/online").and_then(|list| parse::ranges(&list))
}

fn by_what_is_known(files: &dyn Files, conf: &PowerConf, mode: &PowerMode) -> Reading<bool> {
    for setting in mode.settings.iter().filter(|setting| is_mask(setting)) {
        let wanted: u64 =
            setting.value.parse().map_err(|_| WhyNot::unparsable(setting.value.as_bytes()))?;
        if current_mask(files, conf, setting)? != wanted {
            // The cheaper question first: most masks are as they are to be.
            return Ok(!nodes::never_powered_on(files));
        }
    }
    // On a Thor processors come and go only with a boot.
    if identity::chip(files).is_ok_and(|chip| chip == identity::THOR) {
        return changes_cores(files, mode);
    }
    Ok(false)
}

/// Whether a mode has another number of processors online than there are now.
fn changes_cores(files: &dyn Files, mode: &PowerMode) -> Reading<bool> {
    let cores = mode.settings.iter().filter(|setting| setting.param == "CPU_ONLINE");
    let wanted = cores.clone().filter(|setting| setting.value == "1").count();
    Ok(cores.count() > 0 && wanted != online(files)?.len())
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
        let conf = PowerConf::parse(CONF);
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
    fn a_mask_is_found_with_the_gpu_where_the_configuration_is_wrong() {
        let mut tree = CapturedTree::default();
        assert_eq!(predicted(&tree), [Err(WhyNot::Absent), Err(WhyNot::Absent), Ok(false)]);
        tree.set("sys/devices/platform/17000000.gpu/tpc_pg_mask", "0\n");
        assert_eq!(predicted(&tree), [Ok(false), Ok(true), Ok(false)]);
    }
}
