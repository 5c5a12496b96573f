//! Short texts about causes and their proof.

use bij_core::{AttemptEnd, Cause, Evidence, Exit, Limit, PeakSource};
use nix::sys::signal::Signal;

use super::{time, visible};

/// Returns the proof of a cause for a table: `1 process killed for memory, peak 64.0M of 64.0M`.
pub(crate) fn short(end: &AttemptEnd) -> String {
    let evidence = &end.evidence;
    let mut parts = Vec::new();
    match end.cause {
        Cause::Success => {
            parts.extend(kills(evidence).map(|kills| format!("{kills} while it ran")));
        }
        Cause::OomKill => parts.extend(kills(evidence).or_else(|| exit(evidence))),
        Cause::Watchdog => {
            parts.push("no WATCHDOG=1 in time".to_owned());
            parts.extend(exit(evidence));
        }
        Cause::StartFailed => {
            parts.extend(exit(evidence).or_else(|| {
                evidence.service_result.as_ref().map(|result| format!("result {result}"))
            }));
        }
        Cause::StartTimeout => {
            let after = evidence.ran_for.map(|ran| format!(" after {}", time::rough(ran)));
            parts.push(format!("not ready{}", after.unwrap_or_default()));
        }
        Cause::StopTimeout => {
            parts.push("did not stop when asked".to_owned());
            parts.extend(by(evidence));
            parts.extend(exit(evidence));
        }
        Cause::TimeLimit => {
            let limit = evidence.time_limit.map(|limit| format!("ran for {}", time::rough(limit)));
            parts.extend(limit);
        }
        Cause::Stopped | Cause::Heat | Cause::GpuMemory | Cause::Reboot | Cause::ManagerStop => {
            parts.extend(by(evidence));
            parts.extend(exit(evidence).filter(|_| evidence.exit != Some(Exit::Code(0))));
        }
        Cause::PowerLoss => parts.push("the machine ended without a shutdown".to_owned()),
        Cause::Unknown => parts.push("its end was not observed".to_owned()),
        // The exit of the process proves `Exit` and `Signal`, and is what is known of causes that will be added.
        _ => parts.extend(exit(evidence)),
    }
    parts.extend(peak(evidence));
    parts.extend(evidence.left_behind.as_ref().map(ToString::to_string));
    parts.extend(evidence.notes.iter().map(|note| visible(note).into_owned()));
    parts.join(", ")
}

/// Returns a cause with its proof: `oom-kill (peak 64.0M of 64.0M)`.
pub(crate) fn describe_end(end: &AttemptEnd) -> String {
    match short(end).as_str() {
        "" => end.cause.to_string(),
        proof => format!("{} ({proof})", end.cause),
    }
}

/// Returns the name of a signal: `SIGKILL`.
fn signal_name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
}

fn exit(evidence: &Evidence) -> Option<String> {
    Some(match evidence.exit? {
        Exit::Code(code) => match &evidence.exit_meaning {
            Some(meaning) => format!("exit code {code} ({})", visible(meaning)),
            None => format!("exit code {code}"),
        },
        Exit::Signal(signal) => signal_name(signal),
        Exit::CoreDump(signal) => format!("{} (core dumped)", signal_name(signal)),
    })
}

fn kills(evidence: &Evidence) -> Option<String> {
    match evidence.oom_kills? {
        0 => None,
        1 => Some("1 process killed for memory".to_owned()),
        kills => Some(format!("{kills} processes killed for memory")),
    }
}

fn by(evidence: &Evidence) -> Option<String> {
    evidence.order.as_ref().map(|order| format!("by {}", visible(&order.by)))
}

fn peak(evidence: &Evidence) -> Option<String> {
    // A peak of 0 means that the attempt ended before the first sample.
    let peak = evidence.memory_peak.filter(|peak| peak.get() > 0)?;
    let about = match evidence.memory_peak_source {
        Some(PeakSource::Sampled) => "at least ",
        Some(PeakSource::Kernel) | None => "",
    };
    let of = match evidence.memory_max {
        Some(Limit::At(max)) => format!(" of {max}"),
        Some(Limit::Max) | None => String::new(),
    };
    Some(format!("peak {about}{peak}{of}"))
}

#[cfg(test)]
mod tests {
    use bij_core::{Bytes, Order, OrderKind, TimeSpan, Timestamp};

    use super::*;

    fn proof(evidence: Evidence) -> String {
        let cause = evidence.prove();
        let end = AttemptEnd { at: Timestamp::from_micros(0), cause, evidence };
        format!("{cause}: {}", short(&end))
    }

    /// Returns the evidence of an attempt that was up. The struct is non-exhaustive, so it is filled in place.
    fn evidence(fill: impl Fn(&mut Evidence)) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.became_ready = true;
        fill(&mut evidence);
        evidence
    }

    fn at_the_limit(evidence: &mut Evidence) {
        evidence.memory_peak = Some(Bytes::new(64 << 20));
        evidence.memory_max = Some(Limit::At(Bytes::new(64 << 20)));
    }

    #[test]
    fn a_kill_for_memory_is_proved_by_count_and_peak() {
        let killed = evidence(|e| {
            at_the_limit(e);
            (e.oom_kills, e.exit) = (Some(1), Some(Exit::Signal(9)));
        });
        assert_eq!(proof(killed), "oom-kill: 1 process killed for memory, peak 64.0M of 64.0M");
        let survived = evidence(|e| {
            at_the_limit(e);
            (e.oom_kills, e.exit) = (Some(2), Some(Exit::Code(0)));
        });
        assert_eq!(
            proof(survived),
            "success: 2 processes killed for memory while it ran, peak 64.0M of 64.0M"
        );
    }

    #[test]
    fn a_peak_that_was_not_sampled_is_left_out() {
        let quick = evidence(|e| {
            e.exit = Some(Exit::Code(0));
            e.memory_peak = Some(Bytes::new(0));
            e.memory_peak_source = Some(PeakSource::Sampled);
        });
        assert_eq!(proof(quick), "success: ");
    }

    #[test]
    fn a_success_that_left_work_behind_says_so() {
        let left = evidence(|e| {
            e.exit = Some(Exit::Code(0));
            e.left_behind = bij_core::LeftBehind::new(["sh", "sleep"]);
        });
        assert_eq!(proof(left), "success: 2 processes were left behind and killed (sh, sleep)");
    }

    #[test]
    fn other_causes_name_exit_order_or_time() {
        let dumped = evidence(|e| e.exit = Some(Exit::CoreDump(11)));
        assert_eq!(proof(dumped), "signal: SIGSEGV (core dumped)");
        let never_ran = evidence(|e| {
            e.became_ready = false;
            (e.exit, e.exit_meaning) = (Some(Exit::Code(203)), Some("EXEC".to_owned()));
        });
        assert_eq!(proof(never_ran), "start-failed: exit code 203 (EXEC)");
        let stopped = evidence(|e| {
            e.exit = Some(Exit::Signal(15));
            e.order = Some(Order { kind: OrderKind::Stop, by: "alice (uid 1000)".to_owned() });
        });
        assert_eq!(proof(stopped), "stopped: by alice (uid 1000), SIGTERM");
        let never_ready = evidence(|e| {
            e.became_ready = false;
            e.service_result = Some(bij_core::ServiceResult::Timeout);
            e.ran_for = Some(TimeSpan::from_secs(90));
        });
        assert_eq!(proof(never_ready), "start-timeout: not ready after 1min 30s");
    }
}
