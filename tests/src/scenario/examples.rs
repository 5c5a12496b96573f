//! The examples that the package brings do what they say, under the real systemd.

use std::time::Duration;

use super::Scenario;
use crate::bij::{causes, define_example, history, wait_for_line};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::run;
use crate::guest::{Guest, Next};
use crate::protocol::Lane;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    time_limit: Duration::from_secs(120),
    ..Scenario::new("examples_amnesiac_comes_back", Lane::VM, amnesiac_comes_back)
}];

fn amnesiac_comes_back(guest: &Guest) -> Result<Next, Failure> {
    let id = "amnesiac_001";
    define_example(id)?;
    let known = history(id).map_or(0, |rows| rows.len());
    run("bij", ["start", id])?.success()?;
    guest.wait_for("amnesiac_001 to end well", Duration::from_secs(90), || {
        let rows = history(id)?;
        let last = rows.last().and_then(|row| row["cause"].as_str());
        Ok((last == Some("success")).then_some(()))
    })?;
    let rows = &history(id)?[known..];
    ensure!(causes(rows).contains(&"oom-kill"), "it never died of memory: {:?}", causes(rows));
    ensure_eq!(rows[0]["cause"], "oom-kill", "its first death");
    ensure!(!rows[0]["evidence"].is_null(), "its death has no evidence: {}", rows[0]);
    wait_for_line(guest, id, "died")?;
    Ok(Next::Done)
}
