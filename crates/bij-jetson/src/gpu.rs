//! The GPU: its load, clocks and power state, and the limit of its clock.

use bij_core::port::{BoardReadError, GpuClock, GpuClockError, GpuClocks};
use bij_core::{Hertz, Percent};

use crate::{Files, Hardware, Reading, WhyNot, identity, parse};

const DEVFREQ: &str = "sys/class/devfreq";

/// Directories with the device itself, for when devfreq lacks it: its entry appears late after a boot, and sometimes
/// never. The first is the kernel's, the others are NVIDIA's.
const BUSES: [&str; 3] = ["sys/devices/platform/bus@0", "sys/devices/platform", "sys/devices"];

/// The state of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GpuState {
    /// Name given by the kernel or the driver: `17000000.gpu`, `NVIDIA GeForce RTX 4090`.
    pub name: String,
    /// The momentary load; only a mean of several readings is meaningful.
    pub load: Reading<Percent>,
    /// The current clock; without power, the clock that it will start with.
    pub clock: Reading<Hertz>,
    /// The lowest allowed clock.
    pub min_clock: Reading<Hertz>,
    /// The highest allowed clock.
    pub max_clock: Reading<Hertz>,
    /// Whether the GPU has power.
    pub powered: Reading<bool>,
}

impl GpuState {
    /// Reads the GPU of this machine.
    ///
    /// # Errors
    /// [`WhyNot::Absent`] if there is no GPU of a known kind.
    pub(crate) fn read(files: &dyn Files) -> Reading<Self> {
        match GpuFiles::find(files) {
            Ok(gpu) => Ok(gpu.read(files)),
            Err(WhyNot::Absent) => find_card(files),
            Err(why) => Err(why),
        }
    }
}

/// The directories of an integrated GPU's files.
struct GpuFiles {
    name: String,
    /// Directory with `load` and the power state.
    device: String,
    /// Directory with the clocks, if devfreq has one.
    devfreq: Option<String>,
}

/// Returns `true` if a device name is that of a Tegra's GPU: `17000000.gpu`, `17000000.ga10b`, `gpu-gpc-0`.
pub(crate) fn is_tegra_gpu(name: &str) -> bool {
    match name.split_once('.') {
        Some((address, kind)) => {
            let hexadecimal = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit());
            hexadecimal && is_gpu_word(kind)
        }
        None => name.starts_with("gpu-gpc-"),
    }
}

/// Returns `true` for `gpu` and for names of chips: `gp10b`, `gv11b`, `ga10b`.
fn is_gpu_word(word: &str) -> bool {
    word == "gpu"
        || matches!(word.as_bytes(), [b'g', b'a'..=b'z', b'0'..=b'9', b'0'..=b'9', b'a'..=b'z'])
}

impl GpuFiles {
    fn find(files: &dyn Files) -> Reading<Self> {
        for name in files.names(DEVFREQ)? {
            let devfreq = format!("{DEVFREQ}/{name}");
            let node = || files.text(&format!("{devfreq}/device/of_node/name"));
            if is_tegra_gpu(&name) || node().is_ok_and(|node| is_gpu_word(&node)) {
                let device = format!("{devfreq}/device");
                return Ok(Self { name, device, devfreq: Some(devfreq) });
            }
        }
        for bus in BUSES {
            // These directories have some 200 entries, of which only the names are read.
            let found = files.names(bus)?.into_iter().find(|name| is_tegra_gpu(name));
            if let Some(name) = found {
                return Ok(Self { device: format!("{bus}/{name}"), name, devfreq: None });
            }
        }
        Err(WhyNot::Absent)
    }

    fn read(self, files: &dyn Files) -> GpuState {
        let clock = |name: &str| {
            let devfreq = self.devfreq.as_ref().ok_or(WhyNot::Absent)?;
            files.count(&format!("{devfreq}/{name}")).map(Hertz::new)
        };
        GpuState {
            load: files.count(&format!("{}/load", self.device)).and_then(parse_load),
            clock: clock("cur_freq"),
            min_clock: clock("min_freq"),
            max_clock: clock("max_freq"),
            powered: read_powered(files, &self.device),
            name: self.name,
        }
    }
}

/// Returns `true` if the GPU of a Tegra is driven by nvidia.ko, like a card, and not by nvgpu. This is so on a Thor.
pub(crate) fn is_driven_by_nvidia_ko(files: &dyn Files) -> bool {
    match GpuFiles::find(files) {
        Ok(gpu) => gpu.name.starts_with("gpu-gpc-"),
        // The entry in devfreq may appear late.
        Err(_) => identity::chip(files).is_ok_and(|chip| chip == identity::THOR),
    }
}

/// Returns the directory of the integrated GPU's clock.
pub(crate) fn devfreq(files: &dyn Files) -> Reading<String> {
    GpuFiles::find(files)?.devfreq.ok_or(WhyNot::Absent)
}

/// Returns the directory of the integrated GPU's device.
pub(crate) fn device(files: &dyn Files) -> Reading<String> {
    GpuFiles::find(files).map(|gpu| gpu.device)
}

/// Converts a load in tenths of a percent.
fn parse_load(permille: u64) -> Reading<Percent> {
    if permille > 1000 {
        return Err(WhyNot::Unparsable(permille.to_string()));
    }
    Ok(Percent::from_permyriad(permille * 10))
}

/// Reads the power state from the driver, or else from the power rail.
fn read_powered(files: &dyn Files, device: &str) -> Reading<bool> {
    match files.text(&format!("{device}/gpu_powered_on")) {
        Ok(word) => match word.as_str() {
            "on" | "powering on" => Ok(true),
            "off" => Ok(false),
            other => Err(WhyNot::unparsable(other.as_bytes())),
        },
        Err(WhyNot::Absent) => match files.text(&format!("{device}/is_railgated"))?.as_str() {
            "no" => Ok(true),
            "yes" => Ok(false),
            other => Err(WhyNot::unparsable(other.as_bytes())),
        },
        Err(why) => Err(why),
    }
}

/// Reads the name of an NVIDIA card. Its driver gives load and clocks only to NVIDIA's own library.
fn find_card(files: &dyn Files) -> Reading<GpuState> {
    let cards = "proc/driver/nvidia/gpus";
    let card = files.names(cards)?.into_iter().next().ok_or(WhyNot::Absent)?;
    let information = files.text(&format!("{cards}/{card}/information"))?;
    let model = information.lines().find_map(|line| line.strip_prefix("Model:"));
    let name = model.map_or(card, |model| model.trim().to_owned());
    let [load, clock, min_clock, max_clock, powered] = [const { WhyNot::Absent }; 5];
    Ok(GpuState {
        name,
        load: Err(load),
        clock: Err(clock),
        min_clock: Err(min_clock),
        max_clock: Err(max_clock),
        powered: Err(powered),
    })
}

impl GpuClock for Hardware {
    fn clocks(&self) -> Result<GpuClocks, BoardReadError> {
        self.read_with_deadline(read_clocks).map_err(|why| unread(&why))
    }

    fn set_max(&self, max: Hertz) -> Result<(), GpuClockError> {
        self.read_with_deadline(move |files| set_max(files, max))
    }
}

fn set_max(files: &dyn Files, max: Hertz) -> Result<(), GpuClockError> {
    let directory = devfreq(files).map_err(|why| unread(&why))?;
    let (path, text) = (format!("{directory}/max_freq"), format!("{}\n", max.get()));
    let what = format!("/{path}");
    files
        .write(&path, &text)
        .map_err(|source| GpuClockError::Refused { what: what.clone(), source: source.into() })?;
    // The kernel accepts a rate that it does not have, or that something else limits further, so the result is read.
    match read_clocks(files).map_err(|why| unread(&why))?.max {
        is if is == max => Ok(()),
        is => Err(GpuClockError::NoEffect { what, to: max, is }),
    }
}

fn unread(why: &WhyNot) -> BoardReadError {
    BoardReadError { what: "the GPU's clock".to_owned(), why: why.to_string() }
}

/// Reads the rates and the limit of the GPU's clock from devfreq (the kernel's
/// Documentation/ABI/testing/sysfs-class-devfreq).
fn read_clocks(files: &dyn Files) -> Reading<GpuClocks> {
    let directory = devfreq(files)?;
    let text = files.text(&format!("{directory}/available_frequencies"))?;
    let rates = text.split_ascii_whitespace().map(|rate| match parse::number(rate.as_bytes()) {
        Ok(rate) => {
            u64::try_from(rate).map(Hertz::new).map_err(|_| WhyNot::Unparsable(text.clone()))
        }
        Err(why) => Err(why),
    });
    let mut rates = rates.collect::<Reading<Vec<_>>>()?;
    rates.sort_unstable();
    rates.dedup();
    if rates.is_empty() {
        return Err(WhyNot::Absent);
    }
    let max = files.count(&format!("{directory}/max_freq")).map(Hertz::new)?;
    Ok(GpuClocks { rates, max })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use bij_sim::contract::gpu_clock_contract;

    use super::*;
    use crate::CapturedTree;
    use crate::files::Root;

    #[test]
    fn the_gpu_of_every_release_is_recognised_by_its_name() {
        for name in ["17000000.gpu", "17000000.ga10b", "17000000.gv11b", "gpu-gpc-0"] {
            assert!(is_tegra_gpu(name), "{name}");
        }
        for name in ["gpu", "15340000.vic", "bwmgr", "pwm-fan", "x.gpu", "13e00000.host1x"] {
            assert!(!is_tegra_gpu(name), "{name}");
        }
    }

    #[test]
    fn without_devfreq_a_gpu_is_found_but_has_no_clock() {
        let mut tree = CapturedTree::default();
        assert_eq!(GpuState::read(&tree), Err(WhyNot::Absent));
        tree.set("sys/devices/platform/bus@0/17000000.gpu/load", "455\n");
        tree.set("sys/devices/platform/bus@0/17000000.gpu/is_railgated", "no\n");
        let gpu = GpuState::read(&tree).unwrap();
        assert_eq!(gpu.load, Ok(Percent::from_permyriad(4550)));
        assert_eq!((gpu.clock, gpu.powered), (Err(WhyNot::Absent), Ok(true)));
    }

    #[test]
    fn a_load_above_100_percent_is_rejected() {
        assert_eq!(parse_load(1000), Ok(Percent::HUNDRED));
        assert!(parse_load(1001).is_err());
    }

    #[test]
    fn a_card_in_a_pc_has_at_least_a_name() {
        let mut tree = CapturedTree::default();
        let information = "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 140\n";
        tree.set("proc/driver/nvidia/gpus/0000:01:00.0/information", information);
        let gpu = GpuState::read(&tree).unwrap();
        assert_eq!(gpu.name, "NVIDIA GeForce RTX 4090");
        assert_eq!(gpu.load, Err(WhyNot::Absent));
    }

    const DEVFREQ: &str = "sys/class/devfreq/17000000.gpu";

    #[test]
    fn the_machine_keeps_the_gpu_clock_contract() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join(DEVFREQ);
        fs::create_dir_all(&directory).unwrap();
        let rates = "306000000 612000000 918000000 1300500000\n";
        fs::write(directory.join("available_frequencies"), rates).unwrap();
        fs::write(directory.join("max_freq"), "1300500000\n").unwrap();
        // Another device has a clock of the same kind.
        let other = root.path().join("sys/class/devfreq/15340000.vic");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("max_freq"), "1\n").unwrap();
        gpu_clock_contract(&Hardware::new(Arc::new(Root::new(root.path()))));
        assert_eq!(fs::read_to_string(other.join("max_freq")).unwrap(), "1\n");
        let left = fs::read_to_string(directory.join("max_freq")).unwrap();
        assert_eq!(left.trim(), "1300500000");
    }

    #[test]
    fn a_clock_that_cannot_be_limited_gives_a_reason() {
        let machine = |files: &[(&str, &str)]| {
            let mut tree = CapturedTree::default();
            for (name, text) in files {
                tree.set(&format!("{DEVFREQ}/{name}"), *text);
            }
            Hardware::new(Arc::new(tree))
        };
        let message = |files: &[(&str, &str)]| machine(files).clocks().unwrap_err().to_string();
        assert_eq!(message(&[]), "cannot read the GPU's clock: absent");
        assert_eq!(message(&[("max_freq", "1\n")]), "cannot read the GPU's clock: absent");
        let odd = [("available_frequencies", "-1 2\n"), ("max_freq", "2\n")];
        assert!(message(&odd).contains("unparsable"), "{}", message(&odd));
        let error = machine(&[]).set_max(Hertz::new(1)).unwrap_err();
        assert!(matches!(error, GpuClockError::Read(_)), "{error:?}");
    }
}
