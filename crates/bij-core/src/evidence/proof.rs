//! The order of proof.
//!
//! `Result=` alone is not the cause. On cgroup v1 an OOM kill reads `signal`; on v2 systemd may see
//! the SIGKILL before the kernel's OOM event; SIGTERM from anyone reads `success`; a process that
//! exits 1 because it was asked to stop reads `exit-code`. So the strongest witness is heard first:
//!
//! 1. the kernel's (or the watcher's) count of kills for memory, unless all ended well;
//! 2. the watchdog, which only PID 1 can have raised;
//! 3. time-outs, told apart by whether the attempt was up, by its time limit and by orders; if the main
//!    process had left by itself, only what it left behind was late, and its exit counts;
//! 4. orders in force: shutdown of the machine, then stop, unless a signal nobody sends to stop a
//!    process (SIGSEGV and its kin) killed it;
//! 5. the next boot, which found the attempt open and nobody to say that this boot was shut down;
//! 6. never having run;
//! 7. the exit itself.

use super::{Evidence, Exit, Order, OrderKind, Witness};
use crate::{Cause, ServiceResult};

const SIGQUIT: i32 = 3;
const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;
const SIGSYS: i32 = 31;

pub(super) fn prove(evidence: &Evidence) -> Cause {
    killed_for_memory(evidence)
        .or_else(|| fell_silent(evidence))
        .or_else(|| ran_out_of_time(evidence))
        .or_else(|| was_ordered(evidence))
        .or_else(|| went_with_its_boot(evidence))
        .or_else(|| never_ran(evidence))
        .unwrap_or_else(|| by_exit(evidence))
}

fn killed_for_memory(evidence: &Evidence) -> Option<Cause> {
    let counted = evidence.oom_kills.is_some_and(|kills| kills > 0);
    let said = evidence.service_result == Some(ServiceResult::OomKill);
    // A killed child under a parent that ends well did not end the attempt.
    let ended_well = evidence.exit == Some(Exit::Code(0)) && !said;
    // A child's earlier death is not why the parent left when it was asked to.
    let asked =
        evidence.order.is_some() && !matches!(evidence.exit, Some(Exit::Signal(9))) && !said;
    (said || counted && !ended_well && !asked).then_some(Cause::OomKill)
}

fn fell_silent(evidence: &Evidence) -> Option<Cause> {
    (evidence.service_result == Some(ServiceResult::Watchdog)).then_some(Cause::Watchdog)
}

fn ran_out_of_time(evidence: &Evidence) -> Option<Cause> {
    if evidence.service_result != Some(ServiceResult::Timeout) {
        return None;
    }
    if !evidence.became_ready {
        return Some(Cause::StartTimeout);
    }
    if evidence.left_by_itself && matches!(evidence.exit, Some(Exit::Code(_))) {
        return None;
    }
    // Who is slow to leave is stopped for the same reason as everybody: that is no end of a run.
    if evidence.order.as_ref().is_some_and(|order| order.kind != OrderKind::Stop) {
        return None;
    }
    let over = |limit| evidence.ran_for.is_some_and(|ran| ran >= limit);
    if evidence.order.is_none() && evidence.time_limit.is_some_and(over) {
        return Some(Cause::TimeLimit);
    }
    Some(Cause::StopTimeout)
}

fn was_ordered(evidence: &Evidence) -> Option<Cause> {
    let Order { kind, by: _ } = evidence.order.as_ref()?;
    if evidence.exit.and_then(Exit::signal).is_some_and(is_fault) {
        return None;
    }
    Some(kind.cause())
}

fn went_with_its_boot(evidence: &Evidence) -> Option<Cause> {
    let Evidence { witness, exit, service_result, .. } = evidence;
    let alone = exit.is_none() && service_result.is_none();
    (*witness == Some(Witness::NextBoot) && alone).then_some(Cause::PowerLoss)
}

/// Signals that a process brings upon itself.
fn is_fault(signal: i32) -> bool {
    matches!(signal, SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGSYS | SIGQUIT)
}

fn never_ran(evidence: &Evidence) -> Option<Cause> {
    use ServiceResult::{ExecCondition, Protocol, Resources, StartLimitHit};
    match (&evidence.service_result, evidence.exit) {
        (Some(Resources | Protocol | StartLimitHit | ExecCondition), _) => Some(Cause::StartFailed),
        (Some(result), None) if *result != ServiceResult::Success => Some(Cause::StartFailed),
        (_, Some(exit)) if exit.is_of_systemd() && !evidence.became_ready => {
            Some(Cause::StartFailed)
        }
        _ => None,
    }
}

fn by_exit(evidence: &Evidence) -> Cause {
    match evidence.exit {
        Some(Exit::Code(0)) => Cause::Success,
        Some(Exit::Code(_)) => Cause::Exit,
        Some(Exit::Signal(_) | Exit::CoreDump(_)) => Cause::Signal,
        None => match &evidence.service_result {
            Some(ServiceResult::Success) => Cause::Success,
            _ => Cause::Unknown,
        },
    }
}

#[cfg(test)]
mod tests;
