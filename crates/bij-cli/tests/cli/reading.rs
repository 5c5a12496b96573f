//! Verbs that read: they answer also without a database, a manager or rights.

use bij_core::port::{Ledger as _, Opening};
use bij_core::{AttemptKey, BootId, InvocationId, StartKind};
use serde_json::json;

use super::bij::Bij;

#[test]
fn an_empty_machine_has_empty_listings() {
    let bij = Bij::new();
    let list = bij.call(&["list"]);
    assert_eq!((list.code, list.out.as_str()), (0, ""), "{list:?}");
    assert_eq!(list.err, "0 experiments listed.\n");
    assert_eq!(bij.call(&["--json", "list"]).json(), json!([]));
    assert_eq!(bij.call(&["--json", "status"]).json(), json!([]));
    assert_eq!(bij.call(&["--json", "history"]).json(), json!([]));
    assert_eq!(bij.call(&["history"]).err, "No attempts.\n");
    assert_eq!(bij.call(&["logs"]).err, "No lines.\n");
    assert_eq!(bij.call(&["check"]).err, "No definitions.\n");
    assert_eq!(bij.call(&["--quiet", "list"]).err, "");
    assert!(bij.listing().iter().all(|path| !path.ends_with("state.db")));
}

#[test]
fn an_experiment_that_never_ran_is_inactive() {
    let bij = Bij::new();
    bij.define("amnesiac_001.toml", "description = \"Total\"\ncommand = [\"true\"]\n");
    let status = bij.call(&["--json", "status", "brain-experiment@amnesiac_001.service"]);
    assert_eq!(
        status.json(),
        json!({
            "id": "amnesiac_001", "state": "inactive", "sub_state": "dead", "result": null,
            "frozen": false, "masked": false,
            "run": null, "attempt": null, "crashes": 0, "crashes_by_cause": {},
            "memory_current": null, "memory_peak": null, "memory_max": null,
            "gpu_memory": null, "gpu_memory_why": null, "memory_used": null,
            "cpu_usage_nsec": null, "cpu_quota_percent": null, "pid": null,
            "invocation_id": null, "since": null, "progress": null, "queued": null
        })
    );
    assert_eq!(bij.call(&["--json", "list"]).json(), json!([status.json()]));
    assert_eq!(bij.call(&["--json", "history", "amnesiac_001"]).json(), json!([]));
    let text = bij.call(&["status", "amnesiac_001"]);
    assert!(text.out.starts_with("○ amnesiac_001 - Total\n     Loaded: loaded ("), "{text:?}");
    assert!(text.out.contains("     Active: inactive (dead)\n"), "{text:?}");
}

#[test]
fn a_damaged_database_causes_a_warning_and_the_rest_is_shown() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]\n");
    bij.write(
        "var/lib/brain-in-jar/state.db",
        "this is no database, and never was one. ".repeat(99),
    );
    let list = bij.call(&["--json", "list"]);
    assert_eq!(list.code, 0, "{list:?}");
    assert_eq!(list.json()[0]["id"], "x");
    assert_eq!(list.json()[0]["crashes"], json!(null));
    assert!(list.err.contains("warning:") && list.err.contains("hint:"), "{list:?}");
    assert_eq!(bij.call(&["history", "x"]).code, 106);
}

#[test]
fn a_history_that_is_streamed_reads_as_one_that_is_not() {
    let bij = Bij::new();
    let mut store = super::absent::store(&bij);
    for number in 1..=1002_u32 {
        let key = AttemptKey {
            boot: BootId::from_bytes([1; 16]),
            invocation: InvocationId::from_bytes(u128::from(number).to_be_bytes()),
        };
        let experiment = if number == 1001 { "a_longer_name" } else { "x" }.parse().unwrap();
        let at = "2026-11-23T22:00:00Z".parse().unwrap();
        store
            .open(&Opening { experiment, key, at, uptime: None, start: StartKind::Fresh })
            .unwrap();
    }
    drop(store);
    for words in
        [&["history"][..], &["--json", "history"], &["history", "x"], &["--json", "history", "x"]]
    {
        let streamed = bij.call(words);
        let whole = bij.call(&[words, &["-n", "9999"]].concat());
        assert_eq!((streamed.code, &streamed.err), (0, &whole.err), "{words:?}");
        // How long an open attempt has taken may differ.
        let without_clock = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(without_clock(&streamed.out), without_clock(&whole.out), "{words:?}");
        assert!(streamed.out.len() > 10_000);
    }
    assert_eq!(bij.call(&["--json", "history"]).json().as_array().unwrap().len(), 1002);
}

#[test]
fn show_prints_all_settings_or_the_given_ones() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"/bin/echo\", \"a b\"]\n[limits]\nmemory = \"1G\"\n");
    let all = bij.call(&["show", "x"]).out;
    for line in [
        "Id=x",
        "ActiveState=inactive",
        "Crashes=0",
        "command=[\"/bin/echo\",\"a b\"]",
        "limits.memory=1073741824",
        "restart.delay=5s",
    ] {
        assert!(all.lines().any(|known| known == line), "{line} is not in {all}");
    }
    let some = bij.call(&["show", "x", "-p", "Id,limits.memory"]);
    assert_eq!(some.out, "Id=x\nlimits.memory=1073741824\n");
    assert_eq!(bij.call(&["show", "x", "-p", "restart.delay", "--value"]).out, "5s\n");
    assert_eq!(bij.call(&["--json", "show", "x"]).json()["limits.memory"], 1_073_741_824);
}

#[test]
fn without_a_verb_help_is_printed() {
    let bij = Bij::new();
    let help = bij.call(&[]);
    assert_eq!(help.code, 0);
    assert!(help.out.contains("Usage: bij") && help.out.contains("history"), "{help:?}");
    let long = bij.call(&["run", "--help"]);
    assert!(long.out.contains("128+N"), "{long:?}");
    assert!(!bij.call(&["--help"]).out.contains("local-shim"));
}

#[test]
fn the_schema_is_json() {
    assert!(Bij::new().call(&["schema"]).json()["properties"]["command"].is_object());
}

#[test]
fn check_lists_all_problems_and_valid_definitions() {
    let bij = Bij::new();
    bij.define("good.toml", "command = [\"true\"]\n");
    bij.define("bad.toml", "comand = [\"true\"]\n[limits]\ntasks = -1\n");
    let checked = bij.call(&["check"]);
    assert_eq!(checked.code, 101, "{checked:?}");
    assert!(checked.out.contains("bad.toml:1: error: comand"), "{checked:?}");
    assert!(checked.out.contains("bad.toml:3: error: limits.tasks"), "{checked:?}");
    assert!(checked.out.contains("good.toml: ok"), "{checked:?}");
    assert_eq!(bij.call(&["check", "good"]).code, 0);
    let json = bij.call(&["--json", "check", "bad"]).json();
    assert_eq!(json[0]["ok"], false);
    let lines: Vec<_> =
        json[0]["problems"].as_array().unwrap().iter().map(|p| &p["line"]).collect();
    assert!(lines.contains(&&json!(1)) && lines.contains(&&json!(3)), "{json}");
    bij.define("odd.toml", "command = [\"true\"]\nuser = \"nobody-by-this-name\"\n");
    let odd = bij.call(&["check", "odd"]);
    assert!(odd.out.contains("there is no user nobody-by-this-name"), "{odd:?}");
}

#[test]
fn check_and_run_read_the_first_line_of_a_script_as_the_kernel_does() {
    let bij = Bij::new();
    let script = |name: &str, text: &str| {
        let path = bij.write(name, text);
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).unwrap();
        bij.define(&format!("{name}.toml"), format!("command = [{path:?}]\n"));
        path
    };
    let windows = script("windows", "#!/bin/sh\r\necho hi\r\n");
    script("moved", "#!/opt/gone/venv/bin/python\n");
    script("unknown", "#!/usr/bin/env no-such-python\n");
    for (id, reason) in [
        ("windows", "its interpreter /bin/sh\\r is not there"),
        ("moved", "its interpreter /opt/gone/venv/bin/python is not there"),
    ] {
        let checked = bij.call(&["check", id]);
        assert_eq!(checked.code, 101, "{checked:?}");
        assert!(checked.out.contains(reason), "{checked:?}");
        let ran = bij.call(&["run", id]);
        assert_eq!(ran.code, 101, "{ran:?}");
        assert!(ran.err.contains(reason), "{ran:?}");
    }
    let ran = bij.call(&["run", "--", windows.to_str().unwrap()]);
    assert!(ran.code == 101 && ran.err.contains("lines of the file end as on Windows"), "{ran:?}");
    let warned = bij.call(&["check", "unknown"]);
    assert_eq!(warned.code, 0, "{warned:?}");
    assert!(warned.out.contains("env finds no no-such-python"), "{warned:?}");
}
