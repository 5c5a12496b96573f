//! The command line of an experiment, as `ExecStart=` takes it.

use super::quote::word;

/// Starts a program that systemd itself would not take, by its `$PATH` and without touching its
/// arguments.
const ENV: [&str; 2] = ["/usr/bin/env", "--"];
/// The same for a program with a `=` in its name, which env(1) would take for a variable.
const SHELL: [&str; 3] = ["/bin/sh", "-c", "exec \"$0\" \"$@\""];

/// The value of `ExecStart=` by which the process gets exactly `command`.
///
/// The prefix `:` (systemd 244) switches off `$` expansion. Every argument is quoted, so that a
/// lone `;` is an argument and an empty one is one too. The program is not: systemd takes prefixes
/// off it even inside quotes, and refuses quotes, backslashes and control characters in it.
pub(super) fn exec_start(command: &[String]) -> String {
    let (program, arguments) = command.split_first().map_or(("", &[][..]), |(p, a)| (p, a));
    let wrapper = match (systemd_takes(program), program.contains('=')) {
        (true, _) => &[][..],
        (false, false) => &ENV[..],
        (false, true) => &SHELL[..],
    };
    let mut words = wrapper.iter().copied().chain([program]);
    let first = words.next().unwrap_or_default();
    let rest = words.chain(arguments.iter().map(String::as_str)).map(word);
    std::iter::once(prefixed(first)).chain(rest).collect::<Vec<_>>().join(" ")
}

/// The first word with its prefix, which belongs inside the quotes: systemd takes those off first,
/// and knows quotes only around a whole word (systemd.service(5), "Command lines").
fn prefixed(program: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
    let text = format!(":{program}");
    if program.chars().all(plain) { text } else { word(&text) }
}

/// Whether systemd runs this program as it is (`config_parse_exec` of its load-fragment.c): an
/// absolute path or a bare name, of safe characters, not beginning with a prefix, and not a
/// directory's name.
fn systemd_takes(program: &str) -> bool {
    let safe = !program.chars().any(|c| c.is_ascii_control() || matches!(c, '"' | '\'' | '\\'));
    let absolute = program.starts_with('/') && !program.ends_with('/');
    let bare = !program.contains('/')
        && !matches!(program, "" | "." | "..")
        && !program.starts_with(['-', '@', ':', '+', '!', '|']);
    // It simplifies a path before it runs it, and the experiment would see that in `argv[0]`.
    let simple = !program.contains("//") && !program.split('/').any(|part| part == ".");
    safe && simple && (absolute || bare)
}
