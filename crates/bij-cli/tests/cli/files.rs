//! Files that an experiment controls are read without trust.

use nix::sys::stat::Mode;

use super::bij::Bij;

#[test]
fn a_pipe_or_a_link_as_progress_file_is_not_read() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]\n");
    assert_eq!(bij.call(&["run", "x"]).code, 0);
    let progress = bij.path("var/lib/brain-in-jar/experiments/x/progress");
    std::fs::create_dir_all(progress.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(&progress);
    nix::unistd::mkfifo(&progress, Mode::S_IRWXU).unwrap();
    let list = bij.call(&["--json", "list"]);
    assert_eq!(list.code, 0, "{list:?}");
    assert_eq!(list.json()[0]["progress"], serde_json::Value::Null);
    std::fs::remove_file(&progress).unwrap();
    let secret = bij.write("secret", "step=1 text=secret\n");
    std::os::unix::fs::symlink(secret, &progress).unwrap();
    assert_eq!(bij.call(&["--json", "list"]).json()[0]["progress"], serde_json::Value::Null);
}

#[test]
fn the_last_whole_line_of_a_long_progress_file_is_shown() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]\n");
    assert_eq!(bij.call(&["run", "x"]).code, 0);
    let lines = "step=1 text=old\n".repeat(70_000) + "step=2 text=ne\x1bw\nstep=3 te";
    assert!(lines.len() > 1_000_000);
    bij.write("var/lib/brain-in-jar/experiments/x/progress", lines);
    let progress = &bij.call(&["--json", "list"]).json()[0]["progress"];
    assert_eq!((progress["step"].as_u64(), progress["text"].as_str()), (Some(2), Some("new")));
}
