//! No view sends a terminal characters from outside that it would obey.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use bij_core::is_printable;
use nix::pty::{OpenptyResult, openpty};

use super::bij::Bij;

/// Sequences of an attacker: they retitle the window, clear the screen in two encodings, hide and reorder text.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J\u{202e}fdp.exe\u{2066}\u{200b}\u{ad}\u{feff}\u{e0041}\u{85}end";

/// Calls `bij` on a terminal of 0 columns, like a serial console or a new pseudo-terminal, and returns its output.
fn on_terminal(bij: &Bij, words: &[&str]) -> String {
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    let end = |slave: &OwnedFd| Stdio::from(slave.try_clone().unwrap());
    let mut command = bij.command(words);
    command.env_remove("COLUMNS").env("TERM", "xterm").env_remove("NO_COLOR");
    let mut child = command.stdout(end(&slave)).stderr(end(&slave)).spawn().unwrap();
    // The read ends only when all ends of the terminal are closed, also ours.
    drop((command, slave));
    let mut shown = Vec::new();
    // A terminal whose other end is closed reads as EIO.
    let _ = File::from(master).read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8(shown).expect("what is written to a terminal is UTF-8")
}

/// Removes the sequences of `bij` itself: line ends, colours, and the cursor moves of the live lines.
fn without_own_signs(shown: &str) -> String {
    let own = regex::Regex::new("\u{1b}\\[[0-9;]*m|\u{1b}\\[[0-9]+F|\u{1b}\\[J|\r?\n|\t").unwrap();
    own.replace_all(shown, "").into_owned()
}

fn assert_harmless(bij: &Bij, words: &[&str]) -> String {
    let shown = on_terminal(bij, words);
    let rest = without_own_signs(&shown);
    let harmful: String = rest.chars().filter(|c| !is_printable(*c)).collect();
    assert!(harmful.is_empty(), "{words:?} sends {harmful:?} to a terminal in {shown:?}");
    shown
}

/// Returns the part of it that a definition may have in texts of one line; its command may have all of it.
fn without_controls() -> String {
    HOSTILE.chars().filter(|c| !c.is_control()).collect()
}

fn hostile_world() -> Bij {
    let bij = Bij::new();
    let quoted = |text: &str| serde_json::to_string(text).unwrap().replace('\u{7f}', "\\u007f");
    let (all, line) = (quoted(HOSTILE), quoted(&without_controls()));
    bij.write(&format!("tmp/{HOSTILE}.json"), "{}");
    bij.define(
        "hostile.toml",
        format!(
            "description = {line}\n\
             command = [\"sh\", \"-c\", \"printf '%s\\\\n' \\\"$0\\\" \\\"$WORDS\\\" >&2; printf '%s\\\\n' \\\"$0\\\"; exit 3\", {all}]\n\
             [environment]\nWORDS = {line}\n\
             [restart]\nburst = 1\n"
        ),
    );
    bij.define("broken.toml", format!("command = [\"true\"]\n{all} = {all}\n"));
    bij.define("worse.toml", format!("command = [\"true\"]\nunknown = {all}\n# {HOSTILE}\n=="));
    bij.define("older.env", format!("WORDS={HOSTILE}\nBAD {HOSTILE}\n"));
    bij
}

#[test]
fn no_view_sends_control_characters_of_an_experiment_to_a_terminal() {
    let bij = hostile_world();
    // Its output is shown with escapes.
    let shown = assert_harmless(&bij, &["run", "hostile"]);
    assert!(shown.contains("\\u{202e}fdp.exe"), "{shown:?}");
    let file = bij.path(&format!("tmp/{HOSTILE}.json"));
    let file = file.to_str().unwrap();
    for words in [
        &["list"] as &[&str],
        &["status"],
        &["status", "hostile"],
        &["status", "broken"],
        &["show", "hostile"],
        &["show", "broken"],
        &["history", "hostile"],
        &["logs", "hostile"],
        &["logs", "hostile", "--grep", HOSTILE],
        &["check"],
        &["check", file],
        &["check", HOSTILE],
        &["run", file],
        &["run", HOSTILE],
        &["status", HOSTILE],
        &["queue"],
        &["events"],
        &["why", "hostile"],
        &["submit", "hostile", "-E", HOSTILE],
        &["run", "--name", HOSTILE, "--", "true"],
        &["run", "--", "sh", "-c", "printf '%s\\n' \"$0\"", HOSTILE],
        &[HOSTILE],
        &["--root", HOSTILE, "list"],
    ] {
        assert_harmless(&bij, words);
        assert_harmless(&bij, &[&["--json"], words].concat());
    }
}

#[test]
fn output_in_a_pipe_is_what_the_experiment_wrote() {
    let bij = hostile_world();
    let result = bij.call(&["run", "hostile"]);
    assert!(result.out.contains(&format!("{HOSTILE}\n")), "{result:?}");
    assert!(result.err.contains(&format!("{HOSTILE}\n")), "{result:?}");
    // JSON is the same for a program, whatever reads it.
    let logs = bij.call(&["--json", "logs", "hostile"]);
    let rows = logs.out.lines().map(|line| serde_json::from_str(line).unwrap());
    let own = |row: &serde_json::Value| row["writer"].is_null() && row["message"] == HOSTILE;
    assert!(rows.into_iter().any(|row: serde_json::Value| own(&row)), "{logs:?}");
    assert!(logs.out.chars().all(|c| c == '\n' || is_printable(c)), "{logs:?}");
}
