//! Who reads an experiment's environment.

use bij_core::Obstacle;
use bij_core::definition::ExperimentSpec;
use bij_host::HostContext;
use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid};
use thiserror::Error;

/// Why it is not known which user an experiment runs as.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// No user has this name.
    #[error("{0}")]
    NoUser(Obstacle),
    /// The users could not be looked up.
    #[error("user {name} cannot be looked up")]
    Lookup {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        source: Errno,
    },
}

/// Who reads the environment of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The processes of one user.
    User(Uid),
    /// What runs in the unit's mount namespace, under a dynamic user. systemd allocates it when the first
    /// process with its name runs, which is after this hook where the name has just been rendered.
    Namespace,
}

/// Returns who is to read the environment of this start's processes.
///
/// # Errors
/// [`OwnerError`] if the definition's user cannot be found.
pub(crate) fn reader(host: &HostContext, spec: &ExperimentSpec) -> Result<Reader, OwnerError> {
    if host.is_user() {
        return Ok(Reader::User(geteuid()));
    }
    match &spec.user {
        Some(user) => named(user).map(Reader::User),
        None => Ok(Reader::Namespace),
    }
}

fn named(name: &str) -> Result<Uid, OwnerError> {
    if let Ok(number) = name.parse() {
        return Ok(Uid::from_raw(number));
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid),
        Ok(None) => Err(OwnerError::NoUser(Obstacle::NoUser { name: name.to_owned() })),
        Err(source) => Err(OwnerError::Lookup { name: name.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Machine;

    #[test]
    fn a_dynamic_user_reads_in_its_namespace_and_a_static_one_is_looked_up() {
        let machine = Machine::new();
        let mut spec = ExperimentSpec::new(machine.id.clone(), vec!["true".to_owned()]);
        assert_eq!(reader(&machine.host, &spec).unwrap(), Reader::Namespace);
        for (user, uid) in [("root", 0), ("4711", 4711)] {
            spec.user = Some(user.to_owned());
            let expected = Reader::User(Uid::from_raw(uid));
            assert_eq!(reader(&machine.host, &spec).unwrap(), expected);
        }
        spec.user = Some("no-such-user".to_owned());
        let lost = reader(&machine.host, &spec).unwrap_err();
        assert!(lost.to_string().starts_with("there is no user no-such-user: create"), "{lost}");
    }
}
