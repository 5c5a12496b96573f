//! Attempts from start to end: exit codes, signals, environment, failed starts, restarts.

mod support;

use std::os::unix::fs::PermissionsExt as _;

use bij_core::{Cause, Exit, Limit, Progress, ServiceResult, TimeSpan};
use bij_local::{RunError, SupervisionEnd, SupervisorEvent};
use support::{World, id, is_alive, once, script};

#[tokio::test(flavor = "multi_thread")]
async fn a_success_is_started_ready_and_recorded() {
    let world = World::new();
    let story = world.run(script("x", "echo hello; echo oops >&2; exit 0")).await;
    assert_eq!(story.ending(), &SupervisionEnd::Success);
    let mut printed = story.printed();
    printed.sort_unstable();
    assert_eq!(printed, ["hello", "oops"]);
    let end = story.end();
    assert_eq!((end.cause, end.evidence.exit), (Cause::Success, Some(Exit::Code(0))));
    assert!(end.evidence.became_ready);
    let attempts = world.attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].end.as_ref(), Some(end));
    assert!(attempts[0].ready.is_some());
    assert!(matches!(story.0[0], SupervisorEvent::Started { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_signals_are_causes() {
    let world = World::new();
    for (name, text, cause, exit, result) in [
        ("three", "exit 3", Cause::Exit, Exit::Code(3), ServiceResult::ExitCode),
        ("segv", "kill -SEGV $$", Cause::Signal, Exit::Signal(11), ServiceResult::Signal),
        ("kill", "kill -KILL $$", Cause::Signal, Exit::Signal(9), ServiceResult::Signal),
    ] {
        let story = world.run(once(name, &format!("ulimit -c 0; {text}"))).await;
        let end = story.end();
        assert_eq!((end.cause, end.evidence.exit), (cause, Some(exit)), "{name}");
        assert_eq!(end.evidence.service_result, Some(result), "{name}");
        assert!(matches!(story.ending(), SupervisionEnd::GaveUp { .. }), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_are_restarted_until_the_start_limit() {
    let world = World::new();
    let story =
        world.run(script("x", "echo attempt $BIJ_ATTEMPT after $BIJ_CRASHES; exit 3")).await;
    assert_eq!(story.printed(), ["attempt 1 after 0", "attempt 2 after 1", "attempt 3 after 2"]);
    assert_eq!(story.causes(), [Cause::Exit; 3]);
    let gave_up = SupervisionEnd::GaveUp { cause: Cause::Exit, exit: Some(Exit::Code(3)) };
    assert_eq!(story.ending(), &gave_up);
    let starts = story.0.iter().find_map(|event| match event {
        SupervisorEvent::GaveUp { starts, .. } => Some(*starts),
        _ => None,
    });
    assert_eq!(starts, Some(3));
    let attempts = world.attempts();
    assert!(attempts.iter().all(|attempt| attempt.run.number.0 == 1));
    let restarts = attempts.iter().map(|attempt| attempt.end.as_ref().unwrap().evidence.restarts);
    assert_eq!(restarts.collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_follow_the_delay_and_burst_of_the_definition() {
    let world = World::new();
    let mut spec = script("x", "exit 3");
    (spec.restart.burst, spec.restart.delay) = (2, TimeSpan::from_millis(400));
    let began = std::time::Instant::now();
    let story = world.run(spec).await;
    assert_eq!(story.ends().len(), 2);
    // One wait, not two: the third start is refused without a wait.
    let took = began.elapsed();
    assert!(took.as_millis() >= 400, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_attempt_knows_its_history_and_succeeds() {
    let world = World::new();
    let text = "echo \"$BIJ_RUN $BIJ_ATTEMPT $BIJ_CRASHES $BIJ_LAST_CAUSE $BIJ_RESUME_FROM\"
        if [ $BIJ_ATTEMPT = 1 ]; then
            echo 'step=7 total=9 checkpoint=/a b/c' > $BIJ_PROGRESS; kill -KILL $$
        fi";
    let story = world.run(script("x", text)).await;
    assert_eq!(story.printed(), ["x#1 1 0  ", "x#1 2 1 signal /a b/c"]);
    assert_eq!(story.ending(), &SupervisionEnd::Success);
    let progress = story.ends()[0].evidence.progress.clone();
    let expected = Progress {
        step: Some(7),
        total: Some(9),
        text: None,
        checkpoint: Some("/a b/c".to_owned()),
    };
    assert_eq!(progress, Some(expected));
    // A run that follows a success has no checkpoint, but the crash still counts.
    let story = world.run(script("x", "echo \"$BIJ_RUN $BIJ_CRASHES $BIJ_RESUME_FROM\"")).await;
    assert_eq!(story.printed(), ["x#2 1 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_outlives_an_attempt_that_wrote_none_but_not_the_end_of_the_work() {
    let world = World::new();
    let text = "echo \"<$BIJ_RESUME_FROM>\"
        case $BIJ_RUN.$BIJ_ATTEMPT in
            x#1.1) echo 'step=5 checkpoint=/five' > $BIJ_PROGRESS; exit 3;;
            x#1.3) echo 'step=9 checkpoint=/nine' > $BIJ_PROGRESS; exit 0;;
            x#2.3) exit 0;;
        esac
        echo step=1 > $BIJ_PROGRESS; exit 3";
    let story = world.run(script("x", text)).await;
    assert_eq!(story.printed(), ["<>", "</five>", "</five>"]);
    let story = world.run(script("x", text)).await;
    assert_eq!(story.printed(), ["<>", "<>", "<>"], "that work was finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_78_and_clean_signals_are_not_restarted() {
    let world = World::new();
    let story = world.run(script("never", "exit 78")).await;
    let never = SupervisionEnd::NotRestarted { cause: Cause::Exit, exit: Some(Exit::Code(78)) };
    assert_eq!(story.ending(), &never);
    let story = world.run(script("term", "kill -TERM $$")).await;
    let clean = SupervisionEnd::NotRestarted { cause: Cause::Signal, exit: Some(Exit::Signal(15)) };
    assert_eq!(story.ending(), &clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_has_the_environment_of_the_protocol() {
    let world = World::new();
    let mut spec = script("x", "env; pwd; cat; kill -0 $BIJ_X 2>/dev/null; echo done");
    spec.environment.insert("MINE".to_owned(), "a $b\n'c'".to_owned());
    spec.environment.insert("BIJ_ATTEMPT".to_owned(), "99".to_owned());
    spec.config = Some("/some/config".to_owned());
    spec.health.watchdog = Some(TimeSpan::from_secs(30));
    let story = world.run(spec).await;
    let printed = story.printed();
    let state = world.layout.experiment_state(&id("x"));
    let stop = world.layout.stop_file(&id("x"));
    for expected in [
        "BIJ_EXPERIMENT=x".to_owned(),
        "BIJ_ATTEMPT=1".to_owned(),
        "BIJ_CONFIG=/some/config".to_owned(),
        "WATCHDOG_USEC=30000000".to_owned(),
        "MINE=a $b".to_owned(),
        format!("BIJ_STATE_DIR={}", state.display()),
        format!("BIJ_PROGRESS={}", state.join("progress").display()),
        format!("BIJ_STOP_FILE={}", stop.display()),
        state.display().to_string(),
        "done".to_owned(),
    ] {
        assert!(printed.contains(&expected.as_str()), "{expected} is not in {printed:#?}");
    }
    let pid = story.0.iter().find_map(|event| match event {
        SupervisorEvent::Started { pid, .. } => Some(*pid),
        _ => None,
    });
    let watchdog_pid = format!("WATCHDOG_PID={}", pid.unwrap());
    assert!(printed.contains(&watchdog_pid.as_str()), "{watchdog_pid} is not in {printed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_arguments_arrive_unchanged() {
    let world = World::new();
    let arguments = ["%i", "$HOME", "'\"", "a b", "ü\u{1f980}", "\\x", ""];
    let mut spec = script("x", "");
    spec.command =
        ["/usr/bin/printf", "<%s>\\n"].into_iter().chain(arguments).map(str::to_owned).collect();
    let story = world.run(spec).await;
    let expected: Vec<String> = arguments.iter().map(|argument| format!("<{argument}>")).collect();
    assert_eq!(story.printed(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_names_its_step() {
    let world = World::new();
    let mut missing = once("exec", "");
    missing.command = vec!["/no/such/program".to_owned()];
    let script = world.path("launch.sh");
    std::fs::write(&script, "#!/bin/sh\r\necho hi\r\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut windows = once("windows", "");
    windows.command = vec![script.to_str().unwrap().to_owned()];
    let mut directory = once("chdir", "");
    directory.directory = Some("/no/such/directory".parse().unwrap());
    let mut cpus = once("cpus", "");
    cpus.limits.cpus = Some("8000".parse().unwrap());
    for (spec, status, meaning, reason) in [
        (missing, 203, "EXEC: ", "/no/such/program is not there: install it"),
        (windows, 203, "EXEC: ", "its interpreter /bin/sh\\r is not there"),
        (directory, 200, "CHDIR: ", "the directory /no/such/directory is not there: mkdir -p"),
        (cpus, 214, "CPUAFFINITY: ", "processors"),
    ] {
        let name = spec.id.clone();
        let story = world.run(spec).await;
        let end = story.end();
        assert_eq!(end.cause, Cause::StartFailed, "{name}");
        assert_eq!(end.evidence.exit, Some(Exit::Code(status)), "{name}");
        let meaning_of_exit = end.evidence.exit_meaning.as_deref().unwrap();
        assert!(
            meaning_of_exit.starts_with(meaning) && meaning_of_exit.contains(reason),
            "{meaning_of_exit}"
        );
        assert!(!end.evidence.became_ready);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_is_a_failed_start_without_a_process() {
    let world = World::new();
    let mut spec = once("x", "true");
    spec.user = Some("no-such-user".to_owned());
    let story = world.run(spec).await;
    let end = story.end();
    assert_eq!((end.cause, end.evidence.exit), (Cause::StartFailed, None));
    assert_eq!(
        end.evidence.notes,
        [
            "there is no user no-such-user: create the account, or change `user`; without `user` the \
             experiment gets a user of its own"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_gets_the_state_directory_and_nothing_of_roots() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can become another user.
        return;
    }
    let world = World::new();
    let path = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.root.path(), path).unwrap();
    let mut spec = once("x", "id -un; id -un > $BIJ_STATE_DIR/who; echo $USER $HOME");
    spec.user = Some("nobody".to_owned());
    let story = world.run(spec).await;
    let printed = story.printed();
    assert_eq!(printed[0], "nobody");
    assert!(printed[1].starts_with("nobody /"), "{printed:?}");
    let owner = std::fs::read_to_string(world.layout.experiment_state(&id("x")).join("who"));
    assert_eq!(owner.unwrap(), "nobody\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_variable_of_an_experiment_reaches_a_process_of_the_supervisors_user() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can become another user.
        return;
    }
    let world = World::new();
    let path = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.root.path(), path).unwrap();
    let traced = world.root.path().join("traced");
    let mut spec = once("x", "echo $LD_DEBUG");
    spec.user = Some("nobody".to_owned());
    spec.environment.insert("LD_DEBUG".to_owned(), "libs".to_owned());
    spec.environment.insert("LD_DEBUG_OUTPUT".to_owned(), traced.display().to_string());
    assert!(world.run(spec).await.printed().contains(&"libs"));
    let written = std::fs::read_dir(world.root.path()).unwrap().flatten();
    let written =
        written.filter(|entry| entry.file_name().to_string_lossy().starts_with("traced."));
    assert_eq!(written.count(), 0, "the dynamic linker wrote a file as root");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_ends_the_attempt_and_is_no_crash() {
    let world = World::new();
    let mut spec = once("x", "exec sleep 60");
    spec.limits.time = Some(Limit::At(TimeSpan::from_millis(300)));
    let story = world.run(spec).await;
    let end = story.end();
    assert_eq!(end.cause, Cause::TimeLimit);
    assert!(!end.is_crash());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_definition_starts_no_experiment() {
    let world = World::new();
    let supervisor = world.supervisor([script("there", "true")]);
    let refused = supervisor.run(&[id("there"), id("missing")]);
    assert!(matches!(refused, Err(RunError::Definition { .. })), "{refused:?}");
    assert!(world.attempts().is_empty());
    let story = support::Story::collect(supervisor.run(&[id("there")]).unwrap()).await;
    assert_eq!(story.ending(), &SupervisionEnd::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_experiments_run_side_by_side() {
    let world = World::new();
    let names = ["a", "b", "c", "d"];
    let supervisor =
        world.supervisor(names.map(|name| script(name, "sleep 0.2; echo $BIJ_EXPERIMENT")));
    let story = support::Story::collect(supervisor.run(&names.map(id)).unwrap()).await;
    let mut printed = story.printed();
    printed.sort_unstable();
    assert_eq!(printed, names);
    let ended =
        story.0.iter().filter(|event| matches!(event, SupervisorEvent::Ended { .. })).count();
    assert_eq!(ended, 4);
    assert_eq!(world.attempts().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn background_processes_are_killed_and_reported() {
    let world = World::new();
    let text = "setsid sh -c 'sleep 60 & echo $$ > background; wait' > /dev/null 2>&1 &
        while ! test -s background; do sleep 0.02; done";
    let story = world.run(script("x", &format!("cd $BIJ_STATE_DIR; {text}"))).await;
    assert_eq!(story.ending(), &SupervisionEnd::Success);
    let end = story.end();
    assert_eq!(end.cause, Cause::Success);
    let left = end.evidence.left_behind.clone().unwrap();
    assert_eq!(left.count, 2, "{left}");
    assert!(left.to_string().starts_with("2 processes were left behind and killed ("), "{left}");
    let state = world.layout.experiment_state(&id("x"));
    assert!(!is_alive(&state.join("background")));
    let log = std::fs::read_to_string(world.layout.logs().join("x.log")).unwrap();
    assert!(log.contains(&left.to_string()), "{log}");
}
