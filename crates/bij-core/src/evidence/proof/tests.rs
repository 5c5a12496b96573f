use super::*;
use crate::{ServiceResult as R, TimeSpan};

fn ran(result: R, exit: Exit) -> Evidence {
    Evidence {
        service_result: Some(result),
        exit: Some(exit),
        became_ready: true,
        ..Evidence::default()
    }
}

fn ordered(kind: OrderKind, evidence: Evidence) -> Evidence {
    Evidence { order: Some(Order { kind, by: "a test".to_owned() }), ..evidence }
}

fn with_kills(evidence: Evidence) -> Evidence {
    Evidence { oom_kills: Some(1), ..evidence }
}

#[test]
fn each_cause_follows_from_its_evidence() {
    let never = Evidence { service_result: Some(R::Resources), ..Evidence::default() };
    let starting = |result, exit| Evidence { became_ready: false, ..ran(result, exit) };
    for (cause, evidence) in [
        (Cause::Success, ran(R::Success, Exit::Code(0))),
        (Cause::Exit, ran(R::ExitCode, Exit::Code(3))),
        (Cause::Exit, ran(R::ExitCode, Exit::Code(75))),
        (Cause::Exit, ran(R::ExitCode, Exit::Code(203))),
        (Cause::Signal, ran(R::Signal, Exit::Signal(9))),
        (Cause::Signal, ran(R::CoreDump, Exit::CoreDump(11))),
        (Cause::Watchdog, ran(R::Watchdog, Exit::Signal(6))),
        (Cause::StartFailed, starting(R::ExitCode, Exit::Code(203))),
        (Cause::StartFailed, never),
        (Cause::Exit, starting(R::ExitCode, Exit::Code(1))),
        (Cause::StartTimeout, starting(R::Timeout, Exit::Signal(15))),
        (Cause::StopTimeout, ordered(OrderKind::Stop, ran(R::Timeout, Exit::Signal(9)))),
        (Cause::Unknown, Evidence::default()),
    ] {
        assert_eq!(evidence.prove(), cause, "{evidence:?}");
    }
}

#[test]
fn an_oom_kill_is_proved_on_both_cgroup_versions() {
    assert_eq!(ran(R::OomKill, Exit::Signal(9)).prove(), Cause::OomKill);
    assert_eq!(with_kills(ran(R::Signal, Exit::Signal(9))).prove(), Cause::OomKill);
    assert_eq!(with_kills(ran(R::ExitCode, Exit::Code(1))).prove(), Cause::OomKill);
}

#[test]
fn the_kernels_line_proves_an_oom_kill_where_no_counter_is_left() {
    let line = |evidence| Evidence { kernel_line: Some("oom-kill:x".to_owned()), ..evidence };
    assert_eq!(line(ran(R::Signal, Exit::Signal(9))).prove(), Cause::OomKill);
    assert_eq!(line(ran(R::Signal, Exit::Signal(11))).prove(), Cause::Signal);
    let counted = Evidence { oom_kills: Some(0), ..line(ran(R::Signal, Exit::Signal(9))) };
    assert_eq!(counted.prove(), Cause::Signal, "the counters are those of this attempt");
}

#[test]
fn an_oom_killed_child_of_a_parent_that_exits_with_0_is_a_success() {
    assert_eq!(with_kills(ran(R::Success, Exit::Code(0))).prove(), Cause::Success);
}

#[test]
fn an_earlier_oom_kill_of_a_child_does_not_hide_a_stop() {
    let stopped = ordered(OrderKind::Stop, with_kills(ran(R::Success, Exit::Signal(15))));
    assert_eq!(stopped.prove(), Cause::Stopped);
    let killed_meanwhile = ordered(OrderKind::Stop, with_kills(ran(R::Signal, Exit::Signal(9))));
    assert_eq!(killed_meanwhile.prove(), Cause::OomKill);
}

#[test]
fn an_order_explains_the_exit_that_follows() {
    for exit in [Exit::Code(0), Exit::Code(1), Exit::Signal(15)] {
        assert_eq!(ordered(OrderKind::Stop, ran(R::Success, exit)).prove(), Cause::Stopped);
        assert_eq!(ordered(OrderKind::Shutdown, ran(R::ExitCode, exit)).prove(), Cause::Reboot);
    }
    let fault = ordered(OrderKind::Stop, ran(R::Signal, Exit::Signal(11)));
    assert_eq!(fault.prove(), Cause::Signal, "SIGSEGV is not sent to stop a process");
}

#[test]
fn a_stray_sigterm_is_a_signal_though_systemd_calls_it_success() {
    assert_eq!(ran(R::Success, Exit::Signal(15)).prove(), Cause::Signal);
}

#[test]
fn a_time_limit_is_distinguished_from_a_slow_stop() {
    let limited = |secs| Evidence {
        time_limit: Some(TimeSpan::from_secs(60)),
        ran_for: Some(TimeSpan::from_secs(secs)),
        ..ran(R::Timeout, Exit::Signal(15))
    };
    assert_eq!(limited(60).prove(), Cause::TimeLimit);
    assert_eq!(limited(59).prove(), Cause::StopTimeout);
    assert_eq!(ordered(OrderKind::Stop, limited(61)).prove(), Cause::StopTimeout);
}

#[test]
fn left_behind_processes_do_not_change_the_exit_of_the_main_process() {
    let left = |exit| Evidence { left_by_itself: true, ..ran(R::Timeout, exit) };
    assert_eq!(left(Exit::Code(0)).prove(), Cause::Success);
    assert_eq!(left(Exit::Code(75)).prove(), Cause::Exit);
    assert_eq!(ran(R::Timeout, Exit::Code(0)).prove(), Cause::StopTimeout, "it was asked to leave");
    // An order arrived while the processes left behind were being killed.
    assert_eq!(ordered(OrderKind::Stop, left(Exit::Code(0))).prove(), Cause::Stopped);
    assert_eq!(ordered(OrderKind::Shutdown, left(Exit::Code(0))).prove(), Cause::Reboot);
    let late = Evidence { time_limit: Some(TimeSpan::from_secs(60)), ..left(Exit::Code(0)) };
    let late = Evidence { ran_for: Some(TimeSpan::from_secs(61)), ..late };
    assert_eq!(late.prove(), Cause::Success, "it had exited before its time limit");
}

#[test]
fn a_time_limit_enforced_by_the_coordinator_is_a_time_limit() {
    for exit in [Exit::Code(0), Exit::Signal(15), Exit::Signal(9)] {
        let ended = ran(R::Success, exit);
        assert_eq!(ordered(OrderKind::TimeLimit, ended).prove(), Cause::TimeLimit);
    }
    let slow = ran(R::Timeout, Exit::Signal(9));
    assert_eq!(ordered(OrderKind::TimeLimit, slow).prove(), Cause::TimeLimit);
}

#[test]
fn a_slow_attempt_at_shutdown_is_interrupted_and_not_stopped() {
    let slow = ran(R::Timeout, Exit::Signal(9));
    assert_eq!(ordered(OrderKind::Shutdown, slow.clone()).prove(), Cause::Reboot);
    assert_eq!(ordered(OrderKind::Stop, slow).prove(), Cause::StopTimeout);
}

#[test]
fn an_attempt_found_open_by_the_next_boot_was_lost_with_its_boot() {
    let found = Evidence { witness: Some(Witness::NextBoot), ..Evidence::default() };
    assert_eq!(found.prove(), Cause::PowerLoss);
    assert_eq!(ordered(OrderKind::Shutdown, found.clone()).prove(), Cause::Reboot);
    let seen = Evidence { witness: Some(Witness::NextBoot), ..ran(R::Signal, Exit::Signal(11)) };
    assert_eq!(seen.prove(), Cause::Signal, "an observed end is stronger");
}
