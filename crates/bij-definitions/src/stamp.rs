//! The stamp of a definition: changes whenever the rendered unit changes.

use std::hash::{Hash as _, Hasher as _};

use bij_core::definition::{ExperimentSpec, RENDERING};
use fnv::FnvHasher;

/// Returns the stamp of a rendered definition: FNV-1a, 64 bits, 16 hexadecimal digits.
///
/// It distinguishes an edited definition from the loaded one and is no protection, because an account that
/// can write a definition needs no collision. All users can read it, so the environment and the config are
/// not part of it: each start reads them again, and a stamp of a secret would make guesses possible.
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
