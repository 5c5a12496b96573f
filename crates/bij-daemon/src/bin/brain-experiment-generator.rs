//! systemd calls this at boot and at every reload: see `bij_daemon::generate`.
//!
//! `brain-experiment-generator [--root DIR] NORMAL [EARLY LATE]`

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bij_daemon::{KernelLog, Place, chain, generate};
use bij_definitions::Definitions;

const PROGRAM: &str = "brain-experiment-generator";

/// A failure here must not fail the boot or the reload: it is told, and the code is 0.
fn main() {
    let arguments: Vec<OsString> = env::args_os().collect();
    let root = (arguments.get(1).is_some_and(|first| first == "--root"))
        .then(|| arguments.get(2).map(PathBuf::from))
        .flatten();
    let output = arguments.get(if root.is_some() { 3 } else { 1 }).map(Path::new);
    let user = is_user(&arguments);
    // Another tree than this machine's is looked at by a person, and so is a user's by its user.
    let kmsg = (root.is_none() && !user).then_some(Path::new("/dev/kmsg"));
    let mut log = KernelLog::open(PROGRAM, kmsg);
    if let Err(error) = run(root.as_deref().unwrap_or(Path::new("/")), user, output, &mut log) {
        log.warn(&format!("{error:#}"));
    }
}

fn run(root: &Path, user: bool, output: Option<&Path>, log: &mut KernelLog) -> Result<()> {
    let output = output.context("usage: brain-experiment-generator NORMAL EARLY LATE")?;
    let place = if user {
        Place::user(root, |name| env::var_os(name)).context("the user's files cannot be found")?
    } else {
        Place::system(root)
    };
    let generated = generate(&place, &Definitions::new(place.layout().clone()), output);
    for skipped in &generated.skipped {
        log.warn(&chain(skipped));
    }
    Ok(())
}

/// Whether a user's manager calls: it says so since systemd 251, before that the path does.
fn is_user(arguments: &[OsString]) -> bool {
    match env::var_os("SYSTEMD_SCOPE") {
        Some(scope) => scope == "user",
        None => arguments.first().is_some_and(|program| {
            Path::new(program).components().any(|part| part.as_os_str() == "user-generators")
        }),
    }
}
