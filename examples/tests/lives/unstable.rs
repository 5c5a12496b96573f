use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use bij_core::Cause;
use nix::sys::signal::Signal;

use crate::jar::{Jar, tear};

const PROGRAM: &str = env!("CARGO_BIN_EXE_unstable_002");
const NO_ARGUMENTS: [&str; 0] = [];

fn last_line(log: &str) -> &str {
    log.lines().last().unwrap_or_default()
}

#[test]
fn it_dies_by_code_then_by_signal_and_its_work_is_as_if_it_had_not() {
    let mut jar = Jar::new();
    let first = jar.start(PROGRAM, NO_ARGUMENTS).wait();
    assert_eq!(first.status.code(), Some(42), "{}", first.log);
    let after_first = jar.step();
    assert!((1..50).contains(&after_first));

    jar.crashed(Cause::Exit);
    let second = jar.start(PROGRAM, NO_ARGUMENTS).wait();
    assert_eq!(second.status.signal(), Some(Signal::SIGSEGV as i32), "{}", second.log);
    assert!(second.log.contains(&format!("I go on after round {after_first}.")), "{}", second.log);

    jar.crashed(Cause::Signal);
    let third = jar.start(PROGRAM, NO_ARGUMENTS).wait();
    assert!(third.status.success(), "{}", third.log);
    assert!(
        third.log.contains("Crashes so far: 2; my last life ended by signal."),
        "{}",
        third.log
    );
    assert_eq!(jar.step(), 50);

    let mut undisturbed = Jar::new();
    undisturbed.skip_attempts(2);
    let whole = undisturbed.start(PROGRAM, NO_ARGUMENTS).wait();
    assert!(whole.status.success(), "{}", whole.log);
    assert!(last_line(&whole.log).starts_with("The shortest tour"));
    assert_eq!(last_line(&whole.log), last_line(&third.log));
}

/// Seeds whose first attempt dies by each of the signals.
const SEEDS: [(u64, Signal); 6] = [
    (82, Signal::SIGILL),
    (170, Signal::SIGABRT),
    (142, Signal::SIGBUS),
    (129, Signal::SIGFPE),
    (30, Signal::SIGKILL),
    (296, Signal::SIGSEGV),
];

#[test]
fn every_signal_it_may_choose_kills_it() {
    // Rust's runtime catches SIGSEGV and SIGBUS once.
    for (seed, signal) in SEEDS {
        let mut jar = Jar::new();
        let life = jar.start(PROGRAM, [seed.to_string()]).wait();
        assert_eq!(life.status.signal(), Some(signal as i32), "{:?}\n{}", life.status, life.log);
        assert!(life.log.contains(signal.as_str()), "{}", life.log);
    }
}

#[test]
fn killed_at_any_time_it_goes_on_from_a_whole_checkpoint() {
    let mut jar = Jar::new();
    jar.skip_attempts(2);
    jar.set("EXAMPLE_PACE_MS", "5");
    for rounds in [1, 7, 12] {
        let before = jar.step();
        let mut running = jar.start(PROGRAM, NO_ARGUMENTS);
        assert!(running.until(|running| running.jar.step() >= before + rounds));
        running.kill(Signal::SIGKILL);
    }
    let torn = jar.checkpoint().unwrap();
    tear(&torn);
    fs::write(jar.stop_file(), "").unwrap();
    let left = jar.start(PROGRAM, NO_ARGUMENTS).wait();
    assert_eq!(left.status.code(), Some(75), "{}", left.log);
    assert!(
        left.log.contains("bytes instead of") && left.log.contains("I go on after"),
        "{}",
        left.log
    );
}

#[test]
fn a_seed_that_is_no_number_is_never_tried_again() {
    let mut jar = Jar::new();
    assert_eq!(jar.start(PROGRAM, ["seven"]).wait().status.code(), Some(78));
}
