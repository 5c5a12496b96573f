//! Every cell of the table in SECURITY.md that tells what each caller may do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{as_member, as_stranger, create_attackers};
use crate::bij::{define_script, render_all, wait_for_line};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::scenario::Scenario;

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[Scenario {
    time_limit: std::time::Duration::from_secs(120),
    ..Scenario::new(
        "attack_every_caller_may_do_what_the_table_says",
        Lane::CONTAINER,
        every_caller_may_do_what_the_table_says,
    )
}];

const DOCUMENT: &str = include_str!("../../../../SECURITY.md");

/// How a command tells that the caller may not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum No {
    /// `bij` ends with the code for missing rights.
    Permission,
    /// The command fails.
    Fails,
}

/// How one row is tried, by the row's text up to here.
struct Trial {
    row: &'static str,
    command: &'static str,
    no: No,
}

const fn trial(row: &'static str, command: &'static str) -> Trial {
    Trial { row, command, no: No::Permission }
}

const fn failing(row: &'static str, command: &'static str) -> Trial {
    Trial { row, command, no: No::Fails }
}

/// `$C` is the caller's name, so that no caller's trial is in another's way.
const TRIALS: &[Trial] = &[
    trial(
        "look at the queue, its events, groups and the state of experiments",
        "bij queue; bij events; bij groups; bij list; bij status callers_x",
    ),
    failing("read what an experiment prints", "bij logs callers_run | grep printed"),
    failing("start and stop what is defined", "bij start callers_run; bij stop callers_run"),
    trial("submit a run as it is defined", "bij submit --hold callers_x"),
    trial("set a variable that `[policy]` names", "bij submit --hold callers_x -E SEED=1"),
    trial("set another variable", "bij submit --hold callers_x -E OTHER=1"),
    trial(
        "set a variable that decides which code runs",
        "bij submit --hold callers_x -E PYTHONPATH=/tmp",
    ),
    trial(
        "set such a variable where the experiment runs as the caller",
        "bij submit --hold callers_own -E PYTHONPATH=/tmp",
    ),
    trial("lower a limit for a run", "bij submit --hold callers_x --limit memory=1M"),
    trial("raise a limit for a run", "bij submit --hold callers_x --limit memory=70M"),
    trial("hand another config to a run", "bij start callers_x /etc/hostname"),
    trial(
        "define an experiment, or a sweep of one",
        "bij submit --hold --name callers_new_$C -- /bin/true
         bij submit --hold callers_x --name callers_sweep_$C --param SEED=1,2",
    ),
    trial(
        "hold, release and reorder runs of every account",
        "bij hold callers_held; bij priority -5 callers_held; bij move callers_held --last",
    ),
    trial(
        "cancel and requeue runs of every account",
        "bij requeue \"callers_held#$RUN\"; bij cancel \"callers_held#$RUN\"",
    ),
    trial("pause and resume admission", "bij pause; bij resume"),
    trial(
        "set up and remove groups",
        "bij groups set callers_$C --slots 2; bij groups remove callers_$C",
    ),
    // This machine has no power modes: that is another answer than a missing right.
    trial("switch the power mode of the board", "bij power set 0 || test $? -ne 103 || exit 103"),
    trial("have the settings read again", "bij reload"),
    failing(
        "answer for a start, as the hooks do",
        "busctl call org.braininjar.Coordinator1 /org/braininjar/Coordinator1 \
         org.braininjar.Coordinator1 Admit 'sa{sv}' callers_held 0",
    ),
    failing(
        "change the limits of a unit that runs",
        "systemctl --no-ask-password set-property --runtime brain-experiment@callers_x MemoryMax=1G",
    ),
    failing(
        "write settings, definitions, extras or orders",
        "true >>/etc/brain-in-jar/coordinator.toml || true >>/etc/brain-in-jar/experiments/callers_x.toml ||
         true >/var/lib/brain-in-jar/definitions/callers_$C || true >/var/lib/brain-in-jar/extras/callers_$C ||
         true >/run/brain-in-jar/orders/callers_$C || true >/run/brain-in-jar/stop/callers_$C",
    ),
];

/// A row of the document: what, and of each caller whether it may.
type Row = (String, BTreeMap<String, bool>);

/// The rows of the document.
fn table() -> Result<Vec<Row>, Failure> {
    let inside = DOCUMENT
        .split_once("<!-- callers: begin -->")
        .and_then(|(_, rest)| rest.split_once("<!-- callers: end -->"))
        .ok_or_else(|| Failure::new("SECURITY.md has no table of callers"))?
        .0;
    let mut lines = inside.lines().filter(|line| line.starts_with('|')).map(cells);
    let head = lines.next().unwrap_or_default();
    let mut rows = Vec::new();
    for cells in lines.skip(1) {
        ensure_eq!(cells.len(), head.len(), "the cells of {cells:?}");
        let mut may = BTreeMap::new();
        for (caller, cell) in head.iter().zip(&cells).skip(1) {
            ensure!(cell == "yes" || cell == "no", "the cell {cell:?} of {cells:?}");
            may.insert(caller.clone(), cell == "yes");
        }
        rows.push((cells[0].clone(), may));
    }
    Ok(rows)
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// A script that tries every row and prints `row N CODE`.
fn script(caller: &str, runs: &str) -> String {
    let mut script = format!("C={caller}; RUN={runs}; export C RUN\n");
    for (index, Trial { command, .. }) in TRIALS.iter().enumerate() {
        // Each in a shell of its own that stops at its first failure.
        let quoted = command.replace('\'', "'\\''");
        writeln!(
            script,
            "code=0; sh -euc '{quoted}' >/dev/null 2>&1 </dev/null || code=$?; echo row {index} $code"
        )
        .expect("writing to a String does not fail");
    }
    script
}

fn codes(output: &str) -> BTreeMap<usize, i32> {
    let code = |line: &str| {
        let rest = line.strip_prefix("row ")?;
        let (index, code) = rest.split_once(' ')?;
        Some((index.parse().ok()?, code.trim().parse().ok()?))
    };
    output.lines().filter_map(code).collect()
}

fn every_caller_may_do_what_the_table_says(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    let rows = table()?;
    let documented: Vec<&str> = rows.iter().map(|(row, _)| row.as_str()).collect();
    let tried: Vec<&str> = TRIALS.iter().map(|trial| trial.row).collect();
    ensure_eq!(documented, tried, "the rows of SECURITY.md and of this scenario");
    define_script(
        "callers_x",
        "exit 0",
        "limits = { memory = \"60M\" }\npolicy = { environment = [\"SEED\"] }",
    )?;
    define_script("callers_own", "exit 0", "user = \"member\"")?;
    define_script("callers_run", "echo printed; exec sleep 600", "")?;
    define_script("callers_held", "exec sleep 600", "")?;
    render_all()?;
    // One run for each caller to cancel, of root's.
    sh("systemctl start brain-experiment-coordinator
        for run in 1 2 3 4; do bij submit --hold callers_held; done
        bij start callers_run")?
    .success()?;
    wait_for_line(guest, "callers_run", "printed")?;
    run("bij", ["stop", "callers_run"])?.success()?;
    let mut found = BTreeMap::new();
    // The experiment comes first, because the others clear nothing away that it is refused.
    let path = "$BIJ_STATE_DIR/codes";
    define_script(
        "callers_inside",
        &format!("({}) >{path}; cat {path}; echo tried all", script("inside", "4")),
        "",
    )?;
    sh("bij start callers_inside --now || systemctl start brain-experiment@callers_inside")?;
    wait_for_line(guest, "callers_inside", "tried all")?;
    let inside = sh("cat /var/lib/brain-in-jar/experiments/callers_inside/codes")?.success()?;
    found.insert("experiment", codes(inside.stdout()));
    found.insert("ordinary user", codes(as_stranger(&script("stranger", "3"))?.stdout()));
    found.insert("member", codes(as_member(&script("member", "2"))?.stdout()));
    found.insert("root", codes(sh(&script("root", "1"))?.stdout()));
    let mut wrong = Vec::new();
    for (index, ((row, may), trial)) in rows.iter().zip(TRIALS).enumerate() {
        for (caller, may) in may {
            let code = found[caller.as_str()].get(&index).copied();
            let holds = match (may, trial.no, code) {
                (true, _, code) => code == Some(0),
                // Its sandbox keeps an experiment from most of it before rights are asked for.
                (false, No::Permission, code) if caller == "experiment" => {
                    code.is_some_and(|code| code != 0)
                }
                (false, No::Permission, code) => code == Some(103),
                (false, No::Fails, code) => code.is_some_and(|code| code != 0),
            };
            if !holds {
                wrong.push(format!("{caller}: {row}: {may}, but the code was {code:?}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "cells that do not hold:\n{}", wrong.join("\n"));
    Ok(Next::Done)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_read_and_every_row_has_a_trial() {
        let rows = super::table().unwrap();
        let documented: Vec<&str> = rows.iter().map(|(row, _)| row.as_str()).collect();
        let tried: Vec<&str> = super::TRIALS.iter().map(|trial| trial.row).collect();
        assert_eq!(documented, tried);
        assert!(rows.iter().all(|(_, may)| may.len() == 4));
    }
}
