use std::fs;

use bij_core::Cause;
use nix::sys::signal::Signal;

use crate::jar::{Jar, Running, tear};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/dreamer_004.py");

/// Debian and Ubuntu have it in every installation but the smallest.
const PYTHON: &str = "/usr/bin/python3";

fn start(jar: &mut Jar) -> Running<'_> {
    assert!(fs::exists(PYTHON).unwrap(), "{PYTHON} is missing: apt-get install python3-minimal");
    jar.start(PYTHON, [SCRIPT])
}

/// The dream: what it says after the last line about its loss.
fn dream(log: &str) -> &str {
    log.split_once("This is what I dream of:").unwrap().1
}

#[test]
fn killed_and_resumed_it_dreams_what_it_would_have_dreamt() {
    let mut jar = Jar::new();
    let mut running = start(&mut jar);
    assert!(running.until(|running| running.jar.step() >= 100));
    running.kill(Signal::SIGKILL);
    let reached = jar.step();

    jar.crashed(Cause::Signal);
    let second = start(&mut jar).wait();
    assert!(second.status.success(), "{}", second.log);
    assert!(second.log.contains("I have died 1 times; last by signal."), "{}", second.log);
    assert!(second.log.contains(&format!("I go on after epoch {reached}.")), "{}", second.log);
    assert_eq!(jar.step(), 400);
    assert_eq!(second.heard.first().unwrap(), "READY=1");
    assert!(second.heard.iter().any(|message| message.starts_with("STATUS=epoch 400 of 400")));
    assert_eq!(second.heard.last().unwrap(), "STOPPING=1");

    let whole = start(&mut Jar::new()).wait();
    assert_eq!(dream(&whole.log), dream(&second.log));
    assert!(dream(&whole.log).contains('*'));
}

#[test]
fn asked_to_leave_it_leaves_to_be_resumed() {
    let mut jar = Jar::new();
    let mut running = start(&mut jar);
    assert!(running.until(|running| running.jar.step() > 0));
    let left = running.kill(Signal::SIGTERM);
    assert_eq!(left.status.code(), Some(75), "{}", left.log);
    let reached = jar.step();
    fs::write(jar.stop_file(), "").unwrap();
    let left = start(&mut jar).wait();
    assert_eq!(left.status.code(), Some(75), "{}", left.log);
    assert_eq!(jar.step(), reached + 1);
}

#[test]
fn a_checkpoint_cut_at_any_byte_is_refused_and_the_other_used() {
    let mut jar = Jar::new();
    let mut running = start(&mut jar);
    assert!(running.until(|running| running.jar.step() >= 60));
    running.kill(Signal::SIGKILL);
    let newest = jar.checkpoint().unwrap();
    let whole = fs::read(&newest).unwrap();
    let reached = jar.step();
    fs::write(jar.stop_file(), "").unwrap();
    let other = ["a", "b"]
        .map(|name| jar.state().join(format!("dream-{name}.ckpt")))
        .into_iter()
        .find(|path| *path != newest)
        .unwrap();
    let kept = fs::read(&other).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&kept[65..]).unwrap();
    let expected = format!("I go on after epoch {}.", state["epoch"]);
    for length in [0, 1, 64, 65, whole.len() - 1] {
        fs::write(&newest, &whole[..length]).unwrap();
        let left = start(&mut jar).wait();
        assert_eq!(left.status.code(), Some(75), "{}", left.log);
        assert!(left.log.contains("is torn or damaged"), "{}", left.log);
        assert!(
            left.log.contains(&expected),
            "{expected}
{}",
            left.log
        );
        fs::write(&other, &kept).unwrap();
        let progress = format!("step={reached} total=400 checkpoint={}\n", newest.display());
        fs::write(jar.state().join("progress"), progress).unwrap();
    }
    fs::write(&newest, &whole).unwrap();
    tear(&newest);
    tear(&other);
    let left = start(&mut jar).wait();
    assert!(left.log.contains("I have learned nothing yet."), "{}", left.log);
}

#[test]
fn a_setting_that_can_never_work_is_never_tried_again() {
    for (config, expected) in [
        ("{\"epoch\": 3}", "unknown setting 'epoch'"),
        ("{\"epochs\": true}", "epochs must be a positive number"),
        ("{\"rate\": -1}", "rate must be a positive number"),
        ("[]", "must be a JSON object"),
        ("nonsense", "Expecting value"),
    ] {
        let mut jar = Jar::new();
        let file = jar.state().join("config.json");
        fs::write(&file, config).unwrap();
        jar.set("BIJ_CONFIG", file.to_str().unwrap());
        let life = start(&mut jar).wait();
        assert_eq!(life.status.code(), Some(78), "{config}\n{}", life.log);
        assert!(life.log.contains(expected), "{config}\n{}", life.log);
    }
}

#[test]
fn another_config_begins_another_dream() {
    let mut jar = Jar::new();
    let file = jar.state().join("config.json");
    jar.set("BIJ_CONFIG", file.to_str().unwrap());
    for epochs in [20, 40] {
        fs::write(&file, format!("{{\"epochs\": {epochs}, \"hidden\": 3}}")).unwrap();
        let life = start(&mut jar).wait();
        assert!(life.status.success(), "{}", life.log);
        assert!(life.log.contains("I have learned nothing yet."), "{}", life.log);
        assert_eq!(jar.step(), epochs);
    }
}
