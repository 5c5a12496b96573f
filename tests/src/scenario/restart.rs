//! What is enabled carries on after the machine went down, and knows in which way it did.

use std::time::Duration;

use super::Scenario;
use super::coordinator::WAITS;
use crate::bij::{
    SOON, define_script, ensure_causes, history, status, systemctl, wait_for_line, wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::run;
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::{set_coordinator, why};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("restart_in_order_keeps_the_count", Lane::ALL, in_order_keeps_the_count)
    },
    Scenario {
        time_limit: Duration::from_secs(120),
        ..Scenario::new("restart_by_power_cut_resumes", Lane::ALL, by_power_cut_resumes)
    },
];

fn in_order_keeps_the_count(guest: &Guest) -> Result<Next, Failure> {
    let (id, behind) = ("restart_order", "restart_behind");
    if guest.phase() == 0 {
        set_coordinator("MAX_CONCURRENT_EXPERIMENTS=1\n")?;
        let script = "[ \"$BIJ_CRASHES\" = 0 ] && exit 9; \
                      echo \"died $BIJ_CRASHES times, last of $BIJ_LAST_CAUSE\"; exec sleep 600";
        define_script(id, script, "[restart]\ndelay = \"100ms\"")?;
        systemctl("enable", id)?.success()?;
        systemctl("start", id)?;
        wait_for_line(guest, id, "died 1 times, last of exit")?;
        // Its slot will be free while the machine goes down.
        define_script(behind, WAITS, "")?;
        run("bij", ["submit", behind])?.success()?;
        ensure_eq!(why(behind)?["waiting_on"][0]["gate"], "slots", "what {behind} waits on");
        return Ok(Next::Reboot);
    }
    wait_for_state(guest, id, "active")?;
    wait_for_line(guest, id, "died 1 times, last of reboot")?;
    let rows = history(id)?;
    ensure_causes(&rows, &["exit", "reboot", "-"])?;
    ensure_eq!(rows[2]["run"], rows[0]["run"], "the run after a reboot");
    ensure_eq!(rows[2]["attempt"], 3, "the attempt after a reboot");
    ensure!(rows[1]["boot_id"] != rows[2]["boot_id"], "both attempts have one boot id");
    ensure_eq!(status(id)?["crashes"], 1, "crashes after a reboot");
    ensure_eq!(why(behind)?["state"], "waiting", "what nobody has started meanwhile");
    ensure!(history(behind)?.is_empty(), "it was started while the machine went down");
    Ok(Next::Done)
}

fn by_power_cut_resumes(guest: &Guest) -> Result<Next, Failure> {
    let id = "restart_cut";
    if guest.phase() == 0 {
        let script = "echo \"goes on from ${BIJ_RESUME_FROM:-the start}\"; \
                      : >\"$BIJ_STATE_DIR/seven\"; \
                      echo \"step=7 total=10 checkpoint=$BIJ_STATE_DIR/seven\" >\"$BIJ_PROGRESS\"; \
                      sync; exec sleep 600";
        define_script(id, script, "")?;
        systemctl("enable", id)?.success()?;
        systemctl("start", id)?.success()?;
        wait_for_line(guest, id, "goes on from the start")?;
        guest.wait_for("its progress", SOON, || {
            Ok((status(id)?["progress"]["step"] == 7).then_some(()))
        })?;
        return Ok(Next::PowerCut);
    }
    wait_for_state(guest, id, "active")?;
    wait_for_line(guest, id, "/seven")?;
    let rows = history(id)?;
    ensure_causes(&rows, &["power-loss", "-"])?;
    ensure_eq!(rows[1]["run"], rows[0]["run"], "the run after a power cut");
    ensure_eq!(rows[1]["attempt"], 2, "the attempt after a power cut");
    Ok(Next::Done)
}
