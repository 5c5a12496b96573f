use bij_core::port::{AttemptQuery, RunQueue, UnitManager};
use bij_core::queue::{QueueState, RunRef};
use bij_core::{Cause, ExperimentId, RunEnd, RunState};

use super::*;
use crate::{Script, ScriptedAttempt, ScriptedEnd};

fn id() -> ExperimentId {
    ExperimentId::new("x").unwrap()
}

fn machine(script: Script) -> SimMachine {
    let machine = SimMachine::new(Bytes::new(1 << 30), Timestamp::from_micros(1_000_000));
    machine.units.define(&id(), script);
    machine
}

/// Runs all waiting hooks; admission is granted.
fn settle(machine: &mut SimMachine) {
    while let Some(call) = machine.units.hooks().first().cloned() {
        machine.run_hook(&call);
    }
}

fn pass(machine: &mut SimMachine, seconds: u32) {
    machine.advance(TimeSpan::from_secs(seconds));
    settle(machine);
}

fn causes(machine: &SimMachine) -> Vec<Option<Cause>> {
    let attempts = machine.store.attempts(&AttemptQuery::default()).unwrap();
    attempts.into_iter().map(|attempt| attempt.end.map(|end| end.cause)).collect()
}

fn state(machine: &SimMachine) -> Option<RunState> {
    machine.store.run_state(&RunRef::Newest(id())).unwrap()
}

#[test]
fn hooks_record_attempts_in_the_ledger() {
    let second = TimeSpan::from_secs(1);
    let attempt = |end| ScriptedAttempt { lasts: Some(second), end };
    let attempts = vec![attempt(ScriptedEnd::OomKill), attempt(ScriptedEnd::Exit(0))];
    let mut machine = machine(Script { attempts, ..Script::default() });
    machine.units.start_from_elsewhere(&id());
    settle(&mut machine);
    pass(&mut machine, 1);
    assert_eq!(causes(&machine), [Some(Cause::OomKill)]);
    assert_eq!(state(&machine), Some(RunState::Open));
    pass(&mut machine, 5);
    pass(&mut machine, 1);
    assert_eq!(causes(&machine), [Some(Cause::OomKill), Some(Cause::Success)]);
    assert_eq!(state(&machine), Some(RunState::Ended(RunEnd::Success)));
}

#[test]
fn a_unit_waits_at_its_condition_until_it_is_admitted() {
    let machine = machine(Script::runs());
    machine.units.start_from_elsewhere(&id());
    machine.advance(TimeSpan::from_secs(60));
    let call = machine.units.hooks().pop().unwrap();
    assert_eq!(call.hook, Hook::Admit);
    assert!(machine.units.with_processes().is_empty());
    machine.units.leave(&call, false);
    assert!(machine.units.hooks().is_empty() && machine.units.up().is_empty());
}

#[test]
fn power_cuts_and_reboots_are_distinguished_and_continue_the_run() {
    let mut machine = machine(Script::runs());
    for cut in [true, false] {
        machine.units.start_from_elsewhere(&id());
        settle(&mut machine);
        if cut {
            machine.cut_power();
        } else {
            machine.begin_shutdown();
            settle(&mut machine);
            assert!(machine.is_down());
            machine.finish_shutdown();
        }
        machine.boot();
        settle(&mut machine);
    }
    assert_eq!(causes(&machine), [Some(Cause::PowerLoss), Some(Cause::Reboot)]);
    let queue = machine.store.load().unwrap();
    assert_eq!(queue.runs.len(), 1, "both are attempts of one run");
    assert_eq!(queue.runs[0].state, QueueState::Running);
}

#[test]
fn a_stop_kills_after_the_grace_time() {
    let stubborn = Script {
        leaves_after: TimeSpan::from_secs(60),
        grace: TimeSpan::from_secs(10),
        ..Script::runs()
    };
    let mut machine = machine(stubborn);
    machine.units.start_from_elsewhere(&id());
    settle(&mut machine);
    machine.units.stop_from_elsewhere(&id());
    pass(&mut machine, 9);
    assert_eq!(machine.units.with_processes(), [id()]);
    pass(&mut machine, 1);
    assert_eq!(causes(&machine), [Some(Cause::StopTimeout)]);
    assert_eq!(state(&machine), Some(RunState::Ended(RunEnd::Stopped)));
}

#[tokio::test]
async fn enabled_units_start_at_boot() {
    let mut machine = machine(Script::runs());
    machine.units.set_enabled(&id(), true).await.unwrap();
    machine.cut_power();
    machine.boot();
    machine.units.start_enabled();
    settle(&mut machine);
    assert_eq!(machine.units.with_processes(), [id()]);
}

#[test]
fn the_next_start_recovers_the_end_of_a_killed_hook_from_the_journal() {
    let second = TimeSpan::from_secs(1);
    for (kept, cause) in [(true, Cause::TimeLimit), (false, Cause::Unknown)] {
        let attempts = vec![ScriptedAttempt { lasts: Some(second), end: ScriptedEnd::TimeLimit }];
        let mut machine = machine(Script { attempts, ..Script::default() });
        machine.units.start_from_elsewhere(&id());
        settle(&mut machine);
        machine.advance(second);
        let call = machine.units.hooks().pop().unwrap();
        assert!(matches!(call.hook, Hook::End(_)));
        machine.kill_hook(&call);
        if !kept {
            machine.lose_journal();
        }
        assert_eq!(causes(&machine), [None]);
        pass(&mut machine, 5);
        assert_eq!(causes(&machine), [Some(cause), None]);
    }
}
