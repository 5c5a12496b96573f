//! The end of an attempt, as its service manager recorded it in the journal, and the processes that it killed.

use bij_core::{
    Bytes, Evidence, Exit, InvocationId, Order, OrderKind, PeakSource, ServiceResult, Timestamp,
    Witness,
};

use super::record::{Record, message_id as id};
use super::trust::TrustedWriters;

/// The end of an attempt, recovered from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEnd {
    /// When the attempt ended.
    pub at: Timestamp,
    /// When the unit became active; `None` if it never did.
    pub ready: Option<Timestamp>,
    /// The evidence in the records; its witness is the journal.
    pub evidence: Evidence,
}

/// Returns the journalctl arguments that select the manager's records of an attempt.
pub(super) fn arguments(trust: TrustedWriters, invocation: InvocationId) -> Vec<String> {
    let options = ["-o", "json", "--all", "--quiet", "--no-pager"].map(ToOwned::to_owned);
    options.into_iter().chain(trust.manager_matches(invocation)).collect()
}

/// Reads the records of an attempt, oldest first; `None` if none of them records its end.
pub(crate) fn read(records: &[Record]) -> Option<JournalEnd> {
    let mut evidence = Evidence::default();
    evidence.witness = Some(Witness::Journal);
    let (mut ready, mut ended, mut clean) = (None, None, CleanExit::default());
    for record in records {
        clean.note(record, ended.is_some());
        let moment = record.at().zip(record.monotonic());
        if record.is(id::STARTED) {
            ready =
                ready.or(moment.filter(|_| record.text("JOB_RESULT").as_deref() == Some("done")));
        } else if record.is(id::STOPPING) && ended.is_none() {
            // An automatic restart logs "stopping" as well, but only after the end; it is no order.
            evidence.order =
                Some(Order { kind: OrderKind::Stop, by: "systemd job stop".to_owned() });
        } else if apply_record(record, &mut evidence) {
            ended = ended.or(moment);
        }
    }
    let (at, stopped) = ended?;
    clean.conclude(&mut evidence);
    evidence.became_ready = ready.is_some();
    evidence.ran_for = ready.and_then(|(_, up)| stopped.since(up));
    Some(JournalEnd { at, ready: ready.map(|(at, _)| at), evidence })
}

/// Signs of an exit that the manager considered clean and did not log.
#[derive(Default)]
struct CleanExit {
    /// The signal that a client had the manager send to the main process.
    sent: Option<i32>,
    /// Whether systemd scheduled a restart.
    restarted: bool,
}

impl CleanExit {
    fn note(&mut self, record: &Record, ended: bool) {
        if record.is(id::RESTART_SCHEDULED) {
            self.restarted = true;
        } else if !ended
            && let Some(signal) = record.text("MESSAGE").as_deref().and_then(parse_sent_signal)
        {
            self.sent = Some(signal);
        }
    }

    /// Adds the exit of a main process that systemd counts as clean and does not log: exit code 0 or 75, or a
    /// termination signal. A signal sent without a stop order (`systemctl kill`) and a restart are no success.
    fn conclude(self, evidence: &mut Evidence) {
        let open = evidence.exit.is_none() && evidence.order.is_none();
        if !open || evidence.service_result != Some(ServiceResult::Success) {
            return;
        }
        let (exit, why) = match self {
            Self { sent: Some(signal), .. } => {
                (Exit::Signal(signal), "a client requested the signal")
            }
            Self { restarted: true, .. } => (Exit::Code(EX_TEMPFAIL), "it was restarted"),
            Self { sent: None, restarted: false } => return,
        };
        evidence.exit = Some(exit);
        evidence.notes.push(format!("systemd did not log the exit; {why}"));
    }
}

/// "Checkpointed, resume me" (sysexits.h(3head)): the only clean exit that the template restarts.
const EX_TEMPFAIL: i32 = 75;

/// Returns the signal from a message of systemd since 249: `Sent signal SIGTERM to main process 7 (sh) on client
/// request.` Only signals that count as a clean exit are recognised.
fn parse_sent_signal(message: &str) -> Option<i32> {
    let (_, rest) = message.split_once(": Sent signal SIG")?;
    let (name, rest) = rest.split_once(' ')?;
    if !rest.starts_with("to main process ") {
        return None;
    }
    ["HUP", "INT", "PIPE", "TERM"]
        .into_iter()
        .zip([1, 2, 13, 15])
        .find_map(|(known, number)| (known == name).then_some(number))
}

/// Adds the evidence of one record; returns `true` if it records an end.
///
/// When the start limit is hit, systemd logs the failure again under the same invocation id, so the first
/// record of each fact counts.
fn apply_record(record: &Record, evidence: &mut Evidence) -> bool {
    if record.is(id::PROCESS_EXIT) {
        // Hooks are processes of the unit too; only `ExecStart` is the experiment.
        if record.text("COMMAND").as_deref() == Some("ExecStart") {
            evidence.exit = evidence.exit.or_else(|| exit(record));
            return true;
        }
        return false;
    }
    if record.is(id::FAILURE_RESULT) {
        let result = record.text("UNIT_RESULT").map(ServiceResult::from);
        evidence.service_result = evidence.service_result.take().or(result);
        return true;
    }
    if record.is(id::SUCCESS) {
        evidence.service_result = evidence.service_result.take().or(Some(ServiceResult::Success));
        return true;
    }
    if record.is(id::OUT_OF_MEMORY) {
        // A child may be killed while the experiment runs on, so this alone is no end.
        evidence.oom_kills = Some(evidence.oom_kills.unwrap_or_default() + 1);
    } else if record.is(id::OOMD_KILL) {
        evidence.notes.push("systemd-oomd killed it for memory pressure".to_owned());
    } else if record.is(id::RESOURCES) {
        evidence.cpu_usage_nsec = evidence.cpu_usage_nsec.or(record.number("CPU_USAGE_NSEC"));
        if let Some(peak) = record.number("MEMORY_PEAK") {
            evidence.memory_peak = Some(Bytes::new(peak));
            evidence.memory_peak_source = Some(PeakSource::Kernel);
        }
    }
    record.is(id::RESTART_SCHEDULED)
}

fn exit(record: &Record) -> Option<Exit> {
    let status = record.number("EXIT_STATUS")?;
    match record.text("EXIT_CODE")?.as_str() {
        "exited" => Some(Exit::Code(status)),
        "killed" => Some(Exit::Signal(status)),
        "dumped" => Some(Exit::CoreDump(status)),
        _ => None,
    }
}

/// Returns the names of the killed processes, in the order of the records.
///
/// A process chooses its own name, which may contain anything but a NUL; the text before and behind it is the
/// manager's.
pub(super) fn killed_processes(records: &[Record]) -> Vec<String> {
    let message = |record: &Record| record.text("MESSAGE");
    records.iter().filter_map(message).filter_map(|message| killed_process(&message)).collect()
}

/// Returns the name in `brain-experiment@x.service: Killing process 123 (sleep) with signal SIGKILL.` (`log_kill` of
/// systemd's unit.c).
fn killed_process(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(": Killing process ")?;
    let (pid, rest) = rest.split_once(" (")?;
    let name = rest.strip_suffix(") with signal SIGKILL.")?;
    let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    let shown = || name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    is_pid.then(shown)
}

#[cfg(test)]
mod tests {
    use bij_core::{Cause, TimeSpan};

    use super::*;

    /// Builds records that are one second apart.
    fn records(fields: &[&[(&str, &str)]]) -> Vec<Record> {
        let record = |(at, fields): (usize, &&[(&str, &str)])| {
            let micros = ((at + 1) * 1_000_000).to_string();
            let clocks = ["__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP"];
            let clocks = clocks.map(|name| (name, micros.as_str()));
            let all: serde_json::Map<String, serde_json::Value> = fields
                .iter()
                .copied()
                .chain(clocks)
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            Record::parse(&serde_json::to_vec(&all).unwrap()).unwrap()
        };
        fields.iter().enumerate().map(record).collect()
    }

    const STARTED: &[(&str, &str)] = &[("MESSAGE_ID", id::STARTED), ("JOB_RESULT", "done")];
    const STOPPING: &[(&str, &str)] = &[("MESSAGE_ID", id::STOPPING)];
    const FAILED: &[(&str, &str)] =
        &[("MESSAGE_ID", id::FAILURE_RESULT), ("UNIT_RESULT", "signal")];
    const RESTART: &[(&str, &str)] = &[("MESSAGE_ID", id::RESTART_SCHEDULED)];
    const KILLED: &[(&str, &str)] = &[
        ("MESSAGE_ID", id::PROCESS_EXIT),
        ("EXIT_CODE", "killed"),
        ("EXIT_STATUS", "11"),
        ("COMMAND", "ExecStart"),
    ];
    const HOOK_KILLED: &[(&str, &str)] = &[
        ("MESSAGE_ID", id::PROCESS_EXIT),
        ("EXIT_CODE", "killed"),
        ("EXIT_STATUS", "9"),
        ("COMMAND", "ExecStopPost"),
    ];

    #[test]
    fn a_killed_hook_is_not_the_end_of_the_experiment() {
        let end = read(&records(&[STARTED, KILLED, HOOK_KILLED, FAILED, RESTART])).unwrap();
        assert_eq!(end.evidence.exit, Some(Exit::Signal(11)));
        assert_eq!(end.evidence.service_result, Some(ServiceResult::Signal));
        assert_eq!(end.evidence.ran_for, Some(TimeSpan::from_secs(1)));
        assert_eq!(end.ready, Some(Timestamp::from_micros(1_000_000)));
        assert_eq!(end.at, Timestamp::from_micros(2_000_000));
        assert_eq!(end.evidence.prove(), Cause::Signal);
    }

    #[test]
    fn a_failure_that_is_logged_again_at_the_start_limit_counts_once() {
        let again: &[(&str, &str)] =
            &[("MESSAGE_ID", id::FAILURE_RESULT), ("UNIT_RESULT", "start-limit-hit")];
        let end = read(&records(&[STARTED, KILLED, FAILED, RESTART, again])).unwrap();
        assert_eq!(end.evidence.service_result, Some(ServiceResult::Signal));
    }

    #[test]
    fn a_stop_counts_as_an_order_only_before_the_end() {
        let success: &[(&str, &str)] = &[("MESSAGE_ID", id::SUCCESS)];
        let stopped = read(&records(&[STARTED, STOPPING, success])).unwrap();
        assert_eq!(stopped.evidence.prove(), Cause::Stopped);
        let restarted = read(&records(&[STARTED, KILLED, FAILED, RESTART, STOPPING])).unwrap();
        assert_eq!(restarted.evidence.order, None);
    }

    #[test]
    fn a_clean_exit_that_systemd_did_not_log_is_not_always_a_success() {
        let success: &[(&str, &str)] = &[("MESSAGE_ID", id::SUCCESS)];
        let sent = |who: &str| {
            format!(
                "brain-experiment@x.service: Sent signal SIGTERM to {who} 7 (sh) on client request."
            )
        };
        let (main, child) = (sent("main process"), sent("control process"));
        let (main, child): (&[_], &[_]) = (&[("MESSAGE", &*main)], &[("MESSAGE", &*child)]);
        let end = |records: &[&[(&str, &str)]]| read(&self::records(records)).unwrap().evidence;

        assert_eq!(end(&[STARTED, success]).prove(), Cause::Success);
        assert_eq!(end(&[STARTED, child, success]).prove(), Cause::Success);
        let killed = end(&[STARTED, main, success]);
        assert_eq!((killed.exit, killed.prove()), (Some(Exit::Signal(15)), Cause::Signal));
        let resumed = end(&[STARTED, success, RESTART]);
        assert_eq!((resumed.exit, resumed.prove()), (Some(Exit::Code(75)), Cause::Exit));
        assert_eq!(end(&[STARTED, STOPPING, main, success]).prove(), Cause::Stopped);
        assert_eq!(end(&[STARTED, main, KILLED, FAILED]).exit, Some(Exit::Signal(11)));
    }

    #[test]
    fn oom_kills_are_counted_and_a_killed_child_is_no_end() {
        let oom: &[(&str, &str)] = &[("MESSAGE_ID", id::OUT_OF_MEMORY)];
        assert_eq!(read(&records(&[STARTED, oom])), None);
        let end = read(&records(&[STARTED, oom, KILLED, FAILED])).unwrap();
        assert_eq!(end.evidence.oom_kills, Some(1));
        assert_eq!(end.evidence.prove(), Cause::OomKill);
    }

    #[test]
    fn only_the_manager_is_heard() {
        let invocation = InvocationId::from_bytes([7; 16]);
        let system = arguments(TrustedWriters::System, invocation);
        assert_eq!(system[5..], ["_PID=1", "INVOCATION_ID=07070707070707070707070707070707"]);
        let user =
            arguments(TrustedWriters::User { uid: nix::unistd::Uid::from_raw(1000) }, invocation);
        let attempt = "USER_INVOCATION_ID=07070707070707070707070707070707";
        assert_eq!(user[5..], ["_UID=1000", "_SYSTEMD_USER_UNIT=init.scope", attempt]);
    }

    #[test]
    fn the_name_of_a_killed_process_is_read_from_the_message() {
        let message = |text: &str| format!("brain-experiment@x.service: {text}");
        let read = |text: &str| killed_process(&message(text));
        assert_eq!(
            read("Killing process 123 (sleep) with signal SIGKILL."),
            Some("sleep".to_owned())
        );
        assert_eq!(
            read("Killing process 7 (a) (b\u{1b}) with signal SIGKILL."),
            Some("a) (b ".to_owned())
        );
        for other in [
            "Killing process 123 (sleep) with signal SIGTERM.",
            "Killing process x (sleep) with signal SIGKILL.",
            "State 'stop-sigterm' timed out. Killing.",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
