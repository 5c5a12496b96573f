//! Attempts for tests of ledgers, made from small numbers.

use bij_core::port::{Closing, Opening};
use bij_core::{
    AttemptEnd, AttemptKey, BootId, Cause, Evidence, Exit, ExperimentId, InvocationId, Order,
    OrderKind, Progress, ServiceResult, StartKind, TimeSpan, Timestamp, Uptime, Witness,
};

/// Returns the id of a boot.
pub const fn boot(number: u8) -> BootId {
    BootId::from_bytes([number; 16])
}

/// Returns the key of an attempt.
pub const fn key(boot_number: u8, invocation: u32) -> AttemptKey {
    let [a, b, c, d] = invocation.to_be_bytes();
    let bytes = [0xb1, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d];
    AttemptKey { boot: boot(boot_number), invocation: InvocationId::from_bytes(bytes) }
}

/// Returns the id of an experiment.
///
/// # Panics
/// If the name is not a valid id.
pub fn experiment(name: &str) -> ExperimentId {
    name.parse().expect("the contract names experiments as they may be named")
}

/// Returns the time this many seconds after 2026-11-23 22:00 UTC.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_795_471_200 + seconds) * 1_000_000)
}

/// Returns the opening of a requested start.
pub fn fresh(name: &str, boot_number: u8, invocation: u32) -> Opening {
    Opening {
        experiment: experiment(name),
        key: key(boot_number, invocation),
        at: at(i64::from(invocation)),
        uptime: Some(Uptime::from_secs(invocation)),
        start: StartKind::Fresh,
    }
}

/// Returns the opening of an automatic restart after a crash.
pub fn restart(name: &str, boot_number: u8, invocation: u32) -> Opening {
    Opening { start: StartKind::Restart, ..fresh(name, boot_number, invocation) }
}

/// Returns the end of the attempt that `opening` opened, ten seconds later.
pub fn end(opening: &Opening, evidence: Evidence) -> Closing {
    let later = opening.at + TimeSpan::from_secs(10);
    let restarts = u32::from(opening.start == StartKind::Restart);
    let evidence = {
        let mut evidence = evidence;
        evidence.restarts = Some(restarts);
        evidence
    };
    Closing {
        experiment: opening.experiment.clone(),
        key: opening.key,
        ready: Some(opening.at + TimeSpan::from_micros(1)),
        end: AttemptEnd { at: later, cause: evidence.prove(), evidence },
        started: opening.at,
    }
}

/// Returns the evidence of a hook for a process with this end.
pub fn evidence(result: ServiceResult, exit: Exit) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.witness = Some(Witness::Hook);
    evidence.service_result = Some(result);
    evidence.exit = Some(exit);
    evidence.became_ready = true;
    evidence
}

/// Returns the evidence of a success.
pub fn success() -> Evidence {
    evidence(ServiceResult::Success, Exit::Code(0))
}

/// Returns the evidence of an exit with this code.
pub fn exit(code: i32) -> Evidence {
    evidence(ServiceResult::ExitCode, Exit::Code(code))
}

/// Returns the evidence of a kill for memory.
pub fn oom_kill() -> Evidence {
    let mut evidence = evidence(ServiceResult::OomKill, Exit::Signal(9));
    evidence.oom_kills = Some(1);
    evidence
}

/// Returns the evidence of a crash by SIGSEGV.
pub fn segfault() -> Evidence {
    evidence(ServiceResult::Signal, Exit::Signal(11))
}

/// Returns the evidence of an ordered stop.
pub fn ordered(kind: OrderKind) -> Evidence {
    let mut evidence = evidence(ServiceResult::Success, Exit::Signal(15));
    evidence.order = Some(Order { kind, by: "the contract".to_owned() });
    evidence
}

/// Adds progress with a checkpoint to evidence.
pub fn with_checkpoint(step: u64, evidence: Evidence) -> Evidence {
    let mut evidence = evidence;
    evidence.progress = Some(Progress {
        step: Some(step),
        total: Some(100),
        text: None,
        checkpoint: Some(format!("step-{step}.ckpt")),
    });
    evidence
}

/// Returns evidence for every cause that an exit can prove, with the cause.
pub fn ways_to_end() -> Vec<(Cause, Evidence)> {
    let all = [
        success(),
        exit(1),
        segfault(),
        oom_kill(),
        evidence(ServiceResult::Watchdog, Exit::Signal(6)),
        ordered(OrderKind::Stop),
        ordered(OrderKind::Shutdown),
        Evidence::default(),
    ];
    all.into_iter().map(|evidence| (evidence.prove(), evidence)).collect()
}
