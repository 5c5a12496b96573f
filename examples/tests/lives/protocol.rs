//! The snippets of docs/protocol.md, run as they stand there.

use std::fs;
use std::path::PathBuf;

use crate::jar::{Jar, Remains};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// The page's one code block in `language`, in a file.
fn snippet(jar: &Jar, language: &str) -> PathBuf {
    let fence = format!("```{language}\n");
    let (_, after) = PAGE.split_once(&fence).unwrap();
    let (code, rest) = after.split_once("```").unwrap();
    assert!(!rest.contains(&fence), "two snippets in {language}");
    let file = jar.state().join("snippet");
    fs::write(&file, code).unwrap();
    file
}

/// Lives twice: asked to leave after the first step, then to the end.
fn live_twice(language: &str, interpreter: &str) -> (Jar, Remains) {
    let mut jar = Jar::new();
    let file = snippet(&jar, language);
    fs::write(jar.stop_file(), "").unwrap();
    let left = jar.start(interpreter, [&file]).wait();
    assert_eq!(left.status.code(), Some(75), "{}", left.log);
    let progress = jar.progress().unwrap();
    assert_eq!((progress.step, progress.total), (Some(1), Some(10)));
    assert_eq!(progress.checkpoint.as_deref(), jar.state().join("count").to_str());

    fs::remove_file(jar.stop_file()).unwrap();
    fs::write(jar.state().join("count"), "7").unwrap();
    let done = jar.start(interpreter, [&file]).wait();
    assert_eq!(done.status.code(), Some(0), "{}", done.log);
    assert_eq!(jar.step(), 10);
    (jar, done)
}

#[test]
fn the_shells_snippet_counts_on_where_it_was() {
    let (jar, done) = live_twice("sh", "/bin/sh");
    assert_eq!(fs::read_to_string(jar.state().join("count")).unwrap(), "10\n");
    // systemd-notify comes with systemd; where it is missing the shell says so and goes on.
    let complaints = done.log.lines().filter(|line| !line.contains("systemd-notify"));
    assert_eq!(complaints.count(), 0, "{}", done.log);
}

#[test]
fn pythons_snippet_counts_on_where_it_was_and_says_so() {
    let (_jar, done) = live_twice("python", "/usr/bin/python3");
    let expected = ["STATUS=counted to 8", "STATUS=counted to 9", "STATUS=counted to 10"];
    let heard: Vec<_> = std::iter::once("READY=1".to_owned())
        .chain(expected.map(|status| format!("{status}\nWATCHDOG=1")))
        .collect();
    assert_eq!(done.heard, heard);
    assert_eq!(done.log, "");
}
