//! The user that may read an experiment's environment.

use bij_core::Obstacle;
use bij_core::spec::ExperimentSpec;
use bij_host::HostContext;
use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid};
use thiserror::Error;

/// Why the user of an experiment cannot be found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// There is no user of this name.
    #[error("{0}")]
    NoUser(Obstacle),
    /// The users could not be looked up.
    #[error("cannot look up user {name}")]
    Lookup {
        /// The name of the user.
        name: String,
        /// The error of the system.
        #[source]
        source: Errno,
    },
}

/// The processes that may read the environment of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvironmentReader {
    /// The processes of one user.
    User(Uid),
    /// The processes in the unit's mount namespace, of a dynamic user. systemd allocates that user with its first
    /// process, which may run only after this hook.
    Namespace,
}

/// Returns the processes that may read the environment of an experiment.
///
/// # Errors
/// [`OwnerError`] if the definition's user cannot be found.
pub(crate) fn environment_reader(
    host: &HostContext,
    spec: &ExperimentSpec,
) -> Result<EnvironmentReader, OwnerError> {
    if host.is_user() {
        return Ok(EnvironmentReader::User(geteuid()));
    }
    match &spec.user {
        Some(user) => look_up_user(user).map(EnvironmentReader::User),
        None => Ok(EnvironmentReader::Namespace),
    }
}

fn look_up_user(name: &str) -> Result<Uid, OwnerError> {
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
        assert_eq!(environment_reader(&machine.host, &spec).unwrap(), EnvironmentReader::Namespace);
        for (user, uid) in [("root", 0), ("4711", 4711)] {
            spec.user = Some(user.to_owned());
            let expected = EnvironmentReader::User(Uid::from_raw(uid));
            assert_eq!(environment_reader(&machine.host, &spec).unwrap(), expected);
        }
        spec.user = Some("no-such-user".to_owned());
        let lost = environment_reader(&machine.host, &spec).unwrap_err();
        assert!(lost.to_string().starts_with("there is no user no-such-user: create"), "{lost}");
    }
}
