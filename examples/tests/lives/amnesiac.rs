use std::fs;

use bij_core::Cause;
use nix::sys::signal::Signal;

use crate::jar::{Jar, Remains, tear};

const PROGRAM: &str = env!("CARGO_BIN_EXE_amnesiac_001");

/// A small jar: the default conversation fills one of 64 MiB, this one shows the same sooner.
const LIMIT_KIB: u64 = 24 * 1024;
const TURNS: [&str; 2] = ["--turns", "160"];

/// Lives under a limit that is enforced by a watcher; true if it was killed.
fn live_in_a_small_jar(jar: &mut Jar) -> (Remains, bool) {
    let mut running = jar.start(PROGRAM, TURNS);
    let killed = running.until(|running| running.resident_kib() > LIMIT_KIB);
    if killed {
        running.send(Signal::SIGKILL);
    }
    (running.wait(), killed)
}

#[test]
fn it_outgrows_its_jar_and_comes_back_without_its_conversation_to_live_on_less() {
    let mut jar = Jar::new();
    let (first, killed) = live_in_a_small_jar(&mut jar);
    assert!(killed, "it never filled its jar:\n{}", first.log);
    assert!(first.log.contains("I am new here. Attempt 1."), "{}", first.log);
    let reached = jar.step();
    assert!((20..150).contains(&reached), "died at turn {reached}");

    jar.crashed(Cause::OomKill);
    let (second, killed) = live_in_a_small_jar(&mut jar);
    assert!(!killed && second.status.success(), "{:?}\n{}", second.status, second.log);
    assert!(second.log.contains("I have died once; the last time ended by oom-kill. Attempt 2."));
    let forgotten = format!("I remember nothing of what I said in {reached} turns");
    assert!(second.log.contains(&forgotten), "{}", second.log);
    assert!(second.log.contains("I shall hold at most"), "{}", second.log);
    assert_eq!(jar.step(), 160);
    let status = second.heard.iter().rfind(|message| message.starts_with("STATUS=")).unwrap();
    assert!(status.starts_with("STATUS=turn 160 of 160, "), "{status}");
}

#[test]
fn without_the_lesson_it_would_die_again() {
    let mut jar = Jar::new();
    assert!(live_in_a_small_jar(&mut jar).1);
    jar.crashed(Cause::Signal);
    assert!(live_in_a_small_jar(&mut jar).1, "the second life needs no lesson");
}

#[test]
fn asked_to_leave_it_leaves_to_be_resumed() {
    let mut jar = Jar::new();
    let mut running = jar.start(PROGRAM, [] as [&str; 0]);
    assert!(running.until(|running| running.jar.step() > 0));
    let left = running.kill(Signal::SIGTERM);
    assert_eq!(left.status.code(), Some(75), "{}", left.log);
    assert_eq!(left.heard.last().unwrap(), "STOPPING=1");
    let reached = jar.step();

    fs::write(jar.stop_file(), "").unwrap();
    let left = jar.start(PROGRAM, [] as [&str; 0]).wait();
    assert_eq!(left.status.code(), Some(75), "{}", left.log);
    assert!(left.log.contains(&format!("in {reached} turns")), "{}", left.log);
    assert_eq!(jar.step(), reached + 1);
}

#[test]
fn a_torn_checkpoint_is_refused_and_the_one_before_used() {
    let mut jar = Jar::new();
    let mut running = jar.start(PROGRAM, [] as [&str; 0]);
    assert!(running.until(|running| running.jar.step() >= 40));
    running.kill(Signal::SIGKILL);
    let newest = jar.checkpoint().unwrap();
    tear(&newest);

    fs::write(jar.stop_file(), "").unwrap();
    let reached = jar.step();
    let left = jar.start(PROGRAM, [] as [&str; 0]).wait();
    assert!(left.log.contains("bytes instead of"), "{}", left.log);
    let (_, after) = left.log.split_once("I remember nothing of what I said in ").unwrap();
    let turn: u64 = after.split_once(" turns").unwrap().0.parse().unwrap();
    assert!(turn != reached && turn.is_multiple_of(20) && turn > 0, "{turn} after {reached}");
}

#[test]
fn it_reads_what_it_is_given_and_a_new_run_begins_anew() {
    let mut jar = Jar::new();
    let text = jar.state().join("a text.txt");
    fs::write(&text, "Seven cats see seven cats. Seven cats eat four fish today.").unwrap();
    let arguments = ["--turns", "20", text.to_str().unwrap()];
    let life = jar.start(PROGRAM, arguments).wait();
    assert!(life.status.success(), "{}", life.log);
    let said = life.log.lines().find(|line| line.starts_with("[20/20")).unwrap();
    let (_, sentence) = said.split_once("] ").unwrap();
    let known = "Seven cats see seven cats. eat four fish today.";
    assert!(sentence.split(' ').all(|word| known.contains(word)), "{sentence}");

    let again = jar.start(PROGRAM, arguments).wait();
    assert!(again.log.contains("I begin a new one."), "{}", again.log);
    // The same seed, and nothing new to read: it is the first sentence's memory that differs.
    assert!(again.status.success() && jar.step() == 20);
}

#[test]
fn what_can_never_work_is_never_tried_again() {
    let mut jar = Jar::new();
    for arguments in [["--turns", "many"], ["--loud", "1"], ["/no/such/text", "/dev/null"]] {
        let life = jar.start(PROGRAM, arguments).wait();
        assert_eq!(life.status.code(), Some(78), "{}", life.log);
    }
}

#[test]
fn another_programs_checkpoint_is_not_overwritten() {
    let mut jar = Jar::new();
    let foreign = jar.state().join("mind-000001.ckpt");
    // FNV-1a of "{}", which is JSON and no mind.
    fs::write(&foreign, "bij-checkpoint 1 2 08f44b07b5901a25\n{}").unwrap();
    let life = jar.start(PROGRAM, [] as [&str; 0]).wait();
    assert_eq!(life.status.code(), Some(1), "{}", life.log);
    assert!(life.log.contains("whole but not ours"), "{}", life.log);
    assert_eq!(fs::read_dir(jar.state()).unwrap().count(), 1);
}
