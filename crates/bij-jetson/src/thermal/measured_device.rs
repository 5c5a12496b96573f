//! Decides which sensors measure the CPU, the GPU and the rest of their chip.
//!
//! The temperature thresholds are meant for silicon that cools down when it has less to do. A network card or an SSD
//! at its working temperature does not, and has limits of its own.

/// The device that a sensor measures, judged by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MeasuredDevice {
    /// The CPU, the GPU, or another part of their chip or module.
    Soc,
    /// Another device: a radio, a battery, an SSD.
    Other,
    /// The type shows neither.
    Unknown,
}

/// Words in the zone types of CPUs, GPUs and their chips: NVIDIA's `CPU-therm`, `soc012-thermal`, Intel's
/// `x86_pkg_temp` and `TCPU`, Rockchip's `bigcore0-thermal`, Qualcomm's `gpuss-0-thermal`.
const SOC_WORDS: [&str; 13] = [
    "cpu", "gpu", "soc", "core", "cluster", "pkg", "package", "npu", "apu", "vpu", "dla", "pva",
    "tdiode",
];

/// Whole types of such zones, of Tegras from X1 to Thor; `B0D4` is the CPU of an Intel DPTF. `PMIC-Die` stands for a
/// chip without a sensor and never has a temperature.
const SOC_TYPES: [&str; 9] =
    ["tj", "ao", "aux", "pll", "b0d4", "thermal-fan-est", "tboard", "tboard_tegra", "pmic-die"];

/// Words in the zone types of other devices. Drivers of radios and network cards register zones (`iwlwifi_1`,
/// `mlx5`), and so does every power supply with a temperature (`BAT0`, `bq27541-0`).
const OTHER_WORDS: [&str; 24] = [
    "wifi", "wlan", "ath1", "mt76", "mt79", "modem", "wwan", "bat", "bq2", "charger", "nvme",
    "ssd", "mlx", "sfp", "phy", "eth", "nic", "pcie", "cxgb", "bnxt", "pmic", "skin", "usb",
    "camera",
];

/// Chips of hwmon that are sensors of a CPU or GPU: see the kernel's Documentation/hwmon (`coretemp.rst`,
/// `k10temp.rst`, `k8temp.rst`, `via_cputemp`), and for GPUs the drivers of DRM.
const SOC_CHIPS: [&str; 12] = [
    "coretemp",
    "k10temp",
    "k8temp",
    "zenpower",
    "via_cputemp",
    "cpu_thermal",
    "gpu_thermal",
    "amdgpu",
    "radeon",
    "nouveau",
    "i915",
    "xe",
];

impl MeasuredDevice {
    /// Returns the origin of a thermal zone of this type, with or without its `-thermal`.
    pub(super) fn from_zone_type(kind: &str) -> Self {
        let kind = kind.to_lowercase();
        let name = super::short_name(&kind);
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if SOC_TYPES.contains(&name.as_str()) || is_vision_zone(&name) {
            Self::Soc
        } else if has(&OTHER_WORDS) {
            Self::Other
        } else if has(&SOC_WORDS) {
            Self::Soc
        } else {
            Self::Unknown
        }
    }

    /// Returns the origin of a chip of hwmon that is no thermal zone.
    pub(super) fn from_chip_name(name: &str) -> Self {
        if SOC_CHIPS.contains(&name) { Self::Soc } else { Self::Other }
    }
}

/// Returns `true` for `cv0` to `cv2` of an Orin, which measure its DLA and PVA.
fn is_vision_zone(name: &str) -> bool {
    let number = name.strip_prefix("cv");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_all_tegras_belong_to_the_soc() {
        for kind in [
            "CPU-therm",
            "GPU-therm",
            "AUX-therm",
            "AO-therm",
            "PLL-therm",
            "BCPU-therm",
            "MCPU-therm",
            "tj-thermal",
            "cv0-thermal",
            "CV2-therm",
            "soc012-thermal",
            "Tboard_tegra",
            "tboard-thermal",
            "Tdiode_tegra",
            "thermal-fan-est",
            "PMIC-Die",
            "x86_pkg_temp",
            "TCPU",
            "bigcore0-thermal",
            "package-thermal",
            "gpuss-0-thermal",
        ] {
            assert_eq!(MeasuredDevice::from_zone_type(kind), MeasuredDevice::Soc, "{kind}");
        }
    }

    #[test]
    fn zones_and_chips_of_other_devices_do_not_belong_to_the_soc() {
        for kind in
            ["iwlwifi_1", "mlx5", "BAT0", "bq27541-0", "nvme", "phy0-thermal", "pcie-thermal"]
        {
            assert_eq!(MeasuredDevice::from_zone_type(kind), MeasuredDevice::Other, "{kind}");
        }
        for chip in [
            "mlx5",
            "nvme",
            "r8169_0_300:00",
            "f75308",
            "nct6798",
            "ina238",
            "tmp451",
            "mt7921_phy0",
        ] {
            assert_eq!(MeasuredDevice::from_chip_name(chip), MeasuredDevice::Other, "{chip}");
        }
        assert_eq!(MeasuredDevice::from_chip_name("k10temp"), MeasuredDevice::Soc);
        for kind in ["acpitz", "acme-thermal", "INT3400 Thermal"] {
            assert_eq!(MeasuredDevice::from_zone_type(kind), MeasuredDevice::Unknown, "{kind}");
        }
    }
}
