//! Identifies the machine and its release of L4T.

use std::fmt;

use crate::{Files, Reading, WhyNot, parse};

/// The identity of a machine, which is constant until the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
    pub(crate) fn read(files: &dyn Files) -> Self {
        let compatible = compatible(files);
        let soc = compatible.clone().and_then(|list| soc(&list).ok_or(WhyNot::Absent));
        let module = compatible.and_then(|list| module(files, &list).ok_or(WhyNot::Absent));
        let l4t = if soc.as_ref().is_ok_and(|soc| soc.starts_with("tegra")) {
            read_l4t(files)
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

/// A release of Jetson Linux: `36.4.7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct L4t {
    major: u32,
    revision: String,
}

/// The JetPack of each release of L4T; for other releases it is unknown.
const JETPACKS: &[(&str, &str)] = &[
    ("32.4.3", "4.4"),
    ("32.4.4", "4.4.1"),
    ("32.5.0", "4.5"),
    ("32.5.1", "4.5.1"),
    ("32.5.2", "4.5.1"),
    ("32.6.1", "4.6"),
    ("32.7.1", "4.6.1"),
    ("32.7.2", "4.6.2"),
    ("32.7.3", "4.6.3"),
    ("32.7.4", "4.6.4"),
    ("32.7.5", "4.6.5"),
    ("32.7.6", "4.6.6"),
    ("35.3.1", "5.1.1"),
    ("35.4.1", "5.1.2"),
    ("35.5.0", "5.1.3"),
    ("35.6.0", "5.1.4"),
    ("35.6.1", "5.1.5"),
    ("35.6.2", "5.1.5"),
    ("35.6.3", "5.1.5"),
    ("35.6.4", "5.1.6"),
    ("36.2.0", "6.0 DP"),
    ("36.3.0", "6.0"),
    ("36.4.0", "6.1"),
    ("36.4.3", "6.2"),
    ("36.4.4", "6.2.1"),
    ("36.4.7", "6.2.1"),
    ("36.5.0", "6.2.2"),
    ("38.2.0", "7.0"),
    ("38.4.0", "7.1"),
    ("39.2.0", "7.2"),
];

impl L4t {
    /// Returns the major version: 32 is JetPack 4, 35 JetPack 5, 36 JetPack 6, 38 and 39 JetPack 7.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Returns the JetPack with this release, if it is known.
    pub fn jetpack(&self) -> Option<&'static str> {
        let name = self.to_string();
        // `36.5` and `36.5.0` are the same release.
        let same = |known: &str| known == name || known.strip_suffix(".0") == Some(name.as_str());
        JETPACKS.iter().find(|(l4t, _)| same(l4t)).map(|(_, jetpack)| *jetpack)
    }

    /// Parses `# R36 (release), REVISION: 4.7, GCID: …`.
    fn from_release_file(text: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let (major, rest) = line.trim_start().strip_prefix("# R")?.split_once(' ')?;
            let (_, rest) = rest.split_once("REVISION:")?;
            Self::new(major, rest.trim_start())
        })
    }

    /// Parses the version of a package: `36.4.7-20250918154033`.
    fn from_package(version: &str) -> Option<Self> {
        let (major, revision) = version.split_once('.')?;
        Self::new(major, revision)
    }

    /// Takes the revision from the beginning of a text such as `4.7, GCID: …` or `4.0-ea`.
    fn new(major: &str, text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let revision = text.get(..end)?.trim_end_matches('.');
        revision.split('.').all(|part| !part.is_empty()).then_some(())?;
        Some(Self { major: major.parse().ok()?, revision: revision.to_owned() })
    }
}

impl fmt::Display for L4t {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.revision)
    }
}

/// Reads the release from the release file, or else from the version of the package that contains it.
fn read_l4t(files: &dyn Files) -> Reading<L4t> {
    let why = match files.text("etc/nv_tegra_release") {
        Ok(text) => match L4t::from_release_file(&text) {
            Some(release) => return Ok(release),
            None => WhyNot::unparsable(text.as_bytes()),
        },
        Err(why) => why,
    };
    match (from_packages(files), why) {
        (Err(package), WhyNot::Absent) => Err(package),
        (packages, why) => packages.map_err(|_| why),
    }
}

fn from_packages(files: &dyn Files) -> Reading<L4t> {
    let status = files.text("var/lib/dpkg/status")?;
    let core = status
        .split("\n\n")
        .find(|package| package.lines().any(|line| line == "Package: nvidia-l4t-core"))
        .ok_or(WhyNot::Absent)?;
    let version = core.lines().find_map(|line| line.strip_prefix("Version: "));
    let version = version.ok_or(WhyNot::Absent)?;
    L4t::from_package(version).ok_or(WhyNot::unparsable(version.as_bytes()))
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

    #[test]
    fn every_known_release_file_is_parsed() {
        for (line, l4t, jetpack) in [
            ("# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref, DATE: x", "35.4.1", "5.1.2"),
            ("# R36 (release), REVISION: 4.7, GCID: 1, BOARD: generic, DATE: x", "36.4.7", "6.2.1"),
            ("# R38 (release), REVISION: 4.0, GCID: 1, BOARD: generic, DATE: x", "38.4.0", "7.1"),
            ("# R39 (release), REVISION: 2.0, GCID: 1, DATE: 09:28:48 PM", "39.2.0", "7.2"),
        ] {
            let found = L4t::from_release_file(line).unwrap();
            assert_eq!((found.to_string().as_str(), found.jetpack()), (l4t, Some(jetpack)));
        }
        let newer = L4t::from_release_file("# R40 (release), REVISION: 1.0, x").unwrap();
        assert_eq!((newer.major(), newer.jetpack()), (40, None));
        assert_eq!(L4t::from_package("36.5-1").unwrap().jetpack(), Some("6.2.2"));
        assert_eq!(L4t::from_release_file("# R36 (release), REVISION: , x"), None);
        let odd = "# Release notes\n# R of NVIDIA\n # R36 (release), REVISION: 4.0-ea, GCID: 1\n";
        assert_eq!(L4t::from_release_file(odd).unwrap().to_string(), "36.4.0");
    }

    #[test]
    fn without_the_file_the_package_gives_the_release() {
        let mut tree = CapturedTree::default();
        assert_eq!(read_l4t(&tree), Err(WhyNot::Absent));
        let status = "Package: a\nVersion: 1\n\nPackage: nvidia-l4t-core\nStatus: installed\n\
                      Version: 36.4.7-20250918154033\n\nPackage: z\n";
        tree.set("var/lib/dpkg/status", status);
        assert_eq!(read_l4t(&tree).unwrap().to_string(), "36.4.7");
        tree.set("etc/nv_tegra_release", "rubbish\n");
        assert_eq!(read_l4t(&tree).unwrap().to_string(), "36.4.7", "the file is malformed");
        tree.remove("var/lib/dpkg/status");
        assert_eq!(read_l4t(&tree), Err(WhyNot::unparsable(b"rubbish")));
    }
}
