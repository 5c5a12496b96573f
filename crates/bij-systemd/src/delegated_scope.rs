//! A control group that systemd delegates to the calling process.
//!
//! systemd owns the cgroup tree; a program that needs groups of its own requests a unit with `Delegate=yes`
//! (systemd's `CGROUP_DELEGATION.md`). A scope is the kind of unit that takes a running process
//! (systemd.scope(5)); it ends with its last process.

use std::time::Duration;
use std::{fs, io};

use bij_core::JobResult;
use thiserror::Error;

use crate::manager::{Manager, Property, PropertyValue};
use crate::{InvalidUnitName, ManagerError, RuntimeScope, TransientScope, UnitName};

/// How long the manager may take to move the process; it takes longer only during a reload.
const MOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A transient scope with `Delegate=yes` that holds the calling process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegatedScope {
    name: String,
}

/// Why systemd did not delegate a control group to the calling process.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DelegatedScopeError {
    /// No unique name could be generated.
    #[error("cannot read random bytes for the name of a scope")]
    Random(#[source] io::Error),
    /// The prefix cannot begin the name of a unit.
    #[error("no scope can have this name")]
    Name(#[source] InvalidUnitName),
    /// The manager cannot be reached, or refused the request.
    #[error("systemd gives no scope")]
    Manager(#[source] ManagerError),
    /// The start job of the scope failed.
    #[error("the start job of {name} ended with result {result}")]
    Job {
        /// The scope's unit name.
        name: String,
        /// The job's result (org.freedesktop.systemd1(5)).
        result: JobResult,
    },
    /// The scope exists, but the process is not in it.
    #[error("systemd did not move this process into {name} within {} s", MOVE_TIMEOUT.as_secs())]
    NotMoved {
        /// The scope's unit name.
        name: String,
    },
}

impl DelegatedScope {
    /// Moves the calling process into a new scope `PREFIX-r….scope` of the manager of `scope`, and waits until
    /// it is there. Child processes that exist already are not moved.
    ///
    /// PID 1 accepts this from root. An ordinary user's manager moves processes out of the user's session
    /// through PID 1 (`AttachProcessesToUnit`, since systemd 238).
    ///
    /// # Errors
    /// [`DelegatedScopeError`]. The process may have been moved nevertheless; the scope does no harm then.
    pub async fn enter(scope: RuntimeScope, prefix: &str) -> Result<Self, DelegatedScopeError> {
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map_err(DelegatedScopeError::Random)?;
        let name = format!("{prefix}-r{}.scope", random.trim().replace('-', ""));
        let unit = UnitName::new(name.as_str()).map_err(DelegatedScopeError::Name)?;
        let description = PropertyValue::Text("Experiments of bij --local".to_owned());
        let transient = TransientScope::of_caller(unit)
            .delegated()
            .property(Property::new("Description", description));
        let manager = Manager::unconnected(scope);
        let started = tokio::time::timeout(MOVE_TIMEOUT, manager.start_scope(&transient)).await;
        match started {
            Ok(Err(ManagerError::Job { result, .. })) => {
                Err(DelegatedScopeError::Job { name, result })
            }
            Ok(Err(error)) if !holds_this_process(&name) => {
                Err(DelegatedScopeError::Manager(error))
            }
            // The end of the job may have been missed; the kernel knows where the process is.
            _ if holds_this_process(&name) => Ok(Self { name }),
            _ => Err(DelegatedScopeError::NotMoved { name }),
        }
    }

    /// Returns the scope's unit name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn holds_this_process(name: &str) -> bool {
    fs::read_to_string("/proc/self/cgroup").is_ok_and(|groups| is_in(&groups, name))
}

/// Returns `true` if `/proc/PID/cgroup` names this group in a hierarchy that systemd uses for units: version 2,
/// or `name=systemd` (cgroups(7)).
fn is_in(groups: &str, name: &str) -> bool {
    let is_systemds = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let mut lines = groups.lines().filter(is_systemds);
    lines.any(|line| line.rsplit('/').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_the_scope_whose_name_is_the_last_part_of_its_group() {
        let scope = "bij-local-r1.scope";
        assert!(is_in("0::/system.slice/bij-local-r1.scope\n", scope));
        assert!(is_in("3:memory:/a\n1:name=systemd:/system.slice/bij-local-r1.scope\n", scope));
        assert!(!is_in("0::/system.slice/bij-local-r1.scope/leaf\n", scope));
        assert!(!is_in("3:memory:/bij-local-r1.scope\n0::/user.slice\n", scope));
        assert!(!is_in("", scope));
    }
}
