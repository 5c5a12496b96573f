//! A control group that systemd delegates to the calling process.
//!
//! systemd owns the cgroup tree; a program that needs groups of its own requests a unit with `Delegate=yes`
//! (systemd's `CGROUP_DELEGATION.md`). A scope is the kind of unit that takes a running process
//! (systemd.scope(5)); it ends with its last process.

use std::time::Duration;
use std::{fs, io};

use bij_core::port::UnitError;
use thiserror::Error;
use zbus::{OwnedObjectPath, Variant};

use crate::RuntimeScope;
use crate::bus::{Bus, Operation, call};
use crate::job::JobSignals;

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
    /// The manager cannot be reached, or refused the request.
    #[error("systemd gives no scope")]
    Manager(#[source] UnitError),
    /// The start job of the scope failed.
    #[error("the start job of {name} ended with result {result:?}")]
    Job {
        /// The scope's unit name.
        name: String,
        /// The job's result (org.freedesktop.systemd1(5)).
        result: String,
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
        Self::enter_on(&Bus::new(scope), name).await
    }

    async fn enter_on(bus: &Bus, name: String) -> Result<Self, DelegatedScopeError> {
        let mut signals = JobSignals::open(bus).await.map_err(DelegatedScopeError::Manager)?;
        let job = start(bus, &name).await.map_err(DelegatedScopeError::Manager)?;
        let result = tokio::time::timeout(MOVE_TIMEOUT, wait_for_result(&mut signals, &job)).await;
        match result.ok().flatten() {
            Some(result) if result != "done" => Err(DelegatedScopeError::Job { name, result }),
            // The signal may have been lost; the kernel knows where the process is.
            _ if holds_this_process(&name) => Ok(Self { name }),
            _ => Err(DelegatedScopeError::NotMoved { name }),
        }
    }

    /// Returns the scope's unit name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

async fn start(bus: &Bus, name: &str) -> Result<OwnedObjectPath, UnitError> {
    let properties = [
        ("Description", Variant::from("Experiments of bij --local")),
        // 0 means the sender of the message. Our own number could be another process to a manager in another
        // PID namespace.
        ("PIDs", Variant::from(vec![0_u32])),
        ("Delegate", Variant::from(true)),
        ("CollectMode", Variant::from("inactive-or-failed")),
    ];
    let manager = bus.manager().await?;
    let operation = Operation { verb: "start a scope", id: None };
    call(operation, manager.start_transient_unit(name, "fail", &properties, &[])).await
}

/// Waits for the result of a job; `None` if the connection is lost.
async fn wait_for_result(signals: &mut JobSignals, job: &OwnedObjectPath) -> Option<String> {
    loop {
        let (path, result) = signals.next().await?;
        if path == *job {
            return Some(result);
        }
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
