//! Attempts to try a ledger with: made from small numbers.

use bij_core::port::{Closing, Opening};
use bij_core::{
    AttemptEnd, AttemptKey, BootId, Cause, Evidence, Exit, ExperimentId, InvocationId, Order,
    OrderKind, Progress, ServiceResult, StartKind, TimeSpan, Timestamp, Witness,
};

/// A boot.
pub const fn boot(number: u8) -> BootId {
    BootId::from_bytes([number; 16])
}

/// An attempt's key.
pub const fn key(boot_number: u8, invocation: u32) -> AttemptKey {
    let [a, b, c, d] = invocation.to_be_bytes();
    let bytes = [0xb1, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d];
    AttemptKey { boot: boot(boot_number), invocation: InvocationId::from_bytes(bytes) }
}

/// An experiment's id.
///
/// # Panics
/// If the name is none.
pub fn experiment(name: &str) -> ExperimentId {
    name.parse().expect("the contract names experiments as they may be named")
}

/// So many seconds after 2026-11-23 22:00 UTC.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_795_471_200 + seconds) * 1_000_000)
}

/// A start that somebody asked for.
pub fn fresh(name: &str, boot_number: u8, invocation: u32) -> Opening {
    Opening {
        experiment: experiment(name),
        key: key(boot_number, invocation),
        at: at(i64::from(invocation)),
        uptime: Some(TimeSpan::from_secs(invocation)),
        start: StartKind::Fresh,
    }
}

/// A start by the supervisor after a crash.
pub fn restart(name: &str, boot_number: u8, invocation: u32) -> Opening {
    Opening { start: StartKind::Restart, ..fresh(name, boot_number, invocation) }
}

/// The end of what `opening` opened, ten seconds later.
pub fn end(opening: &Opening, evidence: Evidence) -> Closing {
    let later = Timestamp::from_micros(opening.at.as_micros() + 10_000_000);
    let restarts = u32::from(opening.start == StartKind::Restart);
    let evidence = {
        let mut evidence = evidence;
        evidence.restarts = Some(restarts);
        evidence
    };
    Closing {
        experiment: opening.experiment.clone(),
        key: opening.key,
        ready: Some(Timestamp::from_micros(opening.at.as_micros() + 1)),
        end: AttemptEnd { at: later, cause: evidence.prove(), evidence },
        started: opening.at,
    }
}

/// What the hook saw of a process that ended so.
pub fn seen(result: ServiceResult, exit: Exit) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.witness = Some(Witness::Hook);
    evidence.service_result = Some(result);
    evidence.exit = Some(exit);
    evidence.became_ready = true;
    evidence
}

/// It was done.
pub fn success() -> Evidence {
    seen(ServiceResult::Success, Exit::Code(0))
}

/// It left with this code.
pub fn exit(code: i32) -> Evidence {
    seen(ServiceResult::ExitCode, Exit::Code(code))
}

/// It was killed for memory.
pub fn oom_kill() -> Evidence {
    let mut evidence = seen(ServiceResult::OomKill, Exit::Signal(9));
    evidence.oom_kills = Some(1);
    evidence
}

/// It crashed by itself.
pub fn segfault() -> Evidence {
    seen(ServiceResult::Signal, Exit::Signal(11))
}

/// Somebody ended it.
pub fn ordered(kind: OrderKind) -> Evidence {
    let mut evidence = seen(ServiceResult::Success, Exit::Signal(15));
    evidence.order = Some(Order { kind, by: "the contract".to_owned() });
    evidence
}

/// It got so far before.
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

/// Evidence for every cause that an exit can prove, with the cause.
pub fn ways_to_end() -> Vec<(Cause, Evidence)> {
    let all = [
        success(),
        exit(1),
        segfault(),
        oom_kill(),
        seen(ServiceResult::Watchdog, Exit::Signal(6)),
        ordered(OrderKind::Stop),
        ordered(OrderKind::Shutdown),
        Evidence::default(),
    ];
    all.into_iter().map(|evidence| (evidence.prove(), evidence)).collect()
}
