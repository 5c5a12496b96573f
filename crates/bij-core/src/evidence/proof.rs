//! The order of proof.
//!
//! `Result=` alone is not the cause. On cgroup v1 an OOM kill reads `signal`; on v2 systemd may see
//! the SIGKILL before the kernel's OOM event; SIGTERM from any sender reads `success`; a process that
//! exits with 1 because it was asked to stop reads `exit-code`. So the strongest evidence comes first:
//!
//! 1. the OOM kills that the kernel (or the supervisor's watcher) counted or, without counters, the kernel's line about
//!    one, unless the attempt ended well;
//! 2. the watchdog, which only PID 1 can have triggered;
//! 3. time-outs, distinguished by readiness, time limit and orders; if the main process had exited by
//!    itself, only the processes that it left behind were late, and its exit counts;
//! 4. an order in force, unless a fault signal such as SIGSEGV, which is not sent to stop a process,
//!    killed it;
//! 5. an attempt found open by the next boot, without a mark of a clean shutdown;
//! 6. a program that was never executed;
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
    oom_kill(evidence)
        .or_else(|| watchdog(evidence))
        .or_else(|| time_out(evidence))
        .or_else(|| order(evidence))
        .or_else(|| power_loss(evidence))
        .or_else(|| start_failure(evidence))
        .unwrap_or_else(|| exit(evidence))
}

fn oom_kill(evidence: &Evidence) -> Option<Cause> {
    // The counters go with the control group; on cgroup v1 only the kernel's line tells an OOM kill from another
    // SIGKILL then.
    let is_logged = || {
        evidence.kernel_line.is_some() && evidence.exit.is_none_or(|exit| exit == Exit::Signal(9))
    };
    let is_counted = evidence.oom_kills.map_or_else(is_logged, |kills| kills > 0);
    let is_reported = evidence.service_result == Some(ServiceResult::OomKill);
    // A killed child of a parent that exits with 0 did not end the attempt.
    let ended_well = evidence.exit == Some(Exit::Code(0)) && !is_reported;
    // An earlier kill of a child is not why the parent exited when it was asked to stop.
    let was_asked =
        evidence.order.is_some() && !matches!(evidence.exit, Some(Exit::Signal(9))) && !is_reported;
    (is_reported || is_counted && !ended_well && !was_asked).then_some(Cause::OomKill)
}

fn watchdog(evidence: &Evidence) -> Option<Cause> {
    (evidence.service_result == Some(ServiceResult::Watchdog)).then_some(Cause::Watchdog)
}

fn time_out(evidence: &Evidence) -> Option<Cause> {
    if evidence.service_result != Some(ServiceResult::Timeout) {
        return None;
    }
    if !evidence.became_ready {
        return Some(Cause::StartTimeout);
    }
    if evidence.left_by_itself && matches!(evidence.exit, Some(Exit::Code(_))) {
        return None;
    }
    // A slow stop for heat or shutdown keeps the cause of its order, which does not end the run.
    if evidence.order.as_ref().is_some_and(|order| order.kind != OrderKind::Stop) {
        return None;
    }
    let over = |limit| evidence.ran_for.is_some_and(|ran| ran >= limit);
    if evidence.order.is_none() && evidence.time_limit.is_some_and(over) {
        return Some(Cause::TimeLimit);
    }
    Some(Cause::StopTimeout)
}

fn order(evidence: &Evidence) -> Option<Cause> {
    let Order { kind, by: _ } = evidence.order.as_ref()?;
    if evidence.exit.and_then(Exit::signal).is_some_and(is_fault) {
        return None;
    }
    Some(kind.cause())
}

fn power_loss(evidence: &Evidence) -> Option<Cause> {
    let Evidence { witness, exit, service_result, .. } = evidence;
    let is_unobserved = exit.is_none() && service_result.is_none();
    (*witness == Some(Witness::NextBoot) && is_unobserved).then_some(Cause::PowerLoss)
}

/// Returns whether a signal reports a fault of the process itself.
fn is_fault(signal: i32) -> bool {
    matches!(signal, SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGSYS | SIGQUIT)
}

fn start_failure(evidence: &Evidence) -> Option<Cause> {
    use ServiceResult::{ExecCondition, Protocol, Resources, StartLimitHit};
    match (&evidence.service_result, evidence.exit) {
        (Some(Resources | Protocol | StartLimitHit | ExecCondition), _) => Some(Cause::StartFailed),
        (Some(result), None) if *result != ServiceResult::Success => Some(Cause::StartFailed),
        (_, Some(exit)) if exit.is_systemd_status() && !evidence.became_ready => {
            Some(Cause::StartFailed)
        }
        _ => None,
    }
}

fn exit(evidence: &Evidence) -> Cause {
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
