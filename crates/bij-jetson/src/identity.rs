//! Identifies the machine and its release of L4T.

use crate::{Files, Reading, WhyNot, parse};

mod release;

pub use release::L4t;

/// The identity of a machine, which is constant until the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The maker's name of the model: `NVIDIA Jetson AGX Orin Developer Kit`.
    pub model: Reading<String>,
    /// The system on a chip: `tegra234` is Orin, `tegra264` is Thor.
    pub soc: Reading<String>,
    /// The part number and variant of the module, independent of its carrier board: `p3701-0005`.
    pub module: Reading<String>,
    /// The release of Jetson Linux (L4T).
    pub l4t: Reading<L4t>,
}

const COMPATIBLE: &str = "proc/device-tree/compatible";

impl Identity {
    /// Reads the device tree, the release file, and on a PC the firmware.
    pub fn read(files: &dyn Files) -> Self {
        let compatible = compatible(files);
        let soc = compatible.clone().and_then(|list| soc(&list).ok_or(WhyNot::Absent));
        let module = compatible.and_then(|list| module(files, &list).ok_or(WhyNot::Absent));
        let l4t = if soc.as_ref().is_ok_and(|soc| soc.starts_with("tegra")) {
            release::read(files)
        } else {
            Err(WhyNot::Absent)
        };
        Self { model: model(files), soc, module, l4t }
    }

    /// Returns `true` if the machine is a Jetson. The kernel's name does not show this: it differs between
    /// distributions.
    pub fn is_jetson(&self) -> bool {
        self.soc.as_ref().is_ok_and(|soc| soc.starts_with("tegra"))
    }
}

fn model(files: &dyn Files) -> Reading<String> {
    match files.text("proc/device-tree/model") {
        Ok(model) if !model.is_empty() => return Ok(model),
        Ok(_) | Err(WhyNot::Absent) => {}
        Err(why) => return Err(why),
    }
    let dmi = |name: &str| files.text(&format!("sys/class/dmi/id/{name}"));
    let product = dmi("product_name")?;
    let vendor = dmi("sys_vendor").unwrap_or_default();
    // Some board firmware has this placeholder.
    let is_filled_in =
        |text: &str| !text.is_empty() && !text.eq_ignore_ascii_case("to be filled by o.e.m.");
    match (is_filled_in(&vendor), is_filled_in(&product)) {
        (true, true) if !product.starts_with(&vendor) => Ok(format!("{vendor} {product}")),
        (_, true) => Ok(product),
        (true, false) => Ok(vendor),
        (false, false) => Err(WhyNot::Absent),
    }
}

/// The chip of a Thor.
pub(crate) const THOR: &str = "tegra264";

/// Reads only the name of the chip.
pub(crate) fn chip(files: &dyn Files) -> Reading<String> {
    soc(&compatible(files)?).ok_or(WhyNot::Absent)
}

fn compatible(files: &dyn Files) -> Reading<Vec<String>> {
    Ok(parse::strings(&files.read(COMPATIBLE)?))
}

/// Returns the chip: the number of a Tegra, otherwise the last and most general entry of the list.
fn soc(compatible: &[String]) -> Option<String> {
    let digits = |name: &&str| {
        let number = name.strip_prefix("tegra").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let chips = || compatible.iter().map(|entry| entry.rsplit(',').next().unwrap_or(entry));
    chips().find(digits).or_else(|| chips().next_back()).map(ToOwned::to_owned)
}

/// Part numbers of modules: Orin, Thor, Xavier, TX2 and Nano.
const MODULES: [&str; 9] =
    ["p3701-", "p3767-", "p3834-", "p2888-", "p3668-", "p3310-", "p3489-", "p3636-", "p3448-"];

/// Returns the module's `pNNNN-NNNN`; the other number in the first entry is that of the carrier board.
fn module(files: &dyn Files, compatible: &[String]) -> Option<String> {
    // JetPack 5 writes the same variant for all modules into `compatible`; the name of the device tree's source file
    // has the right one.
    let source = files.text("proc/device-tree/nvidia,dtsfilename").unwrap_or_default();
    let source = source.rsplit('/').next().unwrap_or_default().to_owned();
    std::iter::once(&source).chain(compatible).find_map(|entry| {
        entry.match_indices('p').find_map(|(at, _)| {
            let part = entry.get(at..at + "p3701-0000".len())?;
            let variant = MODULES.iter().find_map(|module| part.strip_prefix(module))?;
            variant.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.to_owned())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturedTree;

    #[test]
    fn a_chip_is_identified_by_its_number_not_by_its_family() {
        let list = |text: &str| text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
        let orin = list("acme,carrier nvidia,tegra23x nvidia,tegra234");
        assert_eq!(soc(&orin).as_deref(), Some("tegra234"));
        assert_eq!(soc(&list("raspberrypi,5 brcm,bcm2712")).as_deref(), Some("bcm2712"));
        assert_eq!(soc(&[]), None);
    }

    #[test]
    fn a_module_is_not_mistaken_for_its_carrier() {
        let tree = CapturedTree::default();
        let list = ["nvidia,p3768-0000+p3767-0005-super".to_owned(), "nvidia,tegra234".to_owned()];
        assert_eq!(module(&tree, &list).as_deref(), Some("p3767-0005"));
        assert_eq!(module(&tree, &["acme,box".to_owned()]), None);
        let nano = ["nvidia,p3449-0000-b00+p3448-0000-b00".to_owned()];
        assert_eq!(module(&tree, &nano).as_deref(), Some("p3448-0000"));
        let mut older = CapturedTree::default();
        older.set("proc/device-tree/nvidia,dtsfilename", "/x/tegra234-p3701-0004-p3737-0000.dts\0");
        let list = ["nvidia,p3737-0000+p3701-0000".to_owned()];
        assert_eq!(module(&older, &list).as_deref(), Some("p3701-0004"));
    }

    #[test]
    fn placeholders_of_firmware_are_ignored() {
        let mut tree = CapturedTree::default();
        tree.set("sys/class/dmi/id/product_name", "To Be Filled By O.E.M.\n");
        assert_eq!(Identity::read(&tree).model, Err(WhyNot::Absent));
        tree.set("sys/class/dmi/id/sys_vendor", "ACME\n");
        assert_eq!(Identity::read(&tree).model.as_deref(), Ok("ACME"));
        assert!(!Identity::read(&tree).is_jetson());
    }
}
