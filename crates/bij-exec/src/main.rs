//! `bij-exec ENVIRONMENT-FILE -- PROGRAM [ARGUMENT...]`: the `ExecStart=` of every experiment's unit.
//!
//! A unit's `Environment=` and `EnvironmentFile=` also hold for its `ExecCondition=` and
//! `ExecStopPost=`, which run as root. So the unit carries no variable of the experiment. `bij-hook
//! start` writes them into a file that only the experiment's user can read; this program runs as that
//! user inside the sandbox, lays the file over its own environment, and executes the program in its
//! place: process id, control group, watchdog and notify socket stay what systemd made them.
//!
//! The program is looked up in the experiment's own `$PATH` and gets its arguments unchanged, with its
//! name as `argv[0]`. If it cannot be executed, the exit status is that of systemd for the same trouble
//! (systemd.exec(5), "Process Exit Codes"), and the service manager is told `ERRNO=`, by which
//! `bij-hook end` tells this status from the same status of a program that did run.

mod entries;
mod lookup;
mod notify;

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::unistd::execve;

use entries::Entries;

/// `EXIT_EXEC` of systemd.exec(5): the program could not be executed.
const EXIT_EXEC: u8 = 203;
/// `EX_USAGE` of sysexits.h(3head).
const EX_USAGE: u8 = 64;

/// Why the program does not run.
struct Failure {
    errno: Errno,
    sentence: String,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let file = arguments.next();
    let separator = arguments.next();
    let command: Vec<OsString> = arguments.collect();
    let (Some(file), Some(true), [program, ..]) =
        (file, separator.map(|word| word == "--"), &command[..])
    else {
        say("usage: bij-exec ENVIRONMENT-FILE -- PROGRAM [ARGUMENT...]");
        return ExitCode::from(EX_USAGE);
    };
    let Err(failure) = execute(Path::new(&file), program, &command);
    say(&failure.sentence);
    notify::failed(failure.errno, &failure.sentence);
    ExitCode::from(EXIT_EXEC)
}

/// Tells people, in the unit's own lines.
fn say(sentence: &str) {
    // Without standard error only the exit status tells.
    let _ = writeln!(std::io::stderr(), "{sentence}");
}

fn execute(file: &Path, program: &OsString, command: &[OsString]) -> Result<Infallible, Failure> {
    let mut entries = Entries::of_process();
    let bytes = std::fs::read(file).map_err(|error| Failure {
        errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        sentence: format!(
            "the experiment's environment cannot be read from {}: {error}; start the unit again, \
             which writes it anew",
            file.display()
        ),
    })?;
    // `bij-hook start` always writes something. This is what the file is mounted on, without the mount.
    if bytes.is_empty() {
        let sentence = format!("{} is not this unit's: start the unit again", file.display());
        return Err(Failure { errno: Errno::ENODATA, sentence });
    }
    entries.lay_over(&bytes);
    let argv: Vec<CString> = command.iter().cloned().map(c_string).collect();
    let environment = entries.into_c_strings();
    let mut denied = None;
    for candidate in lookup::candidates(program, entries::path_of(&environment)) {
        // It returns only if it fails.
        let Err(errno) = execve(&c_string(candidate.into_os_string()), &argv, &environment);
        match errno {
            // As execvp(3): the next directory may have another one.
            Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {}
            Errno::EACCES => denied = Some(errno),
            errno => return Err(cannot_run(program, errno)),
        }
    }
    Err(cannot_run(program, denied.unwrap_or(Errno::ENOENT)))
}

fn cannot_run(program: &OsString, errno: Errno) -> Failure {
    let remedy = match errno {
        Errno::ENOENT if program.as_bytes().contains(&b'/') => {
            "make sure that it and the interpreter in its first line are there, and that the sandbox \
             of the experiment does not hide them"
        }
        Errno::ENOENT => {
            "it is in no directory of the experiment's PATH: give its absolute path in `command`"
        }
        Errno::EACCES => {
            "it must be a file that the experiment's user may execute, in directories that the user \
             may enter: chmod +x, or another `user`"
        }
        Errno::ENOEXEC => {
            "it is no program for this machine; a script begins with #! and its interpreter"
        }
        Errno::E2BIG => "arguments and environment are too long together: shorten them",
        _ => "change `command` in the definition",
    };
    let program = program.display();
    Failure { errno, sentence: format!("cannot execute {program}: {}; {remedy}", errno.desc()) }
}

/// Arguments and environment come from the kernel or end at a NUL: none is inside.
fn c_string(text: OsString) -> CString {
    CString::new(text.into_vec()).expect("what execve(2) handed over ends at its first NUL")
}
