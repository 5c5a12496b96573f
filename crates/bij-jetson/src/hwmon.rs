//! Chips of `/sys/class/hwmon`, found by name because their numbers differ between boards and releases.
//!
//! The kernel's Documentation/hwmon/sysfs-interface.rst describes the attributes.

use std::cell::OnceCell;

use crate::{Files, Reading};

const CLASS: &str = "sys/class/hwmon";

/// A chip of hwmon.
#[derive(Clone, Debug)]
pub(crate) struct Chip {
    /// The name that its driver gives it: `ina3221`.
    pub(crate) name: String,
    directory: String,
    /// The names of its attributes, listed at the first use.
    attributes: OnceCell<Vec<String>>,
}

impl Chip {
    /// Reads all chips that have a name, sorted by it.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        let names = files.names(CLASS)?.into_iter();
        let mut chips: Vec<Self> = names
            .filter(|name| name.starts_with("hwmon"))
            .filter_map(|name| {
                let directory = format!("{CLASS}/{name}");
                // A chip without a name is of no known kind.
                let name = files.text(&format!("{directory}/name")).ok()?;
                Some(Self { name, directory, attributes: OnceCell::new() })
            })
            .collect();
        chips.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(chips)
    }

    /// Returns the path of an attribute.
    pub(crate) fn at(&self, attribute: &str) -> String {
        format!("{}/{attribute}", self.directory)
    }

    /// Returns the names of the chip's attributes.
    pub(crate) fn attributes(&self, files: &dyn Files) -> &[String] {
        self.attributes.get_or_init(|| files.names(&self.directory).unwrap_or_default())
    }
}
