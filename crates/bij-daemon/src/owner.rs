//! The user that an experiment's processes run as.

use std::fs;
use std::path::Path;

use bij_core::definition::ExperimentSpec;
use bij_systemd::own_user;
use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid};
use thiserror::Error;

use crate::Place;

/// Why it is not known which user an experiment runs as.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// No user has this name.
    #[error("there is no user {0}")]
    NoUser(String),
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

/// Returns the id of the user that systemd runs this start's processes as.
///
/// systemd allocates an experiment's own dynamic user before it runs `ExecCondition=` and links its name
/// to its number in `/run/systemd/dynamic-uid` (`make_uid_symlinks()` of its core/dynamic-user.c, since
/// 235). A static user of the same name takes its place (systemd.exec(5), `DynamicUser=`).
pub(crate) fn owner(place: &Place, spec: &ExperimentSpec) -> Result<Uid, OwnerError> {
    if place.is_user() {
        return Ok(geteuid());
    }
    match &spec.user {
        Some(user) => named(user),
        None => {
            let name = own_user(&spec.id);
            dynamic(place.root(), &name).map_or_else(|| named(&name), Ok)
        }
    }
}

fn dynamic(root: &Path, name: &str) -> Option<Uid> {
    let link = root.join("run/systemd/dynamic-uid").join(format!("direct:{name}"));
    fs::read_link(link).ok()?.to_str()?.parse().ok().map(Uid::from_raw)
}

fn named(name: &str) -> Result<Uid, OwnerError> {
    if let Ok(number) = name.parse() {
        return Ok(Uid::from_raw(number));
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid),
        Ok(None) => Err(OwnerError::NoUser(name.to_owned())),
        Err(source) => Err(OwnerError::Lookup { name: name.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Machine;

    #[test]
    fn a_dynamic_user_is_the_one_that_systemd_has_allocated() {
        let machine = Machine::new();
        let mut spec = ExperimentSpec::new(machine.id.clone(), vec!["true".to_owned()]);
        assert_eq!(owner(&machine.place, &spec).unwrap(), geteuid(), "the link of the tree");
        fs::remove_file(machine.path("run/systemd/dynamic-uid/direct:bij-x")).unwrap();
        let lost = owner(&machine.place, &spec).unwrap_err();
        assert_eq!(lost.to_string(), "there is no user bij-x");
        for (user, uid) in [("root", 0), ("4711", 4711)] {
            spec.user = Some(user.to_owned());
            assert_eq!(owner(&machine.place, &spec).unwrap(), Uid::from_raw(uid));
        }
    }
}
