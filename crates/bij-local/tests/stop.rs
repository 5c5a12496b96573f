//! Stop orders, watchdog, notification, and the end of child processes.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bij_cgroup::CgroupRoot;
use bij_core::port::{Started, UnitError, UnitManager as _};
use bij_core::{ActiveState, Cause, Exit, Limit, Outcome, ServiceResult, TimeSpan};
use bij_local::{
    Backend, LocalUnits, LogQuery, LogReader, LogStream, SupervisionEnd, SupervisorEvent,
};
use support::{Story, World, id, is_alive, once, order, script, until};

/// A shell function that sends a message as `sd_notify(3)` does, with perl.
const NOTIFY: &str = "notify() { perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_DGRAM, 0); \
     send($s, $ARGV[0], 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!' \"$1\"; };";

fn millis(millis: u64) -> TimeSpan {
    TimeSpan::from_millis(millis)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_order_reaches_the_experiment_by_file_and_by_signal() {
    let world = World::new();
    let text = "trap 'test -e $BIJ_STOP_FILE && echo asked; exit 0' USR1
        touch $BIJ_STATE_DIR/up; while :; do sleep 0.05; done";
    let mut spec = script("x", text);
    spec.stop.signal = "SIGUSR1".to_owned();
    let supervisor = world.supervisor([spec]);
    let events = supervisor.run(&[id("x")]).unwrap();
    let up = world.layout.experiment_state(&id("x")).join("up");
    until("it is up", || up.exists()).await;
    assert!(supervisor.stop(&id("x"), order()).await);
    assert!(!supervisor.stop(&id("x"), order()).await, "it is down");
    let story = Story::collect(events).await;
    // The shell may also print that its `sleep` received the signal.
    assert!(story.printed().contains(&"asked"), "{:?}", story.printed());
    assert_eq!(story.end().cause, Cause::Stopped);
    assert_eq!(story.end().evidence.order, Some(order()));
    assert_eq!(story.ending(), &SupervisionEnd::Stopped { cause: Some(Cause::Stopped) });
    assert!(!world.layout.stop_file(&id("x")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn real_time_signals_reach_stopped_processes() {
    let world = World::new();
    let text = "$SIG{NUM37} = sub { print qq(heard\\n); exit 0 }; open my $f, q(>), qq($ENV{BIJ_STATE_DIR}/up); close $f; kill STOP, $$; sleep 60";
    let mut spec = script("x", "");
    spec.command = ["/usr/bin/perl", "-e", text].map(str::to_owned).to_vec();
    spec.stop.signal = "SIGRTMIN+3".to_owned();
    let supervisor = world.supervisor([spec]);
    let events = supervisor.run(&[id("x")]).unwrap();
    let up = world.layout.experiment_state(&id("x")).join("up");
    until("it is up", || up.exists()).await;
    supervisor.stop_all(order()).await;
    let story = Story::collect(events).await;
    assert_eq!(story.printed(), ["heard"]);
    assert_eq!(story.end().cause, Cause::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ignores_the_stop_is_killed_after_its_grace_time() {
    let world = World::new();
    let mut spec =
        script("x", "trap '' TERM; touch $BIJ_STATE_DIR/up; while :; do sleep 0.05; done");
    spec.stop.grace = millis(400);
    let supervisor = world.supervisor([spec]);
    let events = supervisor.run(&[id("x")]).unwrap();
    let up = world.layout.experiment_state(&id("x")).join("up");
    until("it is up", || up.exists()).await;
    let began = Instant::now();
    supervisor.stop_all(order()).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let story = Story::collect(events).await;
    assert_eq!(story.end().cause, Cause::StopTimeout);
    assert_eq!(story.end().evidence.exit, Some(Exit::Signal(9)));
    assert_eq!(story.ending(), &SupervisionEnd::Stopped { cause: Some(Cause::StopTimeout) });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_orders_at_once_are_one_stop_and_both_are_answered() {
    let world = World::new();
    let supervisor = Arc::new(world.supervisor([script("x", "exec sleep 60")]));
    let units = LocalUnits::with_supervisor(Arc::clone(&supervisor));
    assert_eq!(units.start(&id("x")).await.unwrap(), Started::Up);
    let x = id("x");
    let (first, second) = tokio::join!(units.stop(&x), units.stop(&x));
    assert_eq!((first.unwrap(), second.unwrap()), (Outcome::Changed, Outcome::Changed));
    assert_eq!(units.stop(&x).await.unwrap(), Outcome::Unchanged);
    let attempts = world.attempts();
    assert_eq!(attempts.len(), 1);
    let end = attempts[0].end.as_ref().unwrap();
    assert_eq!(end.cause, Cause::Stopped);
    let by = &end.evidence.order.as_ref().unwrap().by;
    assert!(by.starts_with("bij stop by ") && by.contains("uid "), "{by}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_order_between_two_attempts_ends_the_wait() {
    let world = World::new();
    let mut spec = script("x", "exit 3");
    spec.restart.delay = TimeSpan::from_secs(60);
    let supervisor = world.supervisor([spec]);
    let mut events = supervisor.run(&[id("x")]).unwrap();
    while !matches!(events.next().await, Some(SupervisorEvent::Waiting { .. })) {}
    assert!(supervisor.stop(&id("x"), order()).await);
    let story = Story::collect(events).await;
    assert_eq!(story.ending(), &SupervisionEnd::Stopped { cause: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_child_survives_the_end_of_the_main_process() {
    for backend in [Backend::Watcher, Backend::Auto] {
        let world = World::with_backend(backend);
        let text = "cd $BIJ_STATE_DIR
            sleep 60 & echo $! > child
            trap '' TERM; (trap '' TERM; sleep 60 & echo $! > stubborn; wait) &
            setsid sh -c 'echo $$ > session; exec sleep 60' &
            setsid sh -c '(setsid sh -c \"echo \\$\\$ > daemon; exec sleep 60\") & exit 0' &
            while ! test -s child -a -s stubborn -a -s session -a -s daemon; do sleep 0.02; done
            exit 0";
        let story = world.run(script("x", text)).await;
        assert_eq!(story.end().cause, Cause::Success, "{backend:?}");
        let state = world.layout.experiment_state(&id("x"));
        for name in ["child", "stubborn", "session", "daemon"] {
            assert!(!is_alive(&state.join(name)), "{backend:?}: {name} survives");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifying_experiment_is_up_after_ready_and_reports_its_status() {
    let world = World::new();
    let text = format!(
        "{NOTIFY} sleep 0.3; notify 'MAINPID=1
READY=1
STATUS=warming up'; sleep 0.3"
    );
    let mut spec = script("x", &text);
    spec.health.notify = true;
    let story = world.run(spec).await;
    let end = story.end();
    assert_eq!(end.cause, Cause::Success);
    assert_eq!(end.evidence.status_text.as_deref(), Some("warming up"));
    let attempt = &world.attempts()[0];
    let waited = attempt.ready.unwrap().since(attempt.started).unwrap();
    assert!(waited >= millis(300), "{waited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifying_experiment_that_never_sends_ready_is_a_start_timeout() {
    let world = World::new();
    let mut spec = once("x", "exec sleep 60");
    spec.health.notify = true;
    spec.health.start_timeout = Some(Limit::At(millis(300)));
    let story = world.run(spec).await;
    assert_eq!(story.end().cause, Cause::StartTimeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_pings_prevent_the_watchdog_timeout() {
    let world = World::new();
    let text = format!(
        "{NOTIFY} ulimit -c 0; for i in 1 2 3 4 5 6; do sleep 0.5; notify WATCHDOG=1; done; echo silent; \
         while :; do sleep 0.1; done"
    );
    let mut spec = once("x", &text);
    spec.health.watchdog = Some(millis(2500));
    let story = world.run(spec).await;
    let end = story.end();
    assert_eq!(story.printed(), ["silent"]);
    assert_eq!(end.cause, Cause::Watchdog, "{:?}", end.evidence);
    assert_eq!(end.evidence.exit, Some(Exit::Signal(6)));
    assert_eq!(end.evidence.service_result, Some(ServiceResult::Watchdog));
    assert!(end.evidence.ran_for.unwrap() > TimeSpan::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_processes_read_and_stop_an_experiment_through_its_socket() {
    let world = World::new();
    let text = format!("{NOTIFY} notify 'STATUS=at work'; exec sleep 60");
    let mut spec = script("x", &text);
    spec.restart.burst = 1;
    let supervisor = world.supervisor([spec, script("y", "exit 78")]);
    let units = LocalUnits::new(world.layout.clone(), Path::new(CgroupRoot::MOUNT_POINT));
    assert_eq!(units.status(&id("x")).await.unwrap().active_state, ActiveState::Inactive);
    let refused = units.start(&id("x")).await;
    assert!(matches!(refused, Err(UnitError::Unsupported(_))), "{refused:?}");
    let events = supervisor.run(&[id("x"), id("y")]).unwrap();
    let mut status = units.status(&id("x")).await.unwrap();
    for _ in 0..200 {
        if status.status_text.is_some() && status.resources.memory_current.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        status = units.status(&id("x")).await.unwrap();
    }
    assert_eq!((status.active_state, status.sub_state.as_str()), (ActiveState::Active, "running"));
    assert_eq!(status.status_text.as_deref(), Some("at work"));
    assert!(status.main_pid.is_some() && status.invocation.is_some());
    assert!(status.resources.memory_current.is_some());
    assert_eq!(units.stop(&id("x")).await.unwrap(), Outcome::Changed);
    let story = Story::collect(events).await;
    assert_eq!(story.ends().len(), 2);
    let list = units.list().await.unwrap();
    let seen: Vec<_> =
        list.iter().map(|unit| (unit.id.as_str(), unit.active_state.as_str())).collect();
    assert_eq!(seen, [("x", "inactive"), ("y", "failed")]);
    assert_eq!(units.reset_failed(&id("y")).await.unwrap(), Outcome::Changed);
    assert_eq!(units.reset_failed(&id("y")).await.unwrap(), Outcome::Unchanged);
    assert_eq!(units.status(&id("y")).await.unwrap().active_state, ActiveState::Inactive);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_supervisors_never_run_one_experiment() {
    let world = World::new();
    let first = world.supervisor([script("x", "exec sleep 60")]);
    let second = world.supervisor([script("x", "exec sleep 60")]);
    let events = first.run(&[id("x")]).unwrap();
    let refused = second.run(&[id("x")]);
    assert!(matches!(refused, Err(bij_local::RunError::AlreadyRunning { .. })), "{refused:?}");
    first.stop_all(order()).await;
    Story::collect(events).await;
    let events = second.run(&[id("x")]).unwrap();
    second.stop_all(order()).await;
    assert_eq!(Story::collect(events).await.end().cause, Cause::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_supervisor_leaves_no_process_behind() {
    let world = World::new();
    let text = "cd $BIJ_STATE_DIR; sleep 60 & echo $! > child; echo $$ > main; wait";
    let supervisor = world.supervisor([script("x", text)]);
    let _events = supervisor.run(&[id("x")]).unwrap();
    let state = world.layout.experiment_state(&id("x"));
    until("it is up", || state.join("main").exists()).await;
    drop(supervisor);
    until("all are gone", || !is_alive(&state.join("main")) && !is_alive(&state.join("child")))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_that_floods_the_supervisor_can_be_stopped() {
    let world = World::new();
    // Sends its status and prints as fast as it can, and its progress file is a pipe.
    let text = "use Socket; use POSIX; POSIX::mkfifo($ENV{BIJ_PROGRESS}, 0600);
        socket(my $s, PF_UNIX, SOCK_DGRAM, 0); connect($s, pack_sockaddr_un($ENV{NOTIFY_SOCKET}));
        $| = 1; while (1) { send($s, 'STATUS=' . $i++, 0); print qq(line $i\\n) }";
    let mut spec = script("x", "");
    spec.command = ["/usr/bin/perl", "-e", text].map(str::to_owned).to_vec();
    let supervisor = world.supervisor([spec]);
    let events = supervisor.run(&[id("x")]).unwrap();
    let has_printed = || {
        let lines = LogReader::new(&world.layout).read(&LogQuery::default()).unwrap_or_default();
        lines.iter().any(|line| line.stream == LogStream::Out)
    };
    until("it prints, which it does after its first status", has_printed).await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), supervisor.stop_all(order())).await;
    assert!(stopped.is_ok(), "the stop order was not handled");
    let story = Story::collect(events).await;
    assert_eq!(story.end().cause, Cause::Stopped);
    assert!(story.end().evidence.status_text.is_some());
    assert_eq!(story.end().evidence.progress, None);
}
