//! Attacks on the installed system, each by one of the three parties that SECURITY.md knows beside root.
//!
//! A scenario here does what an attacker would do and checks that nothing came of it. The topics lie in
//! files of their own; this one brings the attackers:
//!
//! - a *stranger* is an ordinary user without any group ([`as_stranger`]);
//! - a *member* belongs to group `bij` ([`as_member`]);
//! - an *experiment* is code that a unit runs, defined by `define_script`.

mod callers;
pub(super) mod database;
pub(in crate::scenario) mod environment;
pub(super) mod jobs;
pub(in crate::scenario) mod limits;
pub(in crate::scenario) mod limits_killed;
pub(super) mod locks;
pub(super) mod logs;
mod member;
pub(super) mod notify;
pub(super) mod seats;
mod trust;

use super::Scenario;
use crate::check::{Failure, ensure};
use crate::command::{Output, run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

pub(super) use callers::SCENARIOS as CALLERS;
pub(super) use member::SCENARIOS as MEMBER;
pub(super) use trust::SCENARIOS as TRUST;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "attack_only_members_change_the_queue",
    Lane::CONTAINER,
    only_members_change_the_queue,
)];

/// Home directory of the user that [`as_stranger`] acts as.
pub(crate) const STRANGER_HOME: &str = "/home/stranger";

/// Home directory of the user that [`as_member`] acts as.
pub(crate) const MEMBER_HOME: &str = "/home/member";

/// Creates the users `stranger` and `member` unless they exist.
pub(crate) fn create_attackers() -> Result<(), Failure> {
    sh("id stranger >/dev/null 2>&1 || useradd --create-home --shell /bin/sh stranger
        getent group bij >/dev/null
        id member >/dev/null 2>&1 || useradd --create-home --shell /bin/sh --groups bij member")?
    .success()
    .map(drop)
}

/// Runs a shell script as the user `stranger`, in that user's home directory.
pub(crate) fn as_stranger(script: &str) -> Result<Output, Failure> {
    as_user("stranger", STRANGER_HOME, script)
}

/// Runs a shell script as the user `member`, in that user's home directory.
pub(crate) fn as_member(script: &str) -> Result<Output, Failure> {
    as_user("member", MEMBER_HOME, script)
}

fn as_user(user: &str, home: &str, script: &str) -> Result<Output, Failure> {
    let script = format!("export HOME={home}; cd; {script}");
    run("runuser", ["-u", user, "--", "sh", "-euc", &script])
}

/// `bij pause` is refused to a stranger, with the remedy, and open to a member.
fn only_members_change_the_queue(_: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    sh("systemctl start brain-experiment-coordinator")?.success()?;
    let refused = as_stranger("bij pause")?;
    ensure!(!refused.succeeded(), "a stranger paused the queue");
    refused.says("bij")?;
    as_member("bij pause; bij resume")?.success()?;
    Ok(Next::Done)
}
