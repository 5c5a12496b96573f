//! Bad input: an error with a remedy and the exit code of its kind, no change, no panic.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::bij::{Bij, CallResult};

/// Calls `bij` and expects this code, these fragments on stderr, nothing on stdout, and an unchanged tree.
fn refused(bij: &Bij, words: &[&str], code: i32, fragments: &[&str]) {
    let before = bij.listing();
    let call = bij.call(words);
    assert_eq!(call.code, code, "{words:?}: {call:?}");
    for fragment in fragments {
        assert!(call.err.contains(fragment), "{words:?} does not say {fragment:?}: {}", call.err);
    }
    assert!(!call.err.contains("panicked"), "{words:?}: {}", call.err);
    assert_eq!(call.out, "", "{words:?}");
    assert_eq!(bij.listing(), before, "{words:?} changed something");
}

#[test]
fn an_invalid_id_reaches_no_path() {
    let bij = Bij::new();
    for id in ["../x", "%i", "a%i", "brain-experiment@../x.service", "x y", "é", ".x", ""] {
        for verb in ["status", "show", "stop", "history", "logs", "enable", "reset", "restart"] {
            refused(&bij, &[verb, id], 2, &["is not an experiment id", "A-Z a-z 0-9"]);
        }
        refused(&bij, &["start", id], 2, &["is not an experiment id"]);
    }
    refused(&bij, &["run", "%i"], 2, &["is not an experiment id"]);
    refused(&bij, &["run", "--name", "../x", "--", "true"], 2, &["is not an experiment id"]);
    let long = "x".repeat(65);
    refused(&bij, &["status", &long], 2, &["1 to 64"]);
}

#[test]
fn an_argument_that_is_not_utf8_is_refused_with_a_sentence() {
    let bij = Bij::new();
    for words in [&["status"][..], &["hold"], &["run", "--"], &["submit", "-E"]] {
        let output = bij.command(words).arg(OsStr::from_bytes(b"caf\xe9")).output().unwrap();
        let result = CallResult::from(output);
        let at = 3 + words.len();
        let text = format!("error: argument {at}, \"caf\\xe9\", is not UTF-8 text\nhint: ");
        assert_eq!((result.code, result.out.as_str()), (2, ""), "{words:?}: {result:?}");
        assert!(result.err.starts_with(&text), "{words:?}: {result:?}");
        assert!(!result.err.contains("Usage"), "{words:?}: {result:?}");
    }
}

#[test]
fn an_unknown_experiment_is_refused_by_every_verb() {
    let bij = Bij::new();
    for verb in ["status", "show", "stop", "history", "logs", "reset", "run", "check", "restart"] {
        refused(&bij, &[verb, "nosuch"], 102, &["there is no experiment nosuch", "hint:"]);
    }
    bij.define("amnesiac_001.toml", "command = [\"true\"]\n");
    refused(&bij, &["status", "amnesiac_01"], 102, &["amnesiac_01"]);
}

#[test]
fn an_error_in_a_definition_names_line_and_key() {
    let bij = Bij::new();
    let unknown = "command = [\"true\"]\n\n[limits]\nmemroy = \"8G\"\n";
    let path = bij.define("x.toml", unknown);
    let location = format!("{}:4", path.display());
    refused(&bij, &["run", "x"], 101, &[&location, "limits.memroy", "did you mean `memory`?"]);
    bij.define("x.toml", "command = [\"true\"]\n[limits]\nmemory = \"8Q\"\n");
    refused(&bij, &["run", "x"], 101, &[":3", "limits.memory", "8Q"]);
    bij.define("x.toml", b"command = [\"\x00\"]\n");
    refused(&bij, &["run", "x"], 101, &["x.toml"]);
    bij.define("x.toml", b"command = [\"\\u0000\"]\n");
    refused(&bij, &["run", "x"], 101, &["x.toml:1"]);
    bij.define("x.toml", b"command = [\"\xff\"]\n");
    refused(&bij, &["run", "x"], 101, &["UTF-8"]);
    bij.define("x.toml", "#".repeat(10 << 20));
    refused(&bij, &["run", "x"], 101, &["x.toml"]);
}

#[test]
fn a_path_that_is_not_a_file_is_not_a_definition() {
    let bij = Bij::new();
    std::fs::create_dir_all(bij.path("etc/brain-in-jar/experiments/d.toml")).unwrap();
    refused(&bij, &["run", "d"], 101, &["d.toml"]);
    let directory = bij.path("etc");
    refused(&bij, &["check", directory.to_str().unwrap()], 101, &["is a directory"]);
    refused(&bij, &["run", directory.to_str().unwrap()], 101, &["is a directory"]);
    refused(&bij, &["run", "/nowhere/x.toml"], 101, &["/nowhere/x.toml"]);
    refused(&bij, &["check", "/nowhere/x.toml"], 101, &["/nowhere/x.toml"]);
    let odd = bij.write("notes.txt", "command = [\"true\"]");
    refused(&bij, &["run", odd.to_str().unwrap()], 101, &[".toml or .json"]);
}

#[test]
fn a_command_that_cannot_run_is_refused_before_it_is_defined() {
    let bij = Bij::new();
    let text = bij.write("script.sh", "#!/bin/sh\n");
    let script = text.to_str().unwrap();
    refused(&bij, &["run", "--", script], 101, &["is not executable", "chmod +x"]);
    refused(&bij, &["run", "--", "no-such-program"], 101, &["there is no program no-such-program"]);
    refused(&bij, &["run", "--", "/"], 101, &["is a directory"]);
    refused(&bij, &["run", "--", ""], 101, &["empty"]);
    bij.define("x.toml", format!("command = [{script:?}]"));
    refused(&bij, &["run", "x"], 101, &["is not executable", "bij check x"]);
}

#[test]
fn an_error_in_the_command_line_names_the_right_spelling() {
    let bij = Bij::new();
    refused(&bij, &["run", "--limit", "memroy=1G", "--", "true"], 2, &["did you mean `memory`?"]);
    refused(&bij, &["run", "--limit", "memory=much", "--", "true"], 2, &["much"]);
    refused(&bij, &["run", "-E", "=x", "--", "true"], 2, &[]);
    refused(&bij, &["run"], 2, &["required"]);
    refused(&bij, &["satus"], 2, &["status"]);
    bij.define("x.toml", "command = [\"true\"]");
    refused(&bij, &["logs", "x", "--since", "soon"], 2, &["is not a time", "1 hour ago"]);
    refused(&bij, &["logs", "x", "--grep", "("], 2, &["regular expression"]);
    refused(&bij, &["logs", "--attempt", "1"], 2, &["exactly one ID"]);
    refused(&bij, &["run", "--name", "y", "x"], 2, &["--name"]);
}

#[test]
fn verbs_that_need_a_resident_manager_say_so() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]");
    refused(&bij, &["start", "x"], 105, &["resident", "bij run x"]);
    refused(&bij, &["start-all"], 105, &["resident"]);
    refused(&bij, &["restart", "x"], 105, &["bij run"]);
    refused(&bij, &["enable", "x"], 105, &["boot"]);
}

#[test]
fn check_reports_a_missing_config() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\", \"{config}\"]");
    let checked = bij.call(&["check", "x"]);
    assert_eq!(checked.code, 101, "{checked:?}");
    assert!(checked.out.contains("config"), "{checked:?}");
}

#[test]
fn check_warns_about_gpu_access_without_a_gpu() {
    let bij = Bij::new();
    bij.write("proc/devices", "Character devices:\n226 drm\n");
    bij.write("sys/kernel/notes", "");
    bij.define("x.toml", "command = [\"true\"]\ngpu.access = true\n");
    let checked = bij.call(&["check", "x"]);
    let sentence = "warning: gpu.access: no GPU device was found on this machine";
    assert!(checked.code == 0 && checked.out.contains(sentence), "{checked:?}");
    bij.write("dev/dri/renderD128", "");
    let checked = bij.call(&["check", "x"]);
    assert!(checked.code == 0 && !checked.out.contains("gpu"), "{checked:?}");
}

#[test]
fn check_warns_about_power_settings_that_the_board_does_not_support() {
    let bij = Bij::new();
    let power = "[power]\nmode = \"MAXN\"\nclocks = \"max\"\n";
    bij.define("x.toml", format!("command = [\"true\"]\n{power}"));
    let checked = bij.call(&["check", "x"]);
    assert!(checked.code == 0, "{checked:?}");
    for sentence in [
        "warning: power.mode: this machine has no power modes",
        "warning: power.clocks: this machine has no jetson_clocks",
    ] {
        assert!(checked.out.contains(sentence), "{checked:?}");
    }
    bij.write("usr/bin/jetson_clocks", "");
    bij.write("etc/nvpmodel.conf", "< POWER_MODEL ID=2 NAME=MODE_30W >\n< PM_CONFIG DEFAULT=2 >\n");
    let checked = bij.call(&["check", "x"]);
    let sentence = "warning: power.mode: this board has no power mode MAXN; it has MODE_30W";
    assert!(checked.out.contains(sentence) && !checked.out.contains("clocks"), "{checked:?}");
    bij.define("x.toml", "command = [\"true\"]\npower.mode = \"30w\"\n");
    assert!(!bij.call(&["check", "x"]).out.contains("warning"), "the board has it");
}

#[test]
fn a_path_that_is_not_there_keeps_an_experiment_from_starting() {
    let bij = Bij::new();
    for (key, value, remedy) in [
        ("config", "\"/nowhere/c.json\"", "there is no file /nowhere/c.json: write it"),
        ("directory", "\"/nowhere\"", "is not there: mkdir -p /nowhere"),
        ("writable", "[\"/nowhere/logs\"]", "is not there: mkdir -p /nowhere/logs"),
    ] {
        bij.define("x.toml", format!("command = [\"true\"]\n{key} = {value}\n"));
        let checked = bij.call(&["check", "x"]);
        assert_eq!(checked.code, 101, "{checked:?}");
        assert!(checked.out.contains(&format!("error: {key}: ")), "{checked:?}");
        assert!(checked.out.contains(remedy), "{checked:?}");
        refused(&bij, &["run", "x"], 101, &["/nowhere", "bij check x"]);
    }
}

#[test]
fn a_definition_that_cannot_be_opened_is_named() {
    let bij = Bij::new();
    bij.define("x.toml", "");
    let path = bij.path("etc/brain-in-jar/experiments/x.toml");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("x.toml", &path).unwrap();
    let checked = bij.call(&["check", "x"]);
    assert_eq!(checked.code, 101, "{checked:?}");
    assert!(checked.out.starts_with("x: error: cannot read "), "{checked:?}");
}
