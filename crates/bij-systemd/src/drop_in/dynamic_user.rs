//! The name of an experiment's dynamic user.

use std::hash::Hasher as _;

use bij_core::ExperimentId;
use fnv::FnvHasher;

/// Maximum length of a user name (`UT_NAMESIZE`, less the NUL).
const LONGEST: usize = 31;

/// Returns the name of the dynamic user that an experiment without a `user` runs as.
///
/// By default systemd names a dynamic user by the part before the `@`, so all instances of a template would
/// share one user, and could read each other's state and kill each other.
///
/// The name contains the id if it is a valid user name. Otherwise it is a hash with another prefix, so that it
/// cannot be the name of another experiment's user.
pub(super) fn dynamic_user(id: &ExperimentId) -> String {
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
        dynamic_user(&ExperimentId::new(id).unwrap())
    }

    #[test]
    fn a_name_contains_the_id_if_it_can() {
        assert_eq!(user("amnesiac_001"), "bij-amnesiac_001");
        assert_eq!(user("a.b"), "bij_e61d99190466522c");
    }

    proptest! {
        #[test]
        fn every_experiment_has_a_unique_valid_user_name(
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
