use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::*;

/// A filter between two sockets, and a tree in which this process is in an experiment's unit.
struct TestFilter {
    directory: tempfile::TempDir,
    socket: UnixDatagram,
    manager: UnixDatagram,
    filter: Filter,
}

impl TestFilter {
    fn new(group: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let pid = nix::unistd::getpid();
        for (process, group) in [("1", "/init.scope"), (&*pid.to_string(), group)] {
            std::fs::create_dir_all(at("proc").join(process)).unwrap();
            std::fs::write(at("proc").join(process).join("cgroup"), format!("0::{group}\n"))
                .unwrap();
        }
        let socket = UnixDatagram::bind(at("filter")).unwrap();
        wire::enable_credentials(&socket).unwrap();
        let manager = UnixDatagram::bind(at("manager")).unwrap();
        manager.set_nonblocking(true).unwrap();
        let filter = Filter::new(ManagerSocket::new(&at("manager")).unwrap(), directory.path());
        Self { directory, socket, manager, filter }
    }

    fn send(&self, message: &str) {
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(message.as_bytes(), self.directory.path().join("filter")).unwrap();
    }

    /// Returns the messages that the manager has received since the last call.
    fn received(&self) -> Vec<String> {
        let mut buffer = [0; 8192];
        let mut received = Vec::new();
        while let Ok(length) = self.manager.recv(&mut buffer) {
            received.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        received
    }
}

const UNIT: &str = "/brain.slice/brain-experiment@a.service";

#[test]
fn messages_of_an_experiment_are_reduced_to_allowed_assignments() {
    let mut test = TestFilter::new(UNIT);
    test.send("READY=1\nEXTEND_TIMEOUT_USEC=60000000\nSTATUS=up");
    test.send("WATCHDOG_USEC=0");
    test.send("WATCHDOG=1\nMAINPID=1");
    test.filter.read(&test.socket).unwrap();
    assert_eq!(test.received(), ["READY=1\nSTATUS=up", "WATCHDOG=1"]);
}

#[test]
fn messages_of_other_processes_are_dropped() {
    let mut test = TestFilter::new("/user.slice/user-1000.slice/session-1.scope");
    test.send("READY=1");
    test.filter.read(&test.socket).unwrap();
    assert!(test.received().is_empty() && test.filter.units.is_empty());
}

#[tokio::test]
async fn a_sender_waits_until_the_manager_has_processed_its_messages() {
    let mut test = TestFilter::new(UNIT);
    let sender = ManagerSocket::new(&test.directory.path().join("filter")).unwrap();
    let answer = || pipe::Receiver::from_owned_fd(sender.barrier().unwrap()).unwrap();
    test.send("READY=1");
    let first = answer();
    assert!(test.filter.read(&test.socket).unwrap());
    let wait = Duration::from_millis(50);
    assert!(timeout(wait, first.readable()).await.is_err(), "the manager has not answered");
    assert_eq!(test.received(), ["READY=1", "BARRIER=1"]);
    timeout(BARRIER_TIMEOUT / 2, first.readable())
        .await
        .expect("the manager has answered")
        .unwrap();
    // Senders over the limit, and processes of no unit, do not wait.
    let barriers = Arc::clone(&test.filter.barriers);
    let all = barriers.try_acquire_many(u32::try_from(MAX_BARRIERS).unwrap()).unwrap();
    let last = answer();
    test.filter.read(&test.socket).unwrap();
    timeout(wait, last.readable()).await.expect("it does not wait").unwrap();
    drop(all);
    test.filter.senders = Senders::new(Path::new("/nonexistent"), Instant::now());
    let stranger = answer();
    test.filter.read(&test.socket).unwrap();
    timeout(wait, stranger.readable()).await.expect("it does not wait").unwrap();
}

#[test]
fn a_flood_is_read_quickly_and_its_last_status_arrives() {
    let mut test = TestFilter::new(UNIT);
    for step in 0..1000 {
        test.send(&format!("STATUS={step}"));
        if step % 8 == 0 {
            test.filter.read(&test.socket).unwrap();
        }
    }
    test.filter.read(&test.socket).unwrap();
    assert!(test.received().len() < 20);
    let now = Instant::now();
    let due = test.filter.due(now).unwrap();
    assert!(due <= now + Duration::from_secs(1));
    test.filter.send_due(due);
    assert_eq!(test.received(), ["STATUS=999"]);
    assert_eq!(test.filter.due(due), None);
}

#[test]
fn a_unit_without_messages_is_forgotten() {
    let mut test = TestFilter::new(UNIT);
    test.send("READY=1");
    test.filter.read(&test.socket).unwrap();
    test.filter.forget(Instant::now());
    assert_eq!(test.filter.units.len(), 1);
    test.filter.forget(Instant::now() + FORGET_AFTER);
    assert!(test.filter.units.is_empty());
}

#[test]
fn a_manager_with_a_full_queue_gets_the_message_later() {
    let mut test = TestFilter::new(UNIT);
    let clog = UnixDatagram::unbound().unwrap();
    clog.set_nonblocking(true).unwrap();
    while clog.send_to(b"X=1", test.directory.path().join("manager")).is_ok() {}
    test.send("READY=1");
    test.filter.read(&test.socket).unwrap();
    assert!(!test.received().contains(&"READY=1".to_owned()));
    let due = test.filter.due(Instant::now()).unwrap();
    test.filter.send_due(due);
    assert_eq!(test.received(), ["READY=1"]);
}

#[test]
fn a_file_that_is_no_socket_is_an_error() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = filter_notifications(file, Path::new("/nonexistent"), Path::new("/")).unwrap_err();
    assert!(matches!(error, FilterError::Socket(_)), "{error}");
}
