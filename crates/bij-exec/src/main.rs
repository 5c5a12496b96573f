//! `bij-exec ENVIRONMENT-FILE -- PROGRAM [ARGUMENT...]`: the `ExecStart=` of every experiment's unit.
//!
//! A unit's `Environment=` and `EnvironmentFile=` also hold for its `ExecCondition=` and
//! `ExecStopPost=`, which run as root. So the unit carries no variable of the experiment. `bij-hook
//! start` writes them into a file that only the experiment's user can read; this program runs as that
//! user inside the sandbox, sets the variables of the file, and executes the program in its place: process
//! id, control group, watchdog and notify socket stay as systemd set them up.
//!
//! The program is looked up in the experiment's own `$PATH` and gets its arguments unchanged, with its
//! name as `argv[0]`. If it cannot be executed, the exit status is systemd's 203
//! (systemd.exec(5), "Process Exit Codes"), and the service manager gets `ERRNO=`, by which `bij-hook end`
//! distinguishes it from a program that ran and exited with the same status.

mod environment;
mod notify;

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::unistd::execve;

use environment::Environment;

/// `EXIT_EXEC` of systemd.exec(5): the program could not be executed.
const EXIT_EXEC: u8 = 203;
/// `EX_USAGE` of sysexits.h(3head): wrong arguments.
const EX_USAGE: u8 = 64;

/// Why the program could not be executed.
struct ExecFailure {
    errno: Errno,
    message: String,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let file = arguments.next();
    let separator = arguments.next();
    let command: Vec<OsString> = arguments.collect();
    let (Some(file), Some(true), [program, ..]) =
        (file, separator.map(|word| word == "--"), &command[..])
    else {
        print_error("usage: bij-exec ENVIRONMENT-FILE -- PROGRAM [ARGUMENT...]");
        return ExitCode::from(EX_USAGE);
    };
    let Err(failure) = execute(Path::new(&file), program, &command);
    print_error(&failure.message);
    notify::report_failure(failure.errno, &failure.message);
    ExitCode::from(EXIT_EXEC)
}

/// Prints an error to the unit's log.
fn print_error(message: &str) {
    // Without standard error there is only the exit status.
    let _ = writeln!(std::io::stderr(), "{message}");
}

fn execute(
    file: &Path,
    program: &OsString,
    command: &[OsString],
) -> Result<Infallible, ExecFailure> {
    let mut environment = Environment::from_process();
    let bytes = std::fs::read(file).map_err(|error| ExecFailure {
        errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        message: format!(
            "the experiment's environment cannot be read from {}: {error}; start the unit again, \
             which writes it anew",
            file.display()
        ),
    })?;
    // `bij-hook start` never writes an empty file. This is the file below a mount that is missing.
    if bytes.is_empty() {
        let message = format!("{} is not this unit's: start the unit again", file.display());
        return Err(ExecFailure { errno: Errno::ENODATA, message });
    }
    environment.override_from(&bytes);
    let argv: Vec<CString> = command.iter().cloned().map(c_string).collect();
    let environment = environment.into_c_strings();
    let mut denied = None;
    for candidate in environment::candidates(program, environment::path_of(&environment)) {
        // execve(2) returns only on failure.
        let Err(errno) = execve(&c_string(candidate.into_os_string()), &argv, &environment);
        match errno {
            // As execvp(3): try the next directory.
            Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {}
            Errno::EACCES => denied = Some(errno),
            errno => return Err(cannot_run(program, errno)),
        }
    }
    Err(cannot_run(program, denied.unwrap_or(Errno::ENOENT)))
}

fn cannot_run(program: &OsString, errno: Errno) -> ExecFailure {
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
            "it is not a program for this machine; a script begins with #! and its interpreter"
        }
        Errno::E2BIG => "arguments and environment are too long together: shorten them",
        _ => "change `command` in the definition",
    };
    let program = program.display();
    ExecFailure { errno, message: format!("cannot execute {program}: {}; {remedy}", errno.desc()) }
}

/// Converts an argument; those that execve(2) passes on contain no NUL.
fn c_string(text: OsString) -> CString {
    CString::new(text.into_vec()).expect("arguments from execve(2) end at their first NUL")
}
