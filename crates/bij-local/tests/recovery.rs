//! Recovery after the death of a supervisor, and of attempts that other boots left unclosed.

#![expect(clippy::unwrap_used, reason = "clippy knows only functions marked as tests")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bij_cgroup::CgroupRoot;
use bij_core::port::{Ledger as _, Opening, UnitManager as _};
use bij_core::{
    ActiveState, AttemptKey, BootId, Cause, InvocationId, Outcome, StartKind, Timestamp, Witness,
};
use bij_local::{Backend, LocalUnits, SupervisionEnd};
use bij_store::RobustLedger;
use support::{World, id, is_alive, script, until};

/// Returns the example program, a supervisor that can be killed. Cargo builds examples with the
/// tests, unless only some tests are selected.
fn embedding() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_bij-local-shim")).with_file_name("examples");
    let path = path.join("embedding");
    if !path.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-q", "-p", "bij-local", "--example", "embedding"]);
        assert!(build.status().unwrap().success());
    }
    path
}

/// Starts a supervisor in its own process, over one experiment.
fn supervise(world: &World, text: &str) -> Killed {
    let definitions = world.layout.definitions();
    std::fs::create_dir_all(&definitions).unwrap();
    let definition = format!("command = [\"/bin/sh\", \"-c\", '''{text}''']\n");
    std::fs::write(definitions.join("x.toml"), definition).unwrap();
    let mut command = Command::new(embedding());
    command.arg(world.root.path()).arg("x").stdout(Stdio::null());
    Killed(command.spawn().unwrap())
}

/// A process that is killed at the latest when the test ends.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a child in the process group and one in its own session.
const FAMILY: &str = "cd $BIJ_STATE_DIR; sleep 60 & echo $! > child
    setsid sh -c 'echo $$ > session; exec sleep 60' &
    while ! test -s session; do sleep 0.02; done
    echo 'step=5 checkpoint=/five' > $BIJ_PROGRESS; echo $$ > main; exec sleep 60";

#[tokio::test(flavor = "multi_thread")]
async fn the_main_process_dies_with_a_killed_supervisor_and_the_next_one_cleans_up() {
    let world = World::with_backend(Backend::Auto);
    let mut supervisor = supervise(&world, FAMILY);
    let state = world.layout.experiment_state(&id("x"));
    until("it is up", || state.join("main").exists()).await;
    supervisor.kill();
    until("the main process follows", || !is_alive(&state.join("main"))).await;

    let units = LocalUnits::new(world.layout.clone(), Path::new(CgroupRoot::MOUNT_POINT));
    let status = units.status(&id("x")).await.unwrap();
    assert_eq!(status.active_state, ActiveState::Failed);
    assert_eq!(world.attempts().len(), 1);
    assert!(world.attempts()[0].end.is_none());

    let text = "echo $BIJ_CRASHES $BIJ_LAST_CAUSE $BIJ_RESUME_FROM";
    let story = world.run(script("x", text)).await;
    assert_eq!(story.printed(), ["1 unknown /five"]);
    for name in ["child", "session"] {
        assert!(!is_alive(&state.join(name)), "{name} survives");
    }
    let attempts = world.attempts();
    let lost = attempts[0].end.as_ref().unwrap();
    assert_eq!(lost.cause, Cause::Unknown);
    assert_eq!(lost.evidence.witness, Some(Witness::NextStart));
    assert_eq!(lost.evidence.notes, ["the supervisor died before the attempt ended"]);
    let left = lost.evidence.left_behind.as_ref().unwrap();
    assert_eq!(left.to_string(), "2 processes were left behind and killed (sleep, sleep)");
    assert_eq!(attempts[1].end.as_ref().unwrap().cause, Cause::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_a_killed_supervisor_can_be_stopped_without_a_new_one() {
    let world = World::with_backend(Backend::Auto);
    let mut supervisor = supervise(&world, FAMILY);
    let state = world.layout.experiment_state(&id("x"));
    until("it is up", || state.join("main").exists()).await;
    supervisor.kill();
    until("the main process follows", || !is_alive(&state.join("main"))).await;
    let units = LocalUnits::new(world.layout.clone(), Path::new(CgroupRoot::MOUNT_POINT));
    assert_eq!(units.stop(&id("x")).await.unwrap(), Outcome::Changed);
    for name in ["child", "session"] {
        assert!(!is_alive(&state.join(name)), "{name} survives");
    }
    assert_eq!(units.stop(&id("x")).await.unwrap(), Outcome::Unchanged);
    world.run(script("x", "true")).await;
    let lost = world.attempts()[0].end.clone().unwrap();
    assert_eq!(
        lost.evidence.left_behind.map(|left| left.count),
        Some(2),
        "recorded by the next start"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_other_boots_end_by_reboot_or_power_loss() {
    for (clean, cause) in [(true, Cause::Reboot), (false, Cause::PowerLoss)] {
        let world = World::new();
        let boot = BootId::from_bytes([9; 16]);
        let mut ledger = RobustLedger::at(&world.layout);
        let opening = Opening {
            experiment: id("x"),
            key: AttemptKey { boot, invocation: InvocationId::from_bytes([7; 16]) },
            at: Timestamp::from_micros(1_795_471_200_000_000),
            uptime: None,
            start: StartKind::Fresh,
        };
        ledger.open(&opening).unwrap();
        if clean {
            ledger.mark_clean_shutdown(boot, opening.at).unwrap();
        }
        let progress = world.layout.progress(&id("x"));
        std::fs::create_dir_all(progress.parent().unwrap()).unwrap();
        std::fs::write(&progress, "step=8 checkpoint=/eight\n").unwrap();
        drop(ledger);

        let text = "echo $BIJ_RUN $BIJ_ATTEMPT $BIJ_LAST_CAUSE $BIJ_RESUME_FROM";
        let story = world.run(script("x", text)).await;
        assert_eq!(story.printed(), [format!("x#1 2 {cause} /eight")]);
        assert_eq!(story.ending(), &SupervisionEnd::Success);
        let end = world.attempts()[0].end.clone().unwrap();
        assert_eq!((end.cause, end.evidence.witness), (cause, Some(Witness::NextBoot)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_was_killed_between_two_attempts_is_no_crash() {
    let world = World::new();
    let mut supervisor = supervise(&world, "exit 3");
    until("it waits", || world.attempts().first().is_some_and(|a| a.end.is_some())).await;
    supervisor.kill();
    let story = world.run(script("x", "echo $BIJ_RUN $BIJ_CRASHES")).await;
    assert_eq!(story.printed(), ["x#2 1"]);
}
