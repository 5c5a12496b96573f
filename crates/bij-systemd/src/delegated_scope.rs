//! A control group of the calling process's own, made by systemd.
//!
//! The group tree belongs to systemd, and a program that wants groups of its own asks for a unit with
//! `Delegate=yes` (systemd's `CGROUP_DELEGATION.md`). A scope is the kind of unit that takes in a
//! process which runs already (systemd.scope(5)); it ends with its last process.

use std::fs;
use std::io;
use std::time::Duration;

use bij_core::port::UnitError;
use thiserror::Error;
use zbus::{OwnedObjectPath, Variant};

use crate::RuntimeScope;
use crate::bus::{Action, Bus, call};
use crate::job_signals::JobSignals;

/// How long the manager may take to move the process. It is busy for longer only while it reloads.
const MOVED_WITHIN: Duration = Duration::from_secs(10);

/// A transient scope with `Delegate=yes` that holds the calling process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegatedScope {
    name: String,
}

/// Why systemd did not give the calling process a group of its own.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DelegatedScopeError {
    /// No name could be made.
    #[error("cannot read random bytes for the name of a scope")]
    Random(#[source] io::Error),
    /// The manager is not there, or refused.
    #[error("systemd gives no scope")]
    Manager(#[source] UnitError),
    /// The job failed.
    #[error("the start of {name} ended as {result:?}")]
    Job {
        /// The scope.
        name: String,
        /// The job's result (org.freedesktop.systemd1(5)).
        result: String,
    },
    /// The scope is there, and the process is not in it.
    #[error("systemd did not move this process into {name} within {} s", MOVED_WITHIN.as_secs())]
    NotMoved {
        /// The scope.
        name: String,
    },
}

impl DelegatedScope {
    /// Has the manager of `scope` move the calling process into a new scope called
    /// `PREFIX-r….scope`, and returns when it is there. The processes that it started before stay
    /// where they are.
    ///
    /// PID 1 serves root. An ordinary user's own manager moves processes out of the user's session by
    /// asking PID 1 (`AttachProcessesToUnit`, since systemd 238).
    ///
    /// # Errors
    /// [`DelegatedScopeError`]; if the process was moved all the same, the scope does no harm.
    pub async fn enter(scope: RuntimeScope, prefix: &str) -> Result<Self, DelegatedScopeError> {
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map_err(DelegatedScopeError::Random)?;
        let name = format!("{prefix}-r{}.scope", random.trim().replace('-', ""));
        Self::enter_on(&Bus::to(scope), name).await
    }

    async fn enter_on(bus: &Bus, name: String) -> Result<Self, DelegatedScopeError> {
        let mut ended = JobSignals::open(bus).await.map_err(DelegatedScopeError::Manager)?;
        let job = start(bus, &name).await.map_err(DelegatedScopeError::Manager)?;
        let result = tokio::time::timeout(MOVED_WITHIN, result_of(&mut ended, &job)).await;
        match result.ok().flatten() {
            Some(result) if result != "done" => Err(DelegatedScopeError::Job { name, result }),
            // A signal may be lost; where the process is, the kernel says.
            _ if holds_this_process(&name) => Ok(Self { name }),
            _ => Err(DelegatedScopeError::NotMoved { name }),
        }
    }

    /// The scope's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

async fn start(bus: &Bus, name: &str) -> Result<OwnedObjectPath, UnitError> {
    let properties = [
        ("Description", Variant::from("Experiments of bij --local")),
        // 0 is the sender, as the bus knows it: a number would mean another process to a manager in
        // another PID namespace.
        ("PIDs", Variant::from(vec![0_u32])),
        ("Delegate", Variant::from(true)),
        ("CollectMode", Variant::from("inactive-or-failed")),
    ];
    let manager = bus.manager().await?;
    let action = Action { verb: "start a scope", id: None };
    call(action, manager.start_transient_unit(name, "fail", &properties, &[])).await
}

/// The result of a job; `None` if nothing more is heard of jobs.
async fn result_of(ended: &mut JobSignals, job: &OwnedObjectPath) -> Option<String> {
    loop {
        let (path, result) = ended.next().await?;
        if path == *job {
            return Some(result);
        }
    }
}

fn holds_this_process(name: &str) -> bool {
    fs::read_to_string("/proc/self/cgroup").is_ok_and(|groups| is_in(&groups, name))
}

/// Whether a text of `/proc/PID/cgroup` has a group of this name in the hierarchies that systemd keeps
/// units in: version 2, or `name=systemd` (cgroups(7)).
fn is_in(groups: &str, name: &str) -> bool {
    let is_systemds = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let mut lines = groups.lines().filter(is_systemds);
    lines.any(|line| line.rsplit('/').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_the_scope_that_its_group_is_named_after() {
        let scope = "bij-local-r1.scope";
        assert!(is_in("0::/system.slice/bij-local-r1.scope\n", scope));
        assert!(is_in("3:memory:/a\n1:name=systemd:/system.slice/bij-local-r1.scope\n", scope));
        assert!(!is_in("0::/system.slice/bij-local-r1.scope/leaf\n", scope));
        assert!(!is_in("3:memory:/bij-local-r1.scope\n0::/user.slice\n", scope));
        assert!(!is_in("", scope));
    }
}
