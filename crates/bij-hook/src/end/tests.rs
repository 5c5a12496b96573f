use bij_core::port::{Change, RunQueue as _};
use bij_core::queue::QueueState;
use bij_core::{Bytes, Cause, Exit, Limit, OrderKind, TimeSpan, Witness};
use bij_host::HostContext;
use bij_systemd::experiment::JobType;

use super::*;
use crate::HookEnv;
use crate::testing::TestMachine;

const KILLED: Option<Exit> = Some(Exit::Signal(9));

fn closed(ended: Ended) -> AttemptEnd {
    match ended {
        Ended::Closed(end, Outcome::Changed) => *end,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kill_for_memory_is_proved_by_the_kernels_counters_alone() {
    let machine = TestMachine::new();
    machine.counters("memory.events", "low 0\nhigh 0\nmax 2\noom 1\noom_kill 1\n");
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    machine.counters("memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n");
    machine.counters("memory.peak", "67108864\n");
    machine.counters("memory.max", "67108864\n");
    *machine.journal.line.borrow_mut() = Some("oom-kill:constraint=CONSTRAINT_MEMCG".to_owned());
    let end = closed(machine.end(&env, "signal", KILLED));
    assert_eq!(end.cause, Cause::OomKill);
    let evidence = end.evidence;
    assert_eq!((evidence.oom_kills, evidence.memory_limit_hits), (Some(1), Some(7)));
    assert_eq!(evidence.memory_peak, Some(Bytes::new(64 << 20)));
    assert_eq!(evidence.memory_max, Some(Limit::At(Bytes::new(64 << 20))));
    assert_eq!(evidence.kernel_line.as_deref(), Some("oom-kill:constraint=CONSTRAINT_MEMCG"));
    assert_eq!(evidence.witness, Some(Witness::Hook));
}

#[test]
fn invocations_without_an_attempt_leave_no_trace() {
    let machine = TestMachine::new();
    let first = machine.new_invocation();
    machine.begin_and_read(&first);
    machine.end(&first, "success", Some(Exit::Code(0)));
    for (result, exit) in
        [("exec-condition", None), ("exit-code", None), ("exit-code", Some(Exit::Code(78)))]
    {
        assert_eq!(
            machine.end(&machine.new_invocation(), result, exit),
            Ended::Nothing,
            "{result}"
        );
    }
    assert_eq!(machine.attempts().len(), 1);
}

#[test]
fn the_drop_in_of_a_definition_that_is_gone_goes_with_the_end_of_its_unit() {
    let machine = TestMachine::new();
    machine.render();
    let end = || {
        let env = machine.new_invocation();
        machine.begin_and_read(&env);
        machine.end(&env, "success", Some(Exit::Code(0)));
    };
    end();
    assert!(machine.drop_in().is_some());
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    *machine.definitions.0.lock().unwrap() = None;
    machine.end(&env, "success", Some(Exit::Code(0)));
    assert_eq!(machine.drop_in(), None);
}

#[test]
fn the_same_end_may_be_recorded_twice() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    let first = closed(machine.end(&env, "exit-code", Some(Exit::Code(3))));
    let Ended::Closed(_, outcome) = machine.end(&env, "success", Some(Exit::Code(0))) else {
        panic!("it was an attempt");
    };
    assert_eq!(outcome, Outcome::Unchanged);
    assert_eq!(machine.attempts()[0].end.as_ref().unwrap().cause, first.cause);
}

#[test]
fn an_order_is_recorded_with_its_author() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    machine.write("run/brain-in-jar/orders/x.json", r#"{"kind":"stop","by":"bij stop by ann"}"#);
    machine.manager.facts.borrow_mut().job = Some(JobType::Stop);
    let end = closed(machine.end(&env, "success", Some(Exit::Signal(15))));
    assert_eq!(end.cause, Cause::Stopped);
    assert_eq!(end.evidence.order.unwrap().by, "bij stop by ann");
    assert!(!machine.path("run/brain-in-jar/orders/x.json").exists());
}

#[test]
fn jobs_distinguish_stops_shutdowns_and_stray_signals() {
    for (job, stopping, cause, kind) in [
        (Some("stop"), false, Cause::Stopped, Some(OrderKind::Stop)),
        (Some("restart"), false, Cause::Stopped, Some(OrderKind::Stop)),
        (Some("stop"), true, Cause::Reboot, Some(OrderKind::Shutdown)),
        (Some("start"), false, Cause::Signal, None),
        (None, false, Cause::Signal, None),
    ] {
        let machine = TestMachine::new();
        let env = machine.new_invocation();
        machine.begin_and_read(&env);
        machine.manager.facts.borrow_mut().job = job.map(JobType::from);
        machine.manager.facts.borrow_mut().stopping = stopping;
        let end = closed(machine.end(&env, "success", Some(Exit::Signal(15))));
        assert_eq!((end.cause, end.evidence.order.map(|order| order.kind)), (cause, kind));
    }
}

#[test]
fn a_crash_keeps_the_last_lines_and_a_success_none() {
    for (exit, result, kept) in [(1, "exit-code", 20), (0, "success", 0)] {
        let machine = TestMachine::new();
        let env = machine.new_invocation();
        machine.begin_and_read(&env);
        let mut printed: Vec<String> = (1..=40).map(|step| format!("step {step}")).collect();
        printed.push("é".repeat(10_000));
        *machine.journal.printed.borrow_mut() = printed;
        let end = closed(machine.end(&env, result, Some(Exit::Code(exit))));
        let lines = end.evidence.last_lines;
        assert_eq!(lines.len(), kept);
        if let [first, .., last] = lines.as_slice() {
            assert_eq!((first.as_str(), last.chars().count()), ("step 22", 300));
        }
    }
}

#[test]
fn a_crash_after_the_last_start_is_not_followed_by_a_restart() {
    for (burst, stops) in [(1, [1, 0]), (2, [0, 1]), (3, [0, 0]), (0, [0, 0])] {
        let machine = TestMachine::new();
        {
            let mut facts = machine.manager.facts.borrow_mut();
            facts.start_limit_burst = burst;
            facts.start_limit_interval = Some(Limit::At(TimeSpan::from_secs(300)));
            facts.restart_delay = Some(Limit::At(TimeSpan::from_secs(5)));
        }
        for expected in stops {
            let env = machine.new_invocation();
            machine.begin_and_read(&env);
            let before = machine.manager.stops.get();
            closed(machine.end(&env, "exit-code", Some(Exit::Code(9))));
            machine.manager.facts.borrow_mut().restarts += 1;
            assert_eq!(machine.manager.stops.get() - before, expected, "burst {burst}");
            if expected == 1 {
                break;
            }
        }
    }
}

#[test]
fn the_end_of_a_users_manager_differs_from_that_of_the_machine() {
    for (is_users, machine_goes_down, cause) in [
        (true, false, Cause::ManagerStop),
        (true, true, Cause::Reboot),
        (false, false, Cause::Reboot),
    ] {
        let mut machine = TestMachine::new();
        if is_users {
            machine.host = HostContext::user(machine.tree.path(), |name| {
                (name == "HOME").then(|| "/home/ann".into())
            })
            .unwrap();
        }
        let env = machine.new_invocation();
        machine.begin(&env).unwrap();
        machine.manager.facts.borrow_mut().job = Some(JobType::Stop);
        machine.manager.facts.borrow_mut().stopping = true;
        machine.manager.stopping.set(machine_goes_down);
        let end = closed(machine.end(&env, "success", Some(Exit::Signal(15))));
        assert_eq!(end.cause, cause, "of a user: {is_users}, the machine: {machine_goes_down}");
        assert!(!end.is_crash());
    }
}

#[test]
fn a_success_with_a_late_child_is_one_and_is_not_restarted() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    {
        let mut facts = machine.manager.facts.borrow_mut();
        (facts.ready, facts.left_by_itself) = (Some(Timestamp::from_micros(1)), true);
    }
    *machine.journal.killed.borrow_mut() = vec!["sleep".to_owned()];
    let end = closed(machine.end(&env, "timeout", Some(Exit::Code(0))));
    assert_eq!(end.cause, Cause::Success);
    assert_eq!(
        end.evidence.left_behind.unwrap().to_string(),
        "1 process was left behind, did not leave in time and was killed (sleep)"
    );
    assert_eq!(machine.manager.stops.get(), 1);
}

#[test]
fn other_ends_keep_what_systemd_makes_of_them() {
    for (result, exit, is_own) in [
        ("success", Exit::Code(0), true),
        ("timeout", Exit::Code(0), false),
        ("timeout", Exit::Code(75), true),
        ("exit-code", Exit::Code(1), true),
    ] {
        let machine = TestMachine::new();
        let env = machine.new_invocation();
        machine.begin_and_read(&env);
        machine.manager.facts.borrow_mut().ready = Some(Timestamp::from_micros(1));
        machine.manager.facts.borrow_mut().left_by_itself = is_own;
        machine.end(&env, result, Some(exit));
        assert_eq!(machine.manager.stops.get(), 0, "{result}, {exit:?}");
    }
}

#[test]
fn a_command_that_cannot_be_executed_never_ran() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    let end = closed(machine.end(&env, "exit-code", Some(Exit::Code(203))));
    assert_eq!(end.cause, Cause::StartFailed);
    let meaning = end.evidence.exit_meaning.unwrap();
    assert_eq!(meaning, "EXEC: executing the command failed");
}

#[test]
fn the_launchers_last_message_is_in_the_history() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    let text = "cannot execute /tmp/run: No such file or directory";
    machine.manager.facts.borrow_mut().status_text = Some(text.to_owned());
    let end = closed(machine.end(&env, "exit-code", Some(Exit::Code(203))));
    assert_eq!((end.cause, &end.evidence.notes[..]), (Cause::StartFailed, &[text.to_owned()][..]));
    // The status of a program that was up has a meaning of its own.
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    machine.manager.facts.borrow_mut().ready = Some(Timestamp::from_micros(1));
    let end = closed(machine.end(&env, "exit-code", Some(Exit::Code(203))));
    assert_eq!((end.cause, &end.evidence.notes[..]), (Cause::Exit, &[][..]));
}

#[test]
fn a_script_whose_interpreter_env_does_not_find_is_named_in_the_notes() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = TestMachine::new();
    machine.write("opt/run.py", "#!/bin/env python9\n");
    std::fs::copy(machine.path("bin/true"), machine.path("bin/env")).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(machine.path("opt/run.py"), executable).unwrap();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.command =
        vec!["/opt/run.py".to_owned()];
    let notes = |status: i32| {
        let env = HookEnv { path: Some("/bin".to_owned()), ..machine.new_invocation() };
        machine.begin_and_read(&env);
        machine.manager.facts.borrow_mut().ready = Some(Timestamp::from_micros(1));
        closed(machine.end(&env, "exit-code", Some(Exit::Code(status)))).evidence.notes
    };
    let text = notes(127).concat();
    assert!(text.starts_with("/opt/run.py: env finds no python9 in"), "{text}");
    assert_eq!(notes(1), [""; 0]);
}

#[test]
fn an_unreachable_manager_is_noted_and_the_exit_code_is_used() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    machine.manager.mute.set(true);
    let end = closed(machine.end(&env, "exit-code", Some(Exit::Code(203))));
    assert_eq!(end.cause, Cause::StartFailed);
    assert_eq!(end.evidence.notes, ["the service manager could not be asked"]);
}

#[test]
fn a_time_limit_is_read_from_the_manager() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    {
        let mut facts = machine.manager.facts.borrow_mut();
        facts.ready = Some(Timestamp::from_micros(1));
        facts.ran_for = Some(TimeSpan::from_secs(61));
        facts.time_limit = Some(Limit::At(TimeSpan::from_secs(60)));
        facts.status_text = Some("counting".to_owned());
    }
    let end = closed(machine.end(&env, "timeout", Some(Exit::Signal(15))));
    assert_eq!(end.cause, Cause::TimeLimit);
    assert_eq!(end.evidence.status_text.as_deref(), Some("counting"));
}

#[test]
fn without_its_record_an_attempt_is_found_in_the_ledger() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    std::fs::remove_file(machine.path("run/brain-in-jar/attempts/x.json")).unwrap();
    let end = closed(machine.end(&env, "signal", KILLED));
    assert_eq!(end.cause, Cause::Signal);
}

#[test]
fn extras_end_with_their_run_and_not_before() {
    let machine = TestMachine::new();
    machine.write("var/lib/brain-in-jar/extras/x.toml", "");
    let first = machine.new_invocation();
    machine.begin_and_read(&first);
    machine.end(&first, "signal", KILLED);
    assert!(machine.path("var/lib/brain-in-jar/extras/x.toml").exists());
    machine.manager.facts.borrow_mut().restarts = 1;
    let second = machine.new_invocation();
    machine.begin_and_read(&second);
    machine.end(&second, "success", Some(Exit::Code(0)));
    assert!(!machine.path("var/lib/brain-in-jar/extras/x.toml").exists());
}

#[test]
fn a_hostile_state_directory_does_no_harm() {
    use std::os::unix::fs::symlink;
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    let secret = machine.path("root/secret");
    std::fs::write(&secret, "step=1 text=secret checkpoint=/secret\n").unwrap();
    let progress = machine.path("var/lib/brain-in-jar/experiments/x/progress");
    symlink(&secret, &progress).unwrap();
    let end = closed(machine.end(&env, "signal", KILLED));
    assert_eq!(end.evidence.progress, None);
    std::fs::remove_file(&progress).unwrap();
    nix::unistd::mkfifo(&progress, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    assert_eq!(closed(machine.end(&env, "signal", KILLED)).evidence.progress, None);
}

#[test]
fn extras_of_a_run_that_was_put_back_stay_for_its_next_attempt() {
    let machine = TestMachine::new();
    let extras = || machine.path("var/lib/brain-in-jar/extras/x.toml").exists();
    machine.write("var/lib/brain-in-jar/extras/x.toml", "");
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    let run = machine.attempts()[0].run.clone();
    let put_back = Change::State {
        run: run.clone(),
        from: Some(QueueState::Running),
        state: QueueState::Waiting,
        why: "requeued by alice".to_owned(),
    };
    machine.store().change(&[put_back], machine.host.now()).unwrap();
    machine.manager.facts.borrow_mut().job = Some(JobType::Stop);
    let end = closed(machine.end(&env, "success", Some(Exit::Signal(15))));
    assert_eq!(end.cause, Cause::Stopped);
    assert!(extras(), "the run goes on");
    let env = machine.new_invocation();
    machine.begin_and_read(&env);
    assert_eq!(machine.attempts()[1].run, run);
    machine.end(&env, "success", Some(Exit::Code(0)));
    assert!(!extras());
}
