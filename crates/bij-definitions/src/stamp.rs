//! The stamp of a definition: changes whenever the unit that is made from it changes.

use std::hash::{Hash as _, Hasher as _};

use bij_core::definition::{ExperimentSpec, RENDERING};
use fnv::FnvHasher;

/// Returns the stamp of what a definition is rendered into: FNV-1a, 64 bits, 16 hexadecimal digits.
///
/// It tells an edited definition from the one that is loaded and protects against nobody: whoever can
/// write a definition needs no collision. Everybody can read it, so the environment and the config are
/// not part of it: each start reads them anew, and a stamp of a secret would let others guess it.
pub(crate) fn stamp(source: &str, spec: &ExperimentSpec) -> String {
    let mut rendered = spec.clone();
    rendered.environment.clear();
    rendered.config = None;
    let mut hasher = FnvHasher::default();
    RENDERING.hash(&mut hasher);
    source.hash(&mut hasher);
    format!("{rendered:?}").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
