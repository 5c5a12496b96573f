//! The release of Jetson Linux (L4T), and its JetPack.

use std::fmt;

use crate::{Files, Reading, WhyNot};

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
pub(super) fn read(files: &dyn Files) -> Reading<L4t> {
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
        assert_eq!(read(&tree), Err(WhyNot::Absent));
        let status = "Package: a\nVersion: 1\n\nPackage: nvidia-l4t-core\nStatus: installed\n\
                      Version: 36.4.7-20250918154033\n\nPackage: z\n";
        tree.set("var/lib/dpkg/status", status);
        assert_eq!(read(&tree).unwrap().to_string(), "36.4.7");
        tree.set("etc/nv_tegra_release", "rubbish\n");
        assert_eq!(read(&tree).unwrap().to_string(), "36.4.7", "the file is malformed");
        tree.remove("var/lib/dpkg/status");
        assert_eq!(read(&tree), Err(WhyNot::unparsable(b"rubbish")));
    }
}
