//! An attempt's end in one sentence for people.

use bij_core::{
    AttemptEnd, AttemptNumber, Bytes, Cause, Evidence, Exit, Limit, RunId, TimeSpan, Timestamp,
};

use crate::exit_status::signal_name;

/// Returns a sentence such as `attempt 2 of amnesiac_001#1 died: killed for memory at 64.0M of 64.0M after 12s`.
pub(crate) fn describe_end(
    run: &RunId,
    number: AttemptNumber,
    end: &AttemptEnd,
    started: Timestamp,
) -> String {
    let verb = if end.is_crash() { "died" } else { "ended" };
    let ran = end.ran_for(started);
    let after = ran.map_or_else(String::new, |ran| format!(" after {}", rounded(ran)));
    let left = end.evidence.left_behind.as_ref().map(|left| format!("; {left}"));
    let left = left.unwrap_or_default();
    format!(
        "attempt {number} of {run} {verb}: {}{after}{left}",
        describe_cause(end.cause, &end.evidence)
    )
}

fn describe_cause(cause: Cause, evidence: &Evidence) -> String {
    let ordered = |what: &str| match &evidence.order {
        Some(order) => format!("{what} ({})", order.by),
        None => what.to_owned(),
    };
    match cause {
        Cause::Success if evidence.oom_kills.is_some_and(|kills| kills > 0) => {
            "success, though the kernel killed a child of it for memory".to_owned()
        }
        Cause::Success => "success".to_owned(),
        Cause::Exit => match evidence.exit {
            Some(Exit::Code(75)) => "left to be resumed (exit code 75)".to_owned(),
            Some(Exit::Code(78)) => "left for good (exit code 78)".to_owned(),
            exit => format!("exit code {}", exit.and_then(Exit::code).unwrap_or_default()),
        },
        Cause::Signal => match evidence.exit {
            Some(Exit::CoreDump(signal)) => format!("{}, core dumped", signal_name(signal)),
            exit => exit.and_then(Exit::signal).map_or("a signal".to_owned(), signal_name),
        },
        Cause::OomKill => format!("killed for memory{}", memory(evidence)),
        Cause::Watchdog => "silent for longer than its watchdog allows".to_owned(),
        Cause::StartFailed => {
            let Evidence { notes, exit_meaning, service_result, .. } = evidence;
            match (notes.first(), exit_meaning, service_result) {
                (Some(reason), ..) => format!("could not be started: {reason}"),
                (None, Some(meaning), _) => format!("could not be started ({meaning})"),
                (None, None, Some(result)) => format!("could not be started (result {result})"),
                (None, None, None) => "could not be started".to_owned(),
            }
        }
        Cause::StartTimeout => "did not say in time that it was ready".to_owned(),
        Cause::StopTimeout => ordered("did not leave in time and was killed"),
        Cause::TimeLimit => "reached its time limit".to_owned(),
        Cause::Stopped => ordered("stopped"),
        Cause::Heat => ordered("the board was too hot"),
        Cause::GpuMemory => ordered("used more of the GPU's memory than it may"),
        Cause::Reboot => "the machine was shut down".to_owned(),
        Cause::ManagerStop => "the user's service manager was stopped".to_owned(),
        Cause::PowerLoss => "the machine lost power or crashed".to_owned(),
        Cause::Unknown => "no witness says how".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the known part of ` at 64.0M of 64.0M`.
fn memory(evidence: &Evidence) -> String {
    let of_limit = |limit: Limit<Bytes>| limit.at().map(|max| format!(" of {max}"));
    match (evidence.memory_peak, evidence.memory_max.and_then(of_limit)) {
        (Some(peak), Some(limit)) => format!(" at {peak}{limit}"),
        (Some(peak), None) => format!(" at {peak}"),
        (None, Some(limit)) => format!(" at the limit{limit}"),
        (None, None) => String::new(),
    }
}

/// Rounds a span down to seconds, or to milliseconds if it is shorter than a second.
fn rounded(span: TimeSpan) -> TimeSpan {
    let second = TimeSpan::from_secs(1);
    span.truncated_to(if span >= second { second } else { TimeSpan::from_millis(1) })
}

#[cfg(test)]
mod tests {
    use bij_core::{LeftBehind, Order, OrderKind};

    use super::*;

    fn described(cause: Cause, change: impl FnOnce(&mut Evidence)) -> String {
        let mut evidence = Evidence::default();
        evidence.ran_for = Some(TimeSpan::from_micros(12_345_678));
        change(&mut evidence);
        let end = AttemptEnd { at: Timestamp::from_micros(0), cause, evidence };
        let run = "amnesiac_001#1".parse().unwrap();
        describe_end(&run, AttemptNumber(2), &end, Timestamp::from_micros(0))
    }

    #[test]
    fn an_oom_kill_is_described_with_its_numbers() {
        let text = described(Cause::OomKill, |evidence| {
            evidence.memory_peak = Some(Bytes::new(64 << 20));
            evidence.memory_max = Some(Limit::At(Bytes::new(64 << 20)));
        });
        assert_eq!(
            text,
            "attempt 2 of amnesiac_001#1 died: killed for memory at 64.0M of 64.0M after 12s"
        );
    }

    #[test]
    fn processes_left_behind_are_named_beside_the_cause() {
        let text = described(Cause::Success, |evidence| {
            evidence.left_behind = LeftBehind::new(["sh", "sleep"]);
        });
        assert_eq!(
            text,
            "attempt 2 of amnesiac_001#1 ended: success after 12s; 2 processes were left behind and killed \
             (sh, sleep)"
        );
    }

    #[test]
    fn every_cause_has_a_description() {
        let stopped = described(Cause::Stopped, |evidence| {
            let by = "systemd job stop".to_owned();
            evidence.order = Some(Order { kind: OrderKind::Stop, by });
        });
        assert_eq!(
            stopped,
            "attempt 2 of amnesiac_001#1 ended: stopped (systemd job stop) after 12s"
        );
        let signal = described(Cause::Signal, |evidence| evidence.exit = Some(Exit::CoreDump(11)));
        assert!(signal.ends_with("died: SIGSEGV, core dumped after 12s"), "{signal}");
        let resumed = described(Cause::Exit, |evidence| evidence.exit = Some(Exit::Code(75)));
        assert!(resumed.contains("ended: left to be resumed"), "{resumed}");
        for cause in Cause::ALL {
            assert!(described(*cause, |_| {}).len() > 40, "{cause}");
        }
    }
}
