//! The name of an experiment's own dynamic user.

use std::hash::Hasher as _;

use bij_core::ExperimentId;
use fnv::FnvHasher;

/// As long as a user's name may be (`UT_NAMESIZE`, less the NUL).
const LONGEST: usize = 31;

/// Returns the name of the dynamic user that an experiment without a `user` runs as.
///
/// systemd names a dynamic user by what stands before the `@`: all instances of a template would
/// be one user, free to read each other's state and to kill each other.
///
/// A name tells whose it is, where it can. Others begin differently, so that none is another's.
pub(super) fn own_user(id: &ExperimentId) -> String {
    let name = format!("bij-{id}");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.len() <= LONGEST && name.bytes().all(plain) {
        return name;
    }
    let mut hasher = FnvHasher::default();
    hasher.write(id.as_str().as_bytes());
    format!("bij_{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(id: &str) -> String {
        own_user(&ExperimentId::new(id).unwrap())
    }

    #[test]
    fn a_name_tells_whose_user_it_is() {
        assert_eq!(user("amnesiac_001"), "bij-amnesiac_001");
        assert_eq!(user("a.b"), "bij_e61d99190466522c");
    }

    proptest! {
        #[test]
        fn every_experiment_has_a_user_that_systemd_takes(
            id in "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
            other in "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        ) {
            let name = user(&id);
            prop_assert!(name.len() <= LONGEST);
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            prop_assert!(id == other || name != user(&other));
        }
    }
}
