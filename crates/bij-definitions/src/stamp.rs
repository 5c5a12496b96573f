//! The stamp of a definition: changes whenever anything that it was made from changes.

use std::hash::{Hash, Hasher};

use bij_core::definition::RENDERING;
use fnv::FnvHasher;

/// A stamp in the making: FNV-1a, 64 bits.
///
/// It tells an edited file from the one that is loaded and protects against nobody: whoever can
/// write a definition needs no collision.
pub(crate) struct Stamp(FnvHasher);

impl Stamp {
    /// The stamp of nothing, as rendered by this version.
    pub(crate) fn new() -> Self {
        let mut hasher = FnvHasher::default();
        RENDERING.hash(&mut hasher);
        Self(hasher)
    }

    /// Adds a file.
    pub(crate) fn add_file(&mut self, path: &str, bytes: &[u8]) {
        // Slices hash their length first, so that two files never read as one.
        path.hash(&mut self.0);
        bytes.hash(&mut self.0);
    }

    /// Adds a value.
    pub(crate) fn add(&mut self, value: &impl Hash) {
        value.hash(&mut self.0);
    }

    /// 16 hexadecimal digits.
    pub(crate) fn finish(&self) -> String {
        format!("{:016x}", self.0.finish())
    }
}
