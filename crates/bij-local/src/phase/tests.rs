use super::*;

fn rules() -> AttemptRules {
    AttemptRules {
        notify: false,
        start_timeout: Some(Duration::from_secs(90)),
        watchdog: None,
        time_limit: None,
        grace: Duration::from_secs(30),
        oom_policy: OomPolicy::Stop,
    }
}

fn exited(exit: Exit) -> AttemptInput {
    AttemptInput::Exited { exit, for_memory: false }
}

/// Hands in inputs at seconds after the start and returns the machine with all it asked for.
fn play(
    rules: AttemptRules,
    inputs: &[(u64, AttemptInput)],
) -> (AttemptStateMachine, Vec<AttemptAction>) {
    let start = Instant::now();
    let mut machine = AttemptStateMachine::new(rules, start);
    let mut actions = Vec::new();
    for (second, input) in inputs {
        actions.extend(machine.handle(*input, start + Duration::from_secs(*second)));
    }
    (machine, actions)
}

#[test]
fn an_exec_attempt_is_up_when_executed_and_dead_when_no_process_is_left() {
    let (machine, actions) =
        play(rules(), &[(0, AttemptInput::Executed), (1, exited(Exit::Code(0)))]);
    assert_eq!(machine.phase(), AttemptPhase::StopSigkill);
    assert_eq!(actions, [AttemptAction::Kill], "the rest of the group goes with its main process");
    let (machine, _) = play(
        rules(),
        &[(0, AttemptInput::Executed), (1, exited(Exit::Code(3))), (1, AttemptInput::Empty)],
    );
    assert_eq!((machine.phase(), machine.result()), (AttemptPhase::Dead, &ServiceResult::ExitCode));
    assert!(machine.is_ready());
}

#[test]
fn a_notify_attempt_is_up_when_it_sends_ready() {
    let notify = AttemptRules { notify: true, ..rules() };
    let (machine, _) = play(notify.clone(), &[(0, AttemptInput::Executed)]);
    assert_eq!(machine.phase(), AttemptPhase::Start);
    let (machine, actions) =
        play(notify.clone(), &[(0, AttemptInput::Executed), (90, AttemptInput::Tick)]);
    assert_eq!(actions, [AttemptAction::CreateStopFile, AttemptAction::Terminate]);
    assert_eq!(machine.result(), &ServiceResult::Timeout);
    assert!(!machine.is_ready());
    let (machine, _) = play(notify, &[(0, AttemptInput::Executed), (1, exited(Exit::Code(0)))]);
    assert_eq!(machine.result(), &ServiceResult::Protocol);
}

#[test]
fn a_watchdog_timeout_aborts_then_kills_and_stays_the_result() {
    let watched = AttemptRules { watchdog: Some(Duration::from_secs(10)), ..rules() };
    let inputs = [
        (0, AttemptInput::Executed),
        (8, AttemptInput::WatchdogPing),
        (12, AttemptInput::Tick),
        (18, AttemptInput::Tick),
        (48, AttemptInput::Tick),
        (48, exited(Exit::Signal(9))),
        (48, AttemptInput::Empty),
    ];
    let (machine, actions) = play(watched, &inputs);
    assert_eq!(actions, [AttemptAction::Abort, AttemptAction::Kill, AttemptAction::Kill]);
    assert_eq!((machine.phase(), machine.result()), (AttemptPhase::Dead, &ServiceResult::Watchdog));
}

#[test]
fn a_stop_order_asks_first_and_kills_after_the_grace_time() {
    let inputs = [
        (0, AttemptInput::Executed),
        (5, AttemptInput::Stop),
        (6, AttemptInput::Stop),
        (35, AttemptInput::Tick),
    ];
    let (machine, actions) = play(rules(), &inputs);
    assert_eq!(
        actions,
        [AttemptAction::CreateStopFile, AttemptAction::Terminate, AttemptAction::Kill],
        "a second order adds nothing"
    );
    assert_eq!(machine.result(), &ServiceResult::Timeout);
    let impatient = AttemptRules { grace: Duration::ZERO, ..rules() };
    let (_, actions) = play(impatient, &[(0, AttemptInput::Executed), (5, AttemptInput::Stop)]);
    assert_eq!(actions, [AttemptAction::CreateStopFile, AttemptAction::Kill]);
}

#[test]
fn a_time_limit_counts_from_when_the_attempt_is_up() {
    let limited = AttemptRules { time_limit: Some(Duration::from_secs(60)), ..rules() };
    let (machine, actions) =
        play(limited.clone(), &[(5, AttemptInput::Executed), (64, AttemptInput::Tick)]);
    assert!(actions.is_empty() && machine.phase() == AttemptPhase::Running);
    let (machine, actions) =
        play(limited, &[(5, AttemptInput::Executed), (65, AttemptInput::Tick)]);
    assert_eq!(actions, [AttemptAction::CreateStopFile, AttemptAction::Terminate]);
    assert_eq!(machine.result(), &ServiceResult::Timeout);
}

#[test]
fn a_child_killed_for_memory_meets_the_oom_policy() {
    for (oom_policy, expected) in [
        (OomPolicy::Continue, vec![]),
        (OomPolicy::Stop, vec![AttemptAction::CreateStopFile, AttemptAction::Terminate]),
        (OomPolicy::Kill, vec![AttemptAction::Kill]),
    ] {
        let rules = AttemptRules { oom_policy, ..rules() };
        let inputs = [
            (0, AttemptInput::Executed),
            (1, AttemptInput::KilledForMemory),
            (2, AttemptInput::Tick),
        ];
        let (_, actions) = play(rules, &inputs);
        assert_eq!(actions, expected, "{oom_policy:?}");
    }
    let inputs = [
        (0, AttemptInput::Executed),
        (1, AttemptInput::KilledForMemory),
        (1, exited(Exit::Code(0))),
    ];
    let (machine, _) = play(rules(), &inputs);
    assert_eq!(machine.result(), &ServiceResult::Success, "its parent ended well meanwhile");
}

#[test]
fn a_main_process_killed_for_memory_is_an_oom_kill_whatever_counted_the_kill() {
    let killed = AttemptInput::Exited { exit: Exit::Signal(9), for_memory: true };
    let (machine, _) = play(rules(), &[(0, AttemptInput::Executed), (1, killed)]);
    assert_eq!(machine.result(), &ServiceResult::OomKill);
    let inputs =
        [(0, AttemptInput::Executed), (1, AttemptInput::OverLimit), (1, exited(Exit::Signal(9)))];
    let (machine, actions) = play(rules(), &inputs);
    assert_eq!(actions, [AttemptAction::Kill, AttemptAction::Kill]);
    assert_eq!(machine.result(), &ServiceResult::OomKill);
}

#[test]
fn an_attempt_that_survives_sigkill_is_given_up() {
    let inputs = [
        (0, AttemptInput::Executed),
        (1, exited(Exit::Code(0))),
        (10, AttemptInput::Tick),
        (11, AttemptInput::Tick),
    ];
    let (machine, actions) = play(rules(), &inputs);
    assert_eq!(actions, [AttemptAction::Kill]);
    assert!(machine.has_survivors());
    assert_eq!(machine.result(), &ServiceResult::Success);
    assert_eq!(machine.phase(), AttemptPhase::Dead);
}
