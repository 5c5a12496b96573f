use super::*;

fn rules() -> Rules {
    Rules {
        notify: false,
        start_timeout: Some(Duration::from_secs(90)),
        watchdog: None,
        time_limit: None,
        grace: Duration::from_secs(30),
        oom_policy: OomPolicy::Stop,
    }
}

fn exited(exit: Exit) -> Input {
    Input::Exited { exit, for_memory: false }
}

/// Hands in inputs at seconds after the start and returns the machine with all it asked for.
fn play(rules: Rules, inputs: &[(u64, Input)]) -> (Machine, Vec<Act>) {
    let start = Instant::now();
    let mut machine = Machine::new(rules, start);
    let mut acts = Vec::new();
    for (second, input) in inputs {
        acts.extend(machine.handle(*input, start + Duration::from_secs(*second)));
    }
    (machine, acts)
}

#[test]
fn an_exec_is_up_when_executed_and_dead_when_nothing_is_left() {
    let (machine, acts) = play(rules(), &[(0, Input::Executed), (1, exited(Exit::Code(0)))]);
    assert_eq!(machine.phase(), Phase::StopSigkill);
    assert_eq!(acts, [Act::Kill], "the rest of the group goes with its main process");
    let (machine, _) =
        play(rules(), &[(0, Input::Executed), (1, exited(Exit::Code(3))), (1, Input::Empty)]);
    assert_eq!((machine.phase(), machine.result()), (Phase::Dead, &ServiceResult::ExitCode));
    assert!(machine.is_ready());
}

#[test]
fn a_notifier_is_up_when_it_says_so() {
    let notify = Rules { notify: true, ..rules() };
    let (machine, _) = play(notify.clone(), &[(0, Input::Executed)]);
    assert_eq!(machine.phase(), Phase::Start);
    let (machine, acts) = play(notify.clone(), &[(0, Input::Executed), (90, Input::Tick)]);
    assert_eq!(acts, [Act::AskByFile, Act::Terminate]);
    assert_eq!(machine.result(), &ServiceResult::Timeout);
    assert!(!machine.is_ready());
    let (machine, _) = play(notify, &[(0, Input::Executed), (1, exited(Exit::Code(0)))]);
    assert_eq!(machine.result(), &ServiceResult::Protocol);
}

#[test]
fn silence_is_aborted_then_killed_and_stays_the_reason() {
    let watched = Rules { watchdog: Some(Duration::from_secs(10)), ..rules() };
    let inputs = [
        (0, Input::Executed),
        (8, Input::Fed),
        (12, Input::Tick),
        (18, Input::Tick),
        (48, Input::Tick),
        (48, exited(Exit::Signal(9))),
        (48, Input::Empty),
    ];
    let (machine, acts) = play(watched, &inputs);
    assert_eq!(acts, [Act::Abort, Act::Kill, Act::Kill]);
    assert_eq!((machine.phase(), machine.result()), (Phase::Dead, &ServiceResult::Watchdog));
}

#[test]
fn an_order_asks_first_and_kills_after_the_grace() {
    let inputs = [(0, Input::Executed), (5, Input::Stop), (6, Input::Stop), (35, Input::Tick)];
    let (machine, acts) = play(rules(), &inputs);
    assert_eq!(acts, [Act::AskByFile, Act::Terminate, Act::Kill], "a second order adds nothing");
    assert_eq!(machine.result(), &ServiceResult::Timeout);
    let impatient = Rules { grace: Duration::ZERO, ..rules() };
    let (_, acts) = play(impatient, &[(0, Input::Executed), (5, Input::Stop)]);
    assert_eq!(acts, [Act::AskByFile, Act::Kill]);
}

#[test]
fn a_time_limit_counts_from_when_it_is_up() {
    let limited = Rules { time_limit: Some(Duration::from_secs(60)), ..rules() };
    let (machine, acts) = play(limited.clone(), &[(5, Input::Executed), (64, Input::Tick)]);
    assert!(acts.is_empty() && machine.phase() == Phase::Running);
    let (machine, acts) = play(limited, &[(5, Input::Executed), (65, Input::Tick)]);
    assert_eq!(acts, [Act::AskByFile, Act::Terminate]);
    assert_eq!(machine.result(), &ServiceResult::Timeout);
}

#[test]
fn a_child_killed_for_memory_meets_the_oom_policy() {
    for (oom_policy, expected) in [
        (OomPolicy::Continue, vec![]),
        (OomPolicy::Stop, vec![Act::AskByFile, Act::Terminate]),
        (OomPolicy::Kill, vec![Act::Kill]),
    ] {
        let rules = Rules { oom_policy, ..rules() };
        let inputs = [(0, Input::Executed), (1, Input::KilledForMemory), (2, Input::Tick)];
        let (_, acts) = play(rules, &inputs);
        assert_eq!(acts, expected, "{oom_policy:?}");
    }
    let inputs = [(0, Input::Executed), (1, Input::KilledForMemory), (1, exited(Exit::Code(0)))];
    let (machine, _) = play(rules(), &inputs);
    assert_eq!(machine.result(), &ServiceResult::Success, "its parent ended well meanwhile");
}

#[test]
fn a_main_process_killed_for_memory_is_an_oom_kill_whatever_counted_it() {
    let killed = Input::Exited { exit: Exit::Signal(9), for_memory: true };
    let (machine, _) = play(rules(), &[(0, Input::Executed), (1, killed)]);
    assert_eq!(machine.result(), &ServiceResult::OomKill);
    let inputs = [(0, Input::Executed), (1, Input::OverLimit), (1, exited(Exit::Signal(9)))];
    let (machine, acts) = play(rules(), &inputs);
    assert_eq!(acts, [Act::Kill, Act::Kill]);
    assert_eq!(machine.result(), &ServiceResult::OomKill);
}

#[test]
fn what_survives_sigkill_is_given_up() {
    let inputs =
        [(0, Input::Executed), (1, exited(Exit::Code(0))), (10, Input::Tick), (11, Input::Tick)];
    let (machine, acts) = play(rules(), &inputs);
    assert_eq!(acts, [Act::Kill]);
    assert!(machine.has_survivors());
    assert_eq!(machine.result(), &ServiceResult::Success);
    assert_eq!(machine.phase(), Phase::Dead);
}
