//! What members of group `bij` may add to a run that somebody else has defined.

use super::{as_member, as_stranger, create_attackers};
use crate::bij::{define_script, history, wait_for_ended};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::queue;
use crate::scenario::Scenario;

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "attack_members_set_only_what_the_definition_lets_them",
        Lane::CONTAINER,
        members_set_only_what_the_definition_lets_them,
    ),
    Scenario::new(
        "attack_what_was_queued_is_held_to_the_definition_of_today",
        Lane::CONTAINER,
        what_was_queued_is_held_to_the_definition_of_today,
    ),
    Scenario::new(
        "attack_nobody_writes_anothers_name",
        Lane::CONTAINER,
        nobody_writes_anothers_name,
    ),
];

const SHOW: &str =
    "echo \"seed=[$SEED] wandb=[$WANDB_MODE] path=[$PYTHONPATH] config=[$BIJ_CONFIG]\"";

/// Creates the user whom the definitions of these scenarios name.
fn create_owner() -> Result<(), Failure> {
    create_attackers()?;
    sh("id alice >/dev/null 2>&1 || useradd --create-home --shell /bin/sh alice
        systemctl start brain-experiment-coordinator")?
    .success()
    .map(drop)
}

fn members_set_only_what_the_definition_lets_them(guest: &Guest) -> Result<Next, Failure> {
    create_owner()?;
    let rest = "user = \"alice\"\nlimits = { memory = \"60M\", time = \"10min\" }\n\
                policy = { environment = [\"SEED\", \"*\"] }";
    define_script("member_x", SHOW, rest)?;
    define_script("member_closed", SHOW, "user = \"alice\"")?;
    define_script("member_own", SHOW, "user = \"member\"")?;
    let refused = [
        ("member_x -E PYTHONPATH=/home/member", "PYTHONPATH"),
        ("member_x -E LD_PRELOAD=/home/member/evil.so", "LD_PRELOAD"),
        ("member_x -E PATH=/home/member", "PATH"),
        ("member_x -E GIT_SSH_COMMAND=x", "GIT_SSH_COMMAND"),
        ("member_x -E BASH_ENV=/home/member/x", "BASH_ENV"),
        ("member_x -E EXPERIMENT_RAM_LIMIT=infinity", "memory"),
        ("member_x -E NVPMODEL_MODE=0", "NVPMODEL_MODE"),
        ("member_x --limit memory=infinity", "memory"),
        ("member_x --limit memory=61M", "memory"),
        ("member_x --limit time=infinity", "time"),
        ("member_x --limit tasks=infinity", "tasks"),
        ("member_closed -E SEED=1", "SEED"),
        ("member_closed --limit tasks=5000", "tasks"),
    ];
    for (arguments, named) in refused {
        for verb in ["submit", "start"] {
            let id = arguments.split(' ').next().unwrap_or_default();
            let output = as_member(&format!("bij {verb} {arguments}"))?.code(103)?;
            output.says(named)?.says("may not")?;
            ensure!(queue()?.is_empty(), "`bij {verb} {arguments}` queued a run of {id}");
        }
    }
    as_stranger("bij submit member_x --limit memory=1M")?.code(103)?;
    as_member(
        "bij submit member_x -E SEED=42 -E WANDB_MODE=offline --limit memory=32M --limit time=1min",
    )?
    .success()?;
    wait_for_ended(guest, "member_x", 1)?;
    let journal = run("journalctl", ["-b", "-o", "cat", "-t", "brain-experiment-member_x"])?;
    journal.says("seed=[42] wandb=[offline] path=[] config=[]")?;
    // The member's own user runs whatever the member says.
    as_member("bij submit member_own -E PYTHONPATH=/home/member")?.success()?;
    wait_for_ended(guest, "member_own", 1)?;
    let journal = run("journalctl", ["-b", "-o", "cat", "-t", "brain-experiment-member_own"])?;
    journal.says("path=[/home/member]")?;
    run("bij", ["submit", "member_closed", "-E", "PYTHONPATH=/x", "--limit", "memory=1G"])?
        .success()?;
    wait_for_ended(guest, "member_closed", 1)?;
    Ok(Next::Done)
}

/// A run that was taken in under another definition does not carry its extras past the new one.
fn what_was_queued_is_held_to_the_definition_of_today(guest: &Guest) -> Result<Next, Failure> {
    create_owner()?;
    define_script(
        "member_later",
        SHOW,
        "policy = { environment = [\"SEED\"] }\nlimits = { memory = \"60M\" }",
    )?;
    as_member("bij submit member_later --hold -E SEED=1 --limit memory=50M")?.success()?;
    as_member("bij submit member_later --hold -E SEED=2")?.success()?;
    define_script("member_later", SHOW, "limits = { memory = \"40M\" }")?;
    as_member("bij release member_later")?.success()?;
    let why = guest.wait_for("the run to be held back", crate::bij::SOON, || {
        let rows = queue()?;
        let held = rows.iter().all(|row| row["state"] == "held");
        Ok((held && rows.len() == 2).then_some(()))
    });
    why?;
    let events = run("bij", ["--json", "events"])?.success()?;
    events.says("SEED")?;
    ensure!(history("member_later")?.is_empty(), "it ran");
    Ok(Next::Done)
}

/// The names in events come from the kernel or the bus, whatever a request says.
fn nobody_writes_anothers_name(_: &Guest) -> Result<Next, Failure> {
    create_owner()?;
    define_script("member_named", "exec sleep 600", "")?;
    let admit = "busctl call org.braininjar.Coordinator1 /org/braininjar/Coordinator1 \
                 org.braininjar.Coordinator1 Admit 'sa{sv}' member_named";
    for fields in ["1 by s root", "2 by s root at_boot b true", "0"] {
        for output in
            [as_member(&format!("{admit} {fields}"))?, as_stranger(&format!("{admit} {fields}"))?]
        {
            ensure!(!output.succeeded(), "Admit with `{fields}` was answered");
        }
    }
    ensure!(queue()?.is_empty(), "the question put a run into the queue");
    let submit = "busctl call org.braininjar.Coordinator1 /org/braininjar/Coordinator1 \
                  org.braininjar.Coordinator1 Submit 'aa{sv}a{sv}' 1 2 experiment s member_named by s root 0";
    ensure!(!as_member(submit)?.succeeded(), "a submission named its own author");
    as_member("bij submit --hold member_named; bij cancel member_named")?.success()?;
    let events = run("bij", ["--json", "events"])?.success()?;
    let ours: Vec<&str> =
        events.stdout().lines().filter(|line| line.contains("member_named")).collect();
    ensure!(!ours.is_empty(), "no event tells of it");
    ensure!(
        ours.iter().all(|line| !line.contains("\"by\":\"root\"")),
        "an event names root: {ours:?}"
    );
    ensure_eq!(
        ours.iter().filter(|line| line.contains("\"by\":\"member (uid ")).count() > 0,
        true,
        "the member's name in {ours:?}"
    );
    Ok(Next::Done)
}
