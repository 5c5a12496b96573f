use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use bij_core::Cause;
use nix::sys::signal::Signal;

use crate::jar::{Jar, Remains};

const PROGRAM: &str = env!("CARGO_BIN_EXE_panopticon_003");
const NO_ARGUMENTS: [&str; 0] = [];
const TIMEOUT: Duration = Duration::from_millis(700);

fn watched() -> Jar {
    let mut jar = Jar::new();
    jar.set("WATCHDOG_USEC", &TIMEOUT.as_micros().to_string());
    jar.set("EXAMPLE_PACE_MS", "20");
    jar
}

/// Lives under a watchdog as systemd's: from READY=1 on a heartbeat is due within the timeout.
fn live_watched(jar: &mut Jar) -> Remains {
    let mut running = jar.start(PROGRAM, NO_ARGUMENTS);
    assert!(running.until(|running| {
        running.listen();
        running.heard().iter().any(|message| message == "READY=1")
    }));
    let mut beats = 0;
    let mut last_beat = Instant::now();
    let silent = running.until(|running| {
        running.listen();
        let beats_now = running.heard().iter().filter(|message| *message == "WATCHDOG=1").count();
        if beats_now > beats {
            beats = beats_now;
            last_beat = Instant::now();
        }
        last_beat.elapsed() > TIMEOUT
    });
    if silent && running.alive() {
        running.send(Signal::SIGABRT);
    }
    running.wait()
}

#[test]
fn it_falls_silent_once_is_caught_and_behaves() {
    let mut jar = watched();
    let first = live_watched(&mut jar);
    assert_eq!(first.status.signal(), Some(Signal::SIGABRT as i32), "{}", first.log);
    assert!(first.log.ends_with("Is anybody watching?\n"), "{}", first.log);
    assert_eq!(jar.step(), 20);

    jar.crashed(Cause::Watchdog);
    let second = live_watched(&mut jar);
    assert!(second.status.success(), "{:?}\n{}", second.status, second.log);
    assert!(second.log.contains("I fell silent after look 20 and was caught."), "{}", second.log);
    assert!(second.log.contains("I have seen enough: 50 looks, "), "{}", second.log);
    assert_eq!(jar.step(), 50);
    assert!(second.heard.iter().any(|message| message.starts_with("STATUS=50 looks, ")));
}

#[test]
fn with_nobody_watching_there_is_nobody_to_be_silent_to() {
    let mut jar = Jar::new();
    let life = jar.start(PROGRAM, NO_ARGUMENTS).wait();
    assert!(life.status.success(), "{}", life.log);
    assert!(life.log.contains("nobody waits for my heartbeats"), "{}", life.log);
    assert!(!life.heard.iter().any(|message| message == "WATCHDOG=1"));
}

#[test]
fn a_watchdog_that_never_comes_is_an_error_in_the_end() {
    let mut jar = watched();
    jar.set("WATCHDOG_USEC", "50000");
    let life = jar.start(PROGRAM, NO_ARGUMENTS).wait();
    assert_eq!(life.status.code(), Some(1), "{}", life.log);
    assert!(life.log.contains("nobody came"), "{}", life.log);
}

#[test]
fn even_in_its_silence_it_leaves_when_asked() {
    let mut jar = watched();
    jar.set("WATCHDOG_USEC", "60000000");
    let mut running = jar.start(PROGRAM, NO_ARGUMENTS);
    assert!(running.until(|running| running.log().contains("say nothing now")));
    assert_eq!(running.kill(Signal::SIGTERM).status.code(), Some(75));
}

#[test]
fn a_watchdog_for_another_process_is_not_its_own() {
    let mut jar = watched();
    jar.set("WATCHDOG_PID", "1");
    let running = jar.start(PROGRAM, NO_ARGUMENTS);
    assert_ne!(running.pid(), 1);
    let life = running.wait();
    assert!(life.status.success() && !life.log.contains("silent"), "{}", life.log);
}
