//! What stands in a definition is what runs: limits, commands, sandbox; and a broken one hurts nobody.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Scenario;
use crate::bij::{
    define_command, define_script, history, systemctl, unit, wait_for_ended, wait_for_line,
    wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::{define, define_env, property};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("definition_env_edited_then_restart", Lane::ALL, env_edited_then_restart),
    Scenario::new("definition_edited_then_restart", Lane::CONTAINER, edited_then_restart),
    Scenario::new(
        "definition_command_arrives_unchanged",
        Lane::CONTAINER,
        command_arrives_unchanged,
    ),
    Scenario::new("definition_sandbox_is_tight", Lane::CONTAINER, sandbox_is_tight),
    Scenario::new("definition_programs_find_a_home", Lane::CONTAINER, programs_find_a_home),
    Scenario::new(
        "definition_programs_get_what_is_documented",
        Lane::CONTAINER,
        programs_get_what_is_documented,
    ),
    Scenario::new("definition_neighbours_are_strangers", Lane::ALL, neighbours_are_strangers),
    Scenario::new("definition_broken_hurts_nobody_else", Lane::CONTAINER, broken_hurts_nobody_else),
];

fn ensure_limit(guest: &Guest, id: &str, bytes: u64) -> Result<(), Failure> {
    let expected = bytes.to_string();
    ensure_eq!(property(&unit(id), "MemoryMax")?, expected, "MemoryMax of {id}");
    if guest.lane() != Lane::Machine {
        ensure_eq!(guest.kernel_memory_limit(&unit(id))?, expected, "the kernel's limit of {id}");
    }
    Ok(())
}

fn env_edited_then_restart(guest: &Guest) -> Result<Next, Failure> {
    let id = "definition_env";
    define_script(id, "exec sleep 600", "[limits]\nmemory = \"64M\"")?;
    systemctl("start", id)?.success()?;
    ensure_limit(guest, id, 64 << 20)?;
    define_env(id, "EXPERIMENT_RAM_LIMIT=128M\n")?;
    systemctl("restart", id)?.success()?;
    ensure_limit(guest, id, 128 << 20)?;
    define_env(id, "EXPERIMENT_RAM_LIMIT=96M\n")?;
    systemctl("restart", id)?.success()?;
    ensure_limit(guest, id, 96 << 20)?;
    Ok(Next::Done)
}

fn edited_then_restart(guest: &Guest) -> Result<Next, Failure> {
    let id = "definition_edited";
    define_script(id, "echo first; exec sleep 600", "[limits]\nmemory = \"64M\"")?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "first")?;
    define_script(id, "echo second; exec sleep 600", "[limits]\nmemory = \"48M\"")?;
    systemctl("restart", id)?.success()?;
    wait_for_line(guest, id, "second")?;
    ensure_limit(guest, id, 48 << 20)?;
    Ok(Next::Done)
}

/// Whatever has a meaning to systemd, to a shell or to a parser.
const AWKWARD: &[&str] = &[
    "%i",
    "%%",
    "%",
    "$HOME",
    "${HOME}",
    "$$",
    "a b",
    "  ",
    "",
    "it's",
    "\"quoted\"",
    "back\\slash",
    "\\x41\\n",
    "two\nlines",
    "tab\there",
    "\u{fc}n\u{ef}c\u{f6}de \u{1F9E0}",
    ";",
    "a;b",
    "*",
    "~",
    "@",
    "-",
    "--",
    "#no comment",
    "trailing\\",
    "\u{1}",
    "\u{7f}",
];

fn command_arrives_unchanged(guest: &Guest) -> Result<Next, Failure> {
    let id = "definition_awkward";
    let script = "import json, os, sys\n\
                  path = os.path.join(os.environ[\"BIJ_STATE_DIR\"], 'arguments')\n\
                  open(path, 'w').write(json.dumps(sys.argv[1:]))";
    let command = [&["/usr/bin/python3", "-c", script], AWKWARD].concat();
    define_command(id, &command, "[restart]\nburst = 1")?;
    systemctl("start", id)?;
    let rows = wait_for_ended(guest, id, 1)?;
    ensure_eq!(rows[0]["cause"], "success", "the attempt {}", rows[0]);
    let path = format!("/var/lib/brain-in-jar/experiments/{id}/arguments");
    let text =
        fs::read_to_string(&path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
    let arrived: Vec<String> = serde_json::from_str(&text)?;
    ensure_eq!(arrived, AWKWARD, "the arguments");
    Ok(Next::Done)
}

/// What programs write below their home, as libraries with a cache do.
const CACHES: &str = r#"/usr/bin/python3 -c '
import os, resource
for place in ("~/.cache/huggingface", "~/.triton/cache", "~/.config/matplotlib"):
    os.makedirs(os.path.expanduser(place))
print("home", os.environ["HOME"], "files", resource.getrlimit(resource.RLIMIT_NOFILE)[0],
      "locked", resource.getrlimit(resource.RLIMIT_MEMLOCK)[0], flush=True)'; exec sleep 600"#;

/// A dynamic user has a home that it can write, in its state directory; limits of a process are the
/// template's or the definition's.
fn programs_find_a_home(guest: &Guest) -> Result<Next, Failure> {
    let (plain, asks) = ("home_plain", "home_asks");
    define_script(plain, CACHES, "")?;
    define_script(
        asks,
        CACHES,
        "environment = { HOME = \"/tmp\" }\n[limits]\nopen_files = 4096\nlocked_memory = \"8K\"",
    )?;
    for id in [plain, asks] {
        systemctl("start", id)?.success()?;
    }
    // A container may have a lower hard limit, which systemd then takes.
    let limits = fs::read_to_string("/proc/1/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let files = hard.unwrap_or(u64::MAX).min(65536);
    let home = format!("home /var/lib/brain-in-jar/experiments/{plain} files {files}");
    wait_for_line(guest, plain, &home)?;
    wait_for_line(guest, asks, "home /tmp files 4096 locked 8192")?;
    Ok(Next::Done)
}

/// Every variable that docs/protocol.md promises to an experiment with a user of its own, as it says.
fn programs_get_what_is_documented(guest: &Guest) -> Result<Next, Failure> {
    const PROTOCOL: &str = include_str!("../../../docs/protocol.md");
    let id = "home_documented";
    let script = "python3 -c 'import json, os; print(\"env \" + json.dumps(dict(os.environ)), flush=True)'; \
                  test -w /dev/shm && exec sleep 600";
    define_script(id, script, "")?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "env {")?;
    let log = run("bij", ["logs", id])?.success()?;
    let line = log
        .stdout()
        .lines()
        .find_map(|line| line.split_once("env ")?.1.starts_with('{').then_some(line));
    let json = line.and_then(|line| Some(line.split_once("env ")?.1)).unwrap_or_default();
    let environment: BTreeMap<String, String> = serde_json::from_str(json)?;
    let table =
        PROTOCOL.lines().skip_while(|line| !line.starts_with("| variable or limit |")).skip(2);
    let mut checked = 0;
    for row in table.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, names, promise, ..] = cells.as_slice() else {
            return Err(Failure::new(format!("no row of two cells: {row}")));
        };
        let is_variable = |name: &&str| {
            name.bytes().all(|byte| byte.is_ascii_uppercase() || b"_*".contains(&byte))
        };
        for name in names.split('`').skip(1).step_by(2).filter(is_variable) {
            let found: Vec<_> = match name.split_once('*') {
                Some((head, tail)) => environment
                    .iter()
                    .filter(|(name, _)| name.starts_with(head) && name.ends_with(tail))
                    .collect(),
                None => environment.get_key_value(name).into_iter().collect(),
            };
            if promise.starts_with("not set") {
                ensure!(found.is_empty(), "{name} is documented as not set: {found:?}");
            } else if let Some((value, _)) =
                promise.strip_prefix('`').and_then(|rest| rest.split_once('`'))
            {
                let value = value.replace("ID", id);
                ensure_eq!(
                    found.first().map(|(_, is)| is.as_str()),
                    Some(value.as_str()),
                    "{name} as documented"
                );
            } else if name == "PATH" {
                ensure!(found[0].1.starts_with("/usr/local/sbin:/usr/local/bin:"), "{found:?}");
            } else {
                ensure!(
                    name.starts_with("LANG") || name.starts_with("LC_"),
                    "no check for {name}: {promise}"
                );
            }
            checked += 1;
        }
    }
    ensure!(checked >= 9, "only {checked} variables stand in the table");
    Ok(Next::Done)
}

fn sandbox_is_tight(guest: &Guest) -> Result<Next, Failure> {
    let id = "definition_tight";
    let script = "touch /etc/mark /usr/mark /home/mark 2>&1; id -u; \
                  touch \"$BIJ_STATE_DIR/mark\" && echo may write there; exec sleep 600";
    define_script(id, script, "")?;
    systemctl("start", id)?.success()?;
    wait_for_line(guest, id, "may write there")?;
    for place in ["/etc/mark", "/usr/mark", "/home/mark"] {
        ensure!(!Path::new(place).exists(), "the experiment could write {place}");
    }
    let control = property(&unit(id), "NoNewPrivileges")?;
    ensure_eq!(control, "yes", "NoNewPrivileges");
    if guest.systemd() >= 252 {
        let output = run("systemd-analyze", ["security", "--no-pager", &unit(id)])?.success()?;
        let level = output
            .stdout()
            .lines()
            .find_map(|line| line.split_once("Overall exposure level")?.1.split_once(": "))
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<f64>().ok());
        let Some(level) = level else {
            return Err(output.unexpected("an overall exposure level"));
        };
        if level > 1.8 {
            return Err(output.unexpected("an exposure of at most 1.8"));
        }
    }
    Ok(Next::Done)
}

/// Neither its files nor its processes are anybody else's, other experiments included.
fn neighbours_are_strangers(guest: &Guest) -> Result<Next, Failure> {
    let secret =
        "echo secret >\"$BIJ_STATE_DIR/checkpoint\"; echo \"I am $(id -u)\"; exec sleep 600";
    define_script("stranger_one", secret, "")?;
    systemctl("start", "stranger_one")?.success()?;
    wait_for_line(guest, "stranger_one", "I am ")?;
    let pid = property(&unit("stranger_one"), "MainPID")?;
    let spy = format!(
        "cat \"$BIJ_STATE_DIR\"/../stranger_one/checkpoint; kill -KILL {pid}; echo \"tried as $(id -u)\""
    );
    define_script("stranger_two", &spy, "")?;
    systemctl("start", "stranger_two")?.success()?;
    wait_for_line(guest, "stranger_two", "tried as ")?;
    let lines = run("bij", ["logs", "stranger_two"])?.success()?;
    ensure!(!lines.stdout().contains("secret"), "it read: {}", lines.stdout());
    ensure_eq!(property(&unit("stranger_one"), "MainPID")?, pid, "MainPID of the first");
    ensure_eq!(property(&unit("stranger_one"), "User")?, "bij-stranger_one", "its user");
    Ok(Next::Done)
}

fn broken_hurts_nobody_else(guest: &Guest) -> Result<Next, Failure> {
    define("broken_key", "command = [\"/bin/true\"]\n[limits]\nmemroy = \"1G\"\n")?;
    define("broken_size", "command = [\"/bin/true\"]\n[limits]\nmemory = \"8 bananas\"\n")?;
    let folder = "/etc/brain-in-jar/experiments";
    fs::write(format!("{folder}/broken_utf8.toml"), b"command = [\"\xff\"]\n")?;
    fs::write(format!("{folder}/broken_nul.toml"), b"command = [\"a\0b\"]\n")?;
    fs::write(format!("{folder}/broken_big.toml"), vec![b'#'; 10 << 20])?;
    fs::create_dir_all(format!("{folder}/broken_folder.toml"))?;
    define_script("sound", "exec sleep 600", "")?;
    sh("systemctl daemon-reload")?.success()?;
    systemctl("start", "sound")?.success()?;
    for id in
        ["broken_key", "broken_size", "broken_utf8", "broken_nul", "broken_big", "broken_folder"]
    {
        let started = systemctl("start", id)?;
        ensure!(
            !started.succeeded() || property(&unit(id), "ActiveState")? != "active",
            "{id} was started"
        );
        wait_for_state(guest, id, "failed")?;
        ensure_eq!(property(&unit(id), "ExecMainStatus")?, "78", "ExecMainStatus of {id}");
        ensure!(history(id).is_ok_and(|rows| rows.is_empty()), "{id} has an attempt");
    }
    wait_for_line(guest, "broken_key", "memroy")?;
    ensure_eq!(property(&unit("sound"), "ActiveState")?, "active", "the sound neighbour");
    Ok(Next::Done)
}
