use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use std::error::Error as _;

use super::*;

const OWN_PID: u32 = 4711;

fn attempt_with(variables: &[(&str, &str)]) -> Result<Attempt, EnvironmentError> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Attempt::from_lookup(|name| variables.get(name).map(Into::into), OWN_PID)
}

fn receive(socket: &UnixDatagram) -> Option<String> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    match socket.recv(&mut buffer) {
        Ok(length) => Some(String::from_utf8(buffer[..length].to_vec()).unwrap()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn without_variables_all_values_have_defaults_and_reports_are_dropped() {
    let attempt = attempt_with(&[]).unwrap();
    assert_eq!((attempt.experiment(), attempt.run()), (None, None));
    assert_eq!((attempt.number(), attempt.crashes()), (1, 0));
    assert_eq!(attempt.last_cause(), None);
    assert_eq!(attempt.state_dir(), Path::new("."));
    assert_eq!((attempt.resume_from(), attempt.config()), (None, None));
    assert_eq!(attempt.watchdog(), None);
    assert!(!attempt.stop_requested());
    attempt.ready().unwrap();
    attempt.status("x").unwrap();
    attempt.heartbeat().unwrap();
    attempt.stopping().unwrap();
    attempt.report(&Progress::at(1)).unwrap();
}

#[test]
fn all_variables_are_read() {
    let attempt = attempt_with(&[
        ("BIJ_EXPERIMENT", "amnesiac_001"),
        ("BIJ_RUN", "amnesiac_001#3"),
        ("BIJ_ATTEMPT", "2"),
        ("BIJ_CRASHES", "7"),
        ("BIJ_LAST_CAUSE", "oom-kill"),
        ("BIJ_STATE_DIR", "/var/lib/state dir"),
        ("BIJ_RESUME_FROM", "/var/lib/state dir/model-000007.ckpt"),
        ("BIJ_CONFIG", "/etc/x.json"),
    ])
    .unwrap();
    assert_eq!(attempt.experiment(), Some("amnesiac_001"));
    assert_eq!(attempt.run(), Some("amnesiac_001#3"));
    assert_eq!((attempt.number(), attempt.crashes()), (2, 7));
    assert_eq!(attempt.last_cause(), Some(&Cause::OomKill));
    assert_eq!(attempt.state_dir(), Path::new("/var/lib/state dir"));
    assert_eq!(attempt.resume_from(), Some(Path::new("/var/lib/state dir/model-000007.ckpt")));
    assert_eq!(attempt.config(), Some(Path::new("/etc/x.json")));
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let attempt = attempt_with(&[
        ("BIJ_LAST_CAUSE", ""),
        ("BIJ_CRASHES", ""),
        ("BIJ_RESUME_FROM", ""),
        ("NOTIFY_SOCKET", ""),
        ("WATCHDOG_USEC", ""),
    ])
    .unwrap();
    assert_eq!(attempt.last_cause(), None);
    assert_eq!(attempt.crashes(), 0);
    assert_eq!(attempt.resume_from(), None);
}

#[test]
fn an_invalid_value_is_an_error_with_the_name_of_its_variable() {
    for name in ["BIJ_ATTEMPT", "BIJ_CRASHES", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        for value in ["three", "-1", "1.5", "99999999999999999999"] {
            let error = attempt_with(&[(name, value)]).unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }
    let error = attempt_with(&[("NOTIFY_SOCKET", "vsock:2:1")]).unwrap_err();
    assert!(matches!(error, EnvironmentError::NotifySocket(_)));
    assert!(error.source().unwrap().to_string().contains("vsock:2:1"));
}

#[test]
fn messages_reach_a_socket_with_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let attempt = attempt_with(&[("NOTIFY_SOCKET", path.to_str().unwrap())]).unwrap();
    attempt.ready().unwrap();
    attempt.status("turn 3\nof 9").unwrap();
    attempt.stopping().unwrap();
    assert_eq!(receive(&socket).unwrap(), "READY=1");
    assert_eq!(receive(&socket).unwrap(), "STATUS=turn 3 of 9");
    assert_eq!(receive(&socket).unwrap(), "STOPPING=1");
    assert_eq!(receive(&socket), None);
}

#[test]
fn messages_reach_an_abstract_socket() {
    let name = format!("bij-experiment-test-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let attempt = attempt_with(&[("NOTIFY_SOCKET", &format!("@{name}"))]).unwrap();
    attempt.ready().unwrap();
    assert_eq!(receive(&socket).unwrap(), "READY=1");
}

#[test]
fn a_supervisor_that_is_gone_is_an_error_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone");
    let attempt = attempt_with(&[("NOTIFY_SOCKET", path.to_str().unwrap())]).unwrap();
    let error = attempt.ready().unwrap_err();
    assert!(
        matches!(&error, NotifyError::Send { source } if source.kind() == io::ErrorKind::NotFound)
    );
}

#[test]
fn the_watchdog_is_for_the_named_process_only() {
    let watched = |variables: &[(&str, &str)]| attempt_with(variables).unwrap().watchdog();
    let three = Some(Duration::from_secs(3));
    assert_eq!(watched(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "4711")]), three);
    assert_eq!(watched(&[("WATCHDOG_USEC", "3000000")]), three);
    assert_eq!(watched(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "1")]), None);
    assert_eq!(watched(&[("WATCHDOG_USEC", "0")]), None);
    assert_eq!(watched(&[("WATCHDOG_PID", "4711")]), None);
}

#[test]
fn heartbeats_are_sent_only_when_due() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let hour = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "3600000000")];
    let attempt = attempt_with(&hour).unwrap();
    for _ in 0..1000 {
        attempt.heartbeat().unwrap();
    }
    assert_eq!(receive(&socket).unwrap(), "WATCHDOG=1");
    assert_eq!(receive(&socket), None);

    let instant = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1")];
    let attempt = attempt_with(&instant).unwrap();
    for _ in 0..3 {
        attempt.heartbeat().unwrap();
        assert_eq!(receive(&socket).unwrap(), "WATCHDOG=1");
    }
}

#[test]
fn progress_is_one_whole_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("progress");
    let attempt = attempt_with(&[("BIJ_PROGRESS", file.to_str().unwrap())]).unwrap();
    attempt.report(&Progress::at(1).total(9)).unwrap();
    attempt.report(&Progress::at(2).total(9).checkpoint("/a b/c.ckpt")).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "step=2 total=9 checkpoint=/a b/c.ckpt\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    attempt.report(&Progress::at(3).checkpoint("/a\nb")).unwrap_err();
    assert!(fs::read_to_string(&file).unwrap().starts_with("step=2 "));
}

#[test]
fn threads_may_report_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("progress");
    let attempt = attempt_with(&[("BIJ_PROGRESS", file.to_str().unwrap())]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let attempt = &attempt;
            scope.spawn(move || {
                for step in 0..50 {
                    attempt.report(&Progress::at(thread * 1000 + step)).unwrap();
                }
            });
        }
    });
    let line = fs::read_to_string(&file).unwrap();
    assert!(line.starts_with("step=") && line.ends_with("49\n"), "{line:?}");
}

#[test]
fn a_stop_is_requested_once_the_stop_file_exists() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stop");
    let attempt = attempt_with(&[("BIJ_STOP_FILE", file.to_str().unwrap())]).unwrap();
    assert!(!attempt.stop_requested());
    fs::write(&file, "").unwrap();
    assert!(attempt.stop_requested());
}

#[test]
fn checkpoints_lie_in_the_state_directory_under_an_absolute_path() {
    let dir = tempfile::tempdir().unwrap();
    let attempt = attempt_with(&[("BIJ_STATE_DIR", dir.path().to_str().unwrap())]).unwrap();
    let path = attempt.checkpoints("model").save(b"x").unwrap();
    assert_eq!(path, dir.path().join("model-000001.ckpt"));
}
