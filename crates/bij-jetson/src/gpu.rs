//! The GPU: how busy it is, how fast, and whether it has power.

use bij_core::{Hertz, Percent};

use crate::{Files, Reading, WhyNot, identity};

const DEVFREQ: &str = "sys/class/devfreq";

/// Where the device itself is looked for when devfreq does not know it: at boot its entry appears late,
/// and sometimes not at all. The first is where the kernel puts it, the others are what NVIDIA adds.
const BUSES: [&str; 3] = ["sys/devices/platform/bus@0", "sys/devices/platform", "sys/devices"];

/// A graphics processor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gpu {
    /// What the kernel or its driver calls it: `17000000.gpu`, `NVIDIA GeForce RTX 4090`.
    pub name: String,
    /// How busy it is at this moment; only the mean of several tells something.
    pub load: Reading<Percent>,
    /// Its clock; while it has no power, the one it will start with.
    pub clock: Reading<Hertz>,
    /// The slowest that is allowed.
    pub min_clock: Reading<Hertz>,
    /// The fastest that is allowed.
    pub max_clock: Reading<Hertz>,
    /// Whether it has power.
    pub powered: Reading<bool>,
}

impl Gpu {
    /// The GPU of this machine.
    ///
    /// # Errors
    /// [`WhyNot::Absent`] if no kind that is known here is found.
    pub fn read(files: &dyn Files) -> Reading<Self> {
        match Place::find(files) {
            Ok(place) => Ok(place.read(files)),
            Err(WhyNot::Absent) => discrete(files),
            Err(why) => Err(why),
        }
    }
}

/// Where the files of an integrated GPU are.
struct Place {
    name: String,
    /// `load`, power state.
    device: String,
    /// Clocks.
    devfreq: Option<String>,
}

/// The name of a device that is the GPU of a Tegra: `17000000.gpu`, `17000000.ga10b`, `gpu-gpc-0`.
pub(crate) fn is_tegra_gpu(name: &str) -> bool {
    match name.split_once('.') {
        Some((address, kind)) => {
            let hexadecimal = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit());
            hexadecimal && is_gpu_word(kind)
        }
        None => name.starts_with("gpu-gpc-"),
    }
}

/// `gpu`, or the name of a chip: `gp10b`, `gv11b`, `ga10b`.
fn is_gpu_word(word: &str) -> bool {
    word == "gpu"
        || matches!(word.as_bytes(), [b'g', b'a'..=b'z', b'0'..=b'9', b'0'..=b'9', b'a'..=b'z'])
}

impl Place {
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
            // Some 200 names that are not read, once in a while.
            let found = files.names(bus)?.into_iter().find(|name| is_tegra_gpu(name));
            if let Some(name) = found {
                return Ok(Self { device: format!("{bus}/{name}"), name, devfreq: None });
            }
        }
        Err(WhyNot::Absent)
    }

    fn read(self, files: &dyn Files) -> Gpu {
        let clock = |name: &str| {
            let devfreq = self.devfreq.as_ref().ok_or(WhyNot::Absent)?;
            files.count(&format!("{devfreq}/{name}")).map(Hertz::new)
        };
        Gpu {
            load: files.count(&format!("{}/load", self.device)).and_then(load),
            clock: clock("cur_freq"),
            min_clock: clock("min_freq"),
            max_clock: clock("max_freq"),
            powered: powered(files, &self.device),
            name: self.name,
        }
    }
}

/// Returns `true` if the GPU of a Tegra is driven by nvidia.ko, as cards are, and not by nvgpu: a Thor's.
pub(crate) fn is_driven_by_nvidia_ko(files: &dyn Files) -> bool {
    match Place::find(files) {
        Ok(place) => place.name.starts_with("gpu-gpc-"),
        // Its entry in devfreq may be late.
        Err(_) => identity::chip(files).is_ok_and(|chip| chip == identity::THOR),
    }
}

/// The directory of the integrated GPU's clock.
pub(crate) fn devfreq(files: &dyn Files) -> Reading<String> {
    Place::find(files)?.devfreq.ok_or(WhyNot::Absent)
}

/// The directory of the integrated GPU's device.
pub(crate) fn device(files: &dyn Files) -> Reading<String> {
    Place::find(files).map(|place| place.device)
}

/// Tenths of a percent.
fn load(permille: u64) -> Reading<Percent> {
    if permille > 1000 {
        return Err(WhyNot::Unparsable(permille.to_string()));
    }
    Ok(Percent::from_permyriad(permille * 10))
}

/// By the driver's word, or by the rail.
fn powered(files: &dyn Files, device: &str) -> Reading<bool> {
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

/// An NVIDIA card: its driver gives load and clocks to nobody but its own library.
fn discrete(files: &dyn Files) -> Reading<Gpu> {
    let cards = "proc/driver/nvidia/gpus";
    let card = files.names(cards)?.into_iter().next().ok_or(WhyNot::Absent)?;
    let information = files.text(&format!("{cards}/{card}/information"))?;
    let model = information.lines().find_map(|line| line.strip_prefix("Model:"));
    let name = model.map_or(card, |model| model.trim().to_owned());
    let [load, clock, min_clock, max_clock, powered] = [const { WhyNot::Absent }; 5];
    Ok(Gpu {
        name,
        load: Err(load),
        clock: Err(clock),
        min_clock: Err(min_clock),
        max_clock: Err(max_clock),
        powered: Err(powered),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn the_gpu_of_every_release_is_told_by_its_name() {
        for name in ["17000000.gpu", "17000000.ga10b", "17000000.gv11b", "gpu-gpc-0"] {
            assert!(is_tegra_gpu(name), "{name}");
        }
        for name in ["gpu", "15340000.vic", "bwmgr", "pwm-fan", "x.gpu", "13e00000.host1x"] {
            assert!(!is_tegra_gpu(name), "{name}");
        }
    }

    #[test]
    fn without_devfreq_it_has_no_clock_and_is_still_there() {
        let mut tree = CapturedTree::default();
        assert_eq!(Gpu::read(&tree), Err(WhyNot::Absent));
        tree.set("sys/devices/platform/bus@0/17000000.gpu/load", "455\n");
        tree.set("sys/devices/platform/bus@0/17000000.gpu/is_railgated", "no\n");
        let gpu = Gpu::read(&tree).unwrap();
        assert_eq!(gpu.load, Ok(Percent::from_permyriad(4550)));
        assert_eq!((gpu.clock, gpu.powered), (Err(WhyNot::Absent), Ok(true)));
    }

    #[test]
    fn a_load_of_more_than_all_is_none() {
        assert_eq!(load(1000), Ok(Percent::HUNDRED));
        assert!(load(1001).is_err());
    }

    #[test]
    fn a_card_of_a_pc_has_a_name_at_least() {
        let mut tree = CapturedTree::default();
        let information = "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 140\n";
        tree.set("proc/driver/nvidia/gpus/0000:01:00.0/information", information);
        let gpu = Gpu::read(&tree).unwrap();
        assert_eq!(gpu.name, "NVIDIA GeForce RTX 4090");
        assert_eq!(gpu.load, Err(WhyNot::Absent));
    }
}
