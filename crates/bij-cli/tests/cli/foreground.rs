//! `bij run` supervises, and the other verbs work beside it.

use std::io::Read as _;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bij::{Bij, CallResult, wait_until};

const ENDLESS: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";

fn is_up(bij: &Bij, id: &str) -> bool {
    bij.call(&["--json", "status", id]).out.contains("\"sub_state\":\"running\"")
}

#[test]
fn a_command_runs_and_its_code_is_ours() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"sh\", \"-c\", \"echo out; echo err >&2; exit 78\"]\n");
    let ran = bij.call(&["run", "x"]);
    assert_eq!((ran.code, ran.out.as_str()), (78, "out\n"), "{ran:?}");
    assert!(ran.err.contains("err\n") && ran.err.contains("exit code 78"), "{ran:?}");
    let quiet = bij.call(&["--quiet", "run", "--", "sh", "-c", "echo a"]);
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (0, "a\n", ""));
}

#[test]
fn a_command_gets_a_name_keeps_its_arguments_and_runs_here() {
    let bij = Bij::new();
    let odd = "a b\t%i $HOME \"q\" 'é'";
    let ran = bij.call(&["run", "--", "/usr/bin/printf", "%s|%s|", odd, ""]);
    assert_eq!((ran.code, ran.out.as_str()), (0, format!("{odd}||\n").as_str()), "{ran:?}");
    assert_eq!(bij.call(&["--json", "list"]).json()[0]["id"], "printf-1");
    let here = std::env::current_dir().unwrap();
    let ran = bij.call(&["run", "--name", "pwd", "--", "pwd"]);
    assert_eq!(ran.out.trim_end(), here.to_str().unwrap());
}

#[test]
fn a_command_takes_the_tools_of_its_shell_along_and_no_secret() {
    let bij = Bij::new();
    let helper = bij.write("env/bin/helper", "#!/bin/sh\necho helped\n");
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bij.path("env/bin").display());
    let run = |options: &[&str]| -> CallResult {
        let script = "helper; echo [$VIRTUAL_ENV] [$HF_TOKEN] [$SEED] [$LANG]";
        let words = [&["-q", "run"], options, &["--", "sh", "-c", script]].concat();
        let mut command = bij.command(&words);
        command.env("PATH", &path).env("VIRTUAL_ENV", "/v").env("LANG", "C.UTF-8");
        command.env("HF_TOKEN", "secret").env("SEED", "42").output().unwrap().into()
    };
    assert_eq!(run(&[]).out, "helped\n[/v] [] [] [C.UTF-8]\n");
    assert_eq!(run(&["-E", "SEED"]).out, "helped\n[/v] [] [42] [C.UTF-8]\n");
    let clean = run(&["--clean-env"]);
    assert!(clean.out == "[] [] [] [C.UTF-8]\n" && clean.err.contains("helper"), "{clean:?}");
    let unset = run(&["-E", "NOT_SET_HERE"]);
    assert!(unset.code == 2 && unset.err.contains("NOT_SET_HERE is not set here"), "{unset:?}");
}

#[test]
fn an_experiment_is_restarted_after_a_crash_and_gets_the_cause() {
    let bij = Bij::new();
    let script = "echo $BIJ_ATTEMPT $BIJ_CRASHES $BIJ_LAST_CAUSE; [ $BIJ_CRASHES = 1 ] || exit 3";
    bij.define("x.toml", format!("command = [\"sh\", \"-c\", {script:?}]\n[restart]\ndelay = 0\n"));
    let ran = bij.call(&["--json", "run", "x"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let attempts = ran.json();
    let causes: Vec<_> = attempts.as_array().unwrap().iter().map(|row| &row["cause"]).collect();
    assert_eq!(causes, ["exit", "success"]);
    assert!(ran.err.contains("2 1 exit"), "{ran:?}");
    let status = bij.call(&["--json", "status", "x"]).json();
    assert_eq!((&status["crashes"], &status["crashes_by_cause"]["exit"]), (&1.into(), &1.into()));
    let history = bij.call(&["--json", "history", "x"]).json();
    let keys: Vec<_> = history[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys.iter().collect::<std::collections::BTreeSet<_>>(),
        [
            "run",
            "attempt",
            "boot_id",
            "invocation_id",
            "started",
            "ended",
            "cause",
            "exit_code",
            "signal",
            "evidence",
            "board"
        ]
        .iter()
        .collect()
    );
    assert_eq!((&history[0]["exit_code"], &history[0]["signal"]), (&3.into(), &().into()));
}

#[test]
fn work_in_the_background_is_a_success_with_a_warning() {
    let bij = Bij::new();
    let text = "setsid sh -c 'sleep 60; true' >/dev/null 2>&1 & sleep 0.1";
    let ran = bij.call(&["run", "--name", "x", "--", "sh", "-c", text]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let message = "left behind and killed (";
    let warning = ran.err.lines().find(|line| line.starts_with("warning: x#1: "));
    assert!(warning.is_some_and(|line| line.contains(message)), "{ran:?}");
    let history = bij.call(&["--json", "history", "x"]).json();
    assert_eq!(history[0]["cause"], "success");
    let evidence = &history[0]["evidence"];
    assert!(evidence["notes"].to_string().contains(message), "{evidence}");
    assert!(evidence["left_behind"]["count"].as_u64() >= Some(1), "{evidence}");
    let shown = bij.call(&["history", "x"]);
    assert!(shown.out.contains("left behind"), "{shown:?}");
}

#[test]
fn several_experiments_run_side_by_side_with_their_names() {
    let bij = Bij::new();
    let one = bij.write("files/one.toml", "command = [\"echo\", \"1\"]\n");
    bij.define("two.toml", "command = [\"sh\", \"-c\", \"echo 2; exit 78\"]\n");
    let ran = bij.call(&["run", one.to_str().unwrap(), "two"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    let mut lines: Vec<&str> = ran.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one | 1", "two | 2"]);
    let logs = bij.call(&["logs", "two", "1"]).out;
    assert_eq!(logs.lines().count(), 1, "{logs}");
}

#[test]
fn the_first_interrupt_stops_in_order_and_the_ledger_has_the_requester() {
    let bij = Bij::new();
    bij.define("x.toml", format!("command = [\"sh\", \"-c\", {ENDLESS:?}]\n"));
    let child = bij.spawn(&["run", "x"]);
    wait_until("it is up", || is_up(&bij, "x"));
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let ran = CallResult::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("Stopping in good order"), "{ran:?}");
    let history = bij.call(&["--json", "history", "x"]).json();
    assert_eq!(history[0]["cause"], "stopped");
    let by = history[0]["evidence"]["order"]["by"].as_str().unwrap().to_owned();
    assert!(by.starts_with("Ctrl-C by "), "{by}");
}

#[test]
fn the_second_interrupt_kills() {
    let bij = Bij::new();
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    bij.define("x.toml", format!("command = [\"sh\", \"-c\", {deaf:?}]\n[stop]\ngrace = 300\n"));
    let child = bij.spawn(&["run", "x"]);
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    wait_until("it is up", || is_up(&bij, "x"));
    wait_until("its trap is set", || bij.call(&["logs", "x", "1"]).out.contains("up"));
    kill(pid, Signal::SIGINT).unwrap();
    wait_until("it is being stopped", || !is_up(&bij, "x"));
    kill(pid, Signal::SIGINT).unwrap();
    let ran = CallResult::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 137, "{ran:?}");
}

#[test]
fn a_terminal_that_closes_stops_in_order_also_after_a_second_sighup() {
    let bij = Bij::new();
    let slow = "trap 'sleep 0.5; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    bij.define("x.toml", format!("command = [\"sh\", \"-c\", {slow:?}]\n"));
    let child = bij.spawn(&["run", "x"]);
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    wait_until("it is up", || is_up(&bij, "x"));
    wait_until("its trap is set", || bij.call(&["logs", "x", "1"]).out.contains("up"));
    kill(pid, Signal::SIGHUP).unwrap();
    wait_until("it is being stopped", || !is_up(&bij, "x"));
    kill(pid, Signal::SIGHUP).unwrap();
    let ran = CallResult::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let history = bij.call(&["--json", "history", "x"]).json();
    assert_eq!(history[0]["cause"], "stopped", "{history}");
    let by = history[0]["evidence"]["order"]["by"].as_str().unwrap();
    assert!(by.starts_with("a closed terminal by "), "{by}");
}

#[test]
fn other_verbs_work_beside_a_foreground_run() {
    let bij = Bij::new();
    bij.define("x.toml", format!("command = [\"sh\", \"-c\", {ENDLESS:?}]\n"));
    let child = bij.spawn(&["run", "x"]);
    wait_until("it is up", || is_up(&bij, "x"));
    let status = bij.call(&["--json", "status", "x"]).json();
    assert_eq!((&status["state"], &status["attempt"]), (&"active".into(), &1.into()));
    assert!(status["pid"].is_number());
    wait_until("its line is in the log", || bij.call(&["logs", "x"]).out.contains(" x: up"));
    let again = bij.call(&["run", "x"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("already running"), "{again:?}");
    let stopped = bij.call(&["stop", "brain-experiment@x"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let ran = CallResult::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let stopped = bij.call(&["--json", "stop", "x"]).json();
    assert_eq!(stopped[0]["outcome"], "unchanged");
}

#[test]
fn a_closed_pipe_ends_quietly_and_in_order() {
    let bij = Bij::new();
    let chatty = "exec 2>/dev/null; trap 'exit 0' TERM; while :; do echo line; sleep 0.01; done";
    bij.define("x.toml", format!("command = [\"sh\", \"-c\", {chatty:?}]\n"));
    let mut child = bij.spawn(&["--quiet", "run", "x"]);
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 5]).unwrap();
    drop(out);
    let ran = CallResult::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let history = bij.call(&["--json", "history", "x"]).json();
    assert_eq!(history[0]["cause"], "stopped", "{history}");
    // The same for a verb that only prints.
    let mut child = bij.spawn(&["logs", "x"]);
    drop(child.stdout.take());
    let result = CallResult::from(child.wait_with_output().unwrap());
    assert_eq!((result.code, result.err.as_str()), (0, ""), "{result:?}");
}

#[test]
fn additions_hold_for_this_run_only() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"sh\", \"-c\", \"echo $SEED\"]\n");
    assert_eq!(bij.call(&["run", "-E", "SEED=7", "x"]).out, "7\n");
    assert_eq!(bij.call(&["run", "x"]).out, "\n");
}

#[test]
fn an_older_config_that_python_wrote_runs() {
    let bij = Bij::new();
    let runner = "[runner]\ncommand = [\"/bin/cat\", \"{config}\"]\n";
    bij.write("etc/brain-in-jar/coordinator.toml", runner);
    let config = "{\"experiment_id\": \"inf\", \"clip\": Infinity, \"lr\": 1, \"lr\": 2}\n";
    bij.define("inf.json", config);
    let result = bij.call(&["run", "inf"]);
    assert_eq!((result.code, result.out.as_str()), (0, config), "{result:?}");
    assert!(
        result.err.contains("warning: ") && result.err.contains("inf.json:1: Infinity, in column")
    );
    assert_eq!(bij.call(&["check", "inf"]).code, 0);
    bij.define("inf.json", "{\"command\": [\"true\"], \"clip\": Infinity}\n");
    let result = bij.call(&["check", "inf"]);
    assert_eq!(result.code, 101, "{result:?}");
    assert!(result.out.contains("Infinity, in column 31"), "{result:?}");
}
