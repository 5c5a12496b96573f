//! Completion in shells.

use std::process::Command;

use super::bij::{Bij, CallResult};

/// Returns the completions of the last of these words.
fn offered(bij: &Bij, words: &[&str]) -> Vec<String> {
    let root = bij.path("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bij"));
    command.env("_BIJ_COMPLETE", "bash").arg("--").arg("bij");
    command.arg(format!("--root={}", root.display())).args(words);
    command.env("_CLAP_COMPLETE_INDEX", (words.len() + 1).to_string());
    let result = CallResult::from(command.current_dir(&root).output().unwrap());
    assert_eq!(result.code, 0, "{result:?}");
    result.out.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn experiments_files_verbs_and_options_are_offered() {
    let bij = Bij::new();
    for file in ["amnesiac_001.toml", "amnesiac_002.json", "train.toml"] {
        bij.define(file, "");
    }
    bij.write("amnesiac.toml", "");
    for verb in ["start", "status", "logs", "enable", "history"] {
        assert_eq!(offered(&bij, &[verb, "amn"]), ["amnesiac_001", "amnesiac_002"], "{verb}");
    }
    let targets = offered(&bij, &["submit", "amn"]);
    assert_eq!(targets, ["amnesiac_001", "amnesiac_002", "amnesiac.toml"]);
    assert_eq!(offered(&bij, &["stop", "train", "tr"]), ["train"], "each of several");
    assert_eq!(offered(&bij, &["submit", "--after", "tr"]), ["train"]);
    assert_eq!(offered(&bij, &["prio"]), ["priority"]);
    assert_eq!(offered(&bij, &["submit", "--dry"]), ["--dry-run"]);
    assert!(!offered(&bij, &[""]).contains(&"local-shim".to_owned()));
    assert_eq!(offered(&bij, &["why", "x"]), [""; 0], "nothing is queued");
}

#[test]
fn a_foreign_completion_variable_changes_nothing() {
    let bij = Bij::new();
    let result = CallResult::from(bij.command(&["list"]).env("COMPLETE", "bash").output().unwrap());
    assert_eq!((result.code, result.err.as_str()), (0, "0 experiments listed.\n"), "{result:?}");
}

#[test]
fn the_script_for_bash_completes() {
    let bij = Bij::new();
    bij.define("amnesiac_001.toml", "");
    let script = bij.call(&["completions", "bash"]);
    assert_eq!(script.code, 0, "{script:?}");
    let path = bij.write("completion.bash", &script.out);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_bij")).parent().unwrap();
    let ask = format!(
        "PATH={}:$PATH; source {}; COMP_WORDS=(bij --root={} status amn); COMP_CWORD=3; \
         COMP_TYPE=9; $(complete -p bij | sed 's/.*-F \\([^ ]*\\).*/\\1/') bij amn status; \
         echo \"${{COMPREPLY[@]}}\"",
        program.display(),
        path.display(),
        bij.path("").display()
    );
    let result = CallResult::from(Command::new("bash").args(["-c", &ask]).output().unwrap());
    assert_eq!(result.out, "amnesiac_001\n", "{result:?}");
}

#[test]
fn each_shell_has_its_script() {
    let bij = Bij::new();
    for (shell, line) in [
        ("bash", "_BIJ_COMPLETE=\"bash\""),
        ("zsh", "#compdef bij"),
        ("fish", "complete --keep-order --exclusive --command bij"),
    ] {
        let script = bij.call(&["completions", shell]);
        assert!(script.out.contains(line), "{shell}: {script:?}");
    }
    assert_eq!(bij.call(&["completions", "csh"]).code, 2);
}
