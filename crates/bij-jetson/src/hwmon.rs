//! Chips of `/sys/class/hwmon`, by name: their numbers differ between boards and releases.
//!
//! What the attributes mean is in the kernel's Documentation/hwmon/sysfs-interface.rst.

use std::cell::OnceCell;

use crate::{Files, Reading};

const CLASS: &str = "sys/class/hwmon";

/// One chip.
#[derive(Clone, Debug)]
pub(crate) struct Chip {
    /// What its driver calls it: `ina3221`.
    pub(crate) name: String,
    directory: String,
    /// Listed once, when somebody wants to know.
    attributes: OnceCell<Vec<String>>,
}

impl Chip {
    /// All chips that have a name, sorted by it.
    pub(crate) fn all(files: &dyn Files) -> Reading<Vec<Self>> {
        let names = files.names(CLASS)?.into_iter();
        let mut chips: Vec<Self> = names
            .filter(|name| name.starts_with("hwmon"))
            .filter_map(|name| {
                let directory = format!("{CLASS}/{name}");
                // One without a name is of no known kind.
                let name = files.text(&format!("{directory}/name")).ok()?;
                Some(Self { name, directory, attributes: OnceCell::new() })
            })
            .collect();
        chips.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(chips)
    }

    /// The path of one of its attributes.
    pub(crate) fn at(&self, attribute: &str) -> String {
        format!("{}/{attribute}", self.directory)
    }

    /// The names of its attributes.
    pub(crate) fn attributes(&self, files: &dyn Files) -> &[String] {
        self.attributes.get_or_init(|| files.names(&self.directory).unwrap_or_default())
    }
}
