//! Tests of [`Journal`] over a script in the place of journalctl.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bij_core::{BootId, InvocationId};

use super::*;

fn journal(dir: &Path, script: &str) -> Journal {
    let program = dir.join("journalctl");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Journal::with_program(program.to_str().unwrap().to_owned())
}

fn record_json(unit: &str, text: &str) -> String {
    format!(
        r#"{{"__REALTIME_TIMESTAMP":"5","__CURSOR":"c-{text}","_SYSTEMD_UNIT":"{unit}","MESSAGE":"{text}"}}"#
    )
}

const UNIT: &str = "brain-experiment@x.service";
const NOW: fn() -> Timestamp = || Timestamp::from_micros(0);

#[test]
fn following_continues_after_the_backlog_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new, other) =
        (record_json(UNIT, "old"), record_json(UNIT, "new"), record_json("ssh.service", "other"));
    let script = format!(
        "case \"$*\" in\n*--follow*--after-cursor=c-old*) echo '{other}'; echo '{new}'; exec sleep 600;;\n\
         *--unit=*) echo '{old}';;\nesac"
    );
    let query = JournalQuery { follow: true, ..JournalQuery::default() };
    let mut lines = journal(dir.path(), &script).lines(&query, NOW()).unwrap();
    assert_eq!(lines.next().unwrap().unwrap().text, "old");
    assert_eq!(lines.next().unwrap().unwrap().text, "new");
    lines.stopper().stop();
    assert!(lines.next().is_none());
}

#[test]
fn a_query_that_is_stopped_in_its_backlog_does_not_follow() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("echo '{}'; exec sleep 600", record_json(UNIT, "old"));
    let query = JournalQuery { follow: true, ..JournalQuery::default() };
    let mut lines = journal(dir.path(), &script).lines(&query, NOW()).unwrap();
    assert_eq!(lines.next().unwrap().unwrap().text, "old");
    lines.stopper().stop();
    assert!(lines.next().is_none());
}

#[test]
fn a_complaint_of_journalctl_is_an_error_but_an_empty_result_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let complains = journal(dir.path(), "echo 'Failed to parse timestamp: soon' >&2; exit 1");
    let mut lines = complains.lines(&JournalQuery::default(), NOW()).unwrap();
    let error = lines.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "journalctl failed: Failed to parse timestamp: soon");
    assert!(lines.next().is_none());
    let silent = journal(dir.path(), "exit 1");
    assert!(silent.lines(&JournalQuery::default(), NOW()).unwrap().next().is_none());
    let denied = "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1";
    let denied = journal(dir.path(), denied);
    let error = denied.lines(&JournalQuery::default(), NOW()).unwrap().next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "no permission to read the journal");
    let script = "echo 'Failed to add filter for units: No data available' >&2; exit 1";
    let never = journal(dir.path(), script);
    assert!(never.lines(&JournalQuery::default(), NOW()).unwrap().next().is_none());
    let missing = Journal::with_program("/nowhere/journalctl".to_owned());
    assert!(matches!(missing.lines(&JournalQuery::default(), NOW()), Err(JournalError::Spawn(_))));
}

#[test]
fn the_end_of_an_attempt_is_read_by_its_invocation() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"case "$*" in *INVOCATION_ID=07070707070707070707070707070707*)
echo '{"__REALTIME_TIMESTAMP":"9","__MONOTONIC_TIMESTAMP":"9","MESSAGE_ID":"98e322203f7a4ed290d09fe03c09fe15","EXIT_CODE":"exited","EXIT_STATUS":"3","COMMAND":"ExecStart"}'
echo '{"__REALTIME_TIMESTAMP":"9","__MONOTONIC_TIMESTAMP":"9","MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","UNIT_RESULT":"exit-code"}';; esac"#;
    let journal = journal(dir.path(), script);
    let end = journal.end_of(InvocationId::from_bytes([7; 16])).unwrap().unwrap();
    assert_eq!(end.evidence.exit, Some(bij_core::Exit::Code(3)));
    assert_eq!(journal.end_of(InvocationId::from_bytes([8; 16])).unwrap(), None);
}

#[test]
fn the_newest_lines_of_an_attempt_are_limited_here() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (record_json(UNIT, "one"), record_json(UNIT, "two"));
    let script = format!("echo '{one}'; echo '{two}'; echo '{}'", record_json("ssh.service", "x"));
    let invocation = InvocationId::from_bytes([7; 16]);
    let boot = BootId::from_bytes([1; 16]);
    let attempt =
        AttemptSpan { boot, invocation, started: NOW(), ended: None, is_clock_steady: true };
    let query =
        JournalQuery { attempts: vec![attempt], newest: Some(1), ..JournalQuery::default() };
    let lines = journal(dir.path(), &script).lines(&query, NOW()).unwrap();
    let texts: Vec<_> = lines.map(|line| line.unwrap().text).collect();
    assert_eq!(texts, ["two"]);
}

#[test]
fn new_lines_are_recognised_by_the_monotonic_clock() {
    let dir = tempfile::tempdir().unwrap();
    let record_at = |text: &str, monotonic: u64| {
        record_json(UNIT, text).replacen(
            '{',
            &format!(r#"{{"__MONOTONIC_TIMESTAMP":"{monotonic}","#),
            1,
        )
    };
    let (old, new) = (record_at("old", 1), record_at("new", u64::MAX / 2));
    let script = format!(r#"case "$*" in *--follow*) echo '{old}'; echo '{new}';; esac"#);
    let query = JournalQuery { newest: Some(0), follow: true, ..JournalQuery::default() };
    // As if the time of day had been set back since.
    let later = Timestamp::from_micros(i64::MAX);
    let lines = journal(dir.path(), &script).lines(&query, later).unwrap();
    let texts: Vec<_> = lines.map(|line| line.unwrap().text).collect();
    assert_eq!(texts, ["new"]);
}
