//! Runs NVIDIA's tools, which ask questions, hang, and report success when they have failed.

use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use thiserror::Error;

/// Why a tool failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The tool is not installed.
    #[error("there is no {}", program.display())]
    Missing {
        /// Path at which it was expected.
        program: PathBuf,
    },
    /// The tool could not be started.
    #[error("cannot start {}", program.display())]
    NotStarted {
        /// Path of the tool.
        program: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The tool did not end in time and was killed.
    #[error("{} did not end within {limit:?} and was killed", program.display())]
    TimedOut {
        /// Path of the tool.
        program: PathBuf,
        /// The time that it was given.
        limit: Duration,
    },
    /// The tool was ended by a signal.
    #[error("{} was ended by signal {signal}", program.display())]
    Killed {
        /// Path of the tool.
        program: PathBuf,
        /// The number of the signal.
        signal: i32,
    },
    /// The tool exited with an error.
    #[error("{} failed with exit code {code}: {last_line:?}", program.display())]
    Failed {
        /// Path of the tool.
        program: PathBuf,
        /// The code that it exited with.
        code: i32,
        /// The last line of its output.
        last_line: String,
    },
}

/// The output of a tool, of both streams, and its exit status.
#[derive(Debug)]
pub(crate) struct ToolOutput {
    pub(crate) text: String,
    status: ExitStatus,
}

impl ToolOutput {
    /// Returns an error if the tool exited with one.
    pub(crate) fn check(&self, program: &Path) -> Result<(), ToolError> {
        let program = program.to_owned();
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => Ok(()),
            (None, Some(signal)) => Err(ToolError::Killed { program, signal }),
            (code, _) => {
                let last_line = self.text.lines().rfind(|line| !line.trim().is_empty());
                let last_line = last_line.unwrap_or_default().chars().take(200).collect();
                Err(ToolError::Failed { program, code: code.unwrap_or(-1), last_line })
            }
        }
    }
}

/// Maximum number of bytes of output that are kept; a success prints about a screenful.
const MAX_OUTPUT: usize = 256 << 10;

/// Number of bytes per read: the default size of a pipe (`pipe(7)`).
const CHUNK: usize = 64 << 10;

/// Maximum number of reads before the tool's state is checked again. They empty the largest pipe that an
/// unprivileged process may create (`/proc/sys/fs/pipe-max-size`).
const CHUNKS: usize = 16;

/// How often the tool's state is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Runs a tool to its end, or kills it and its child processes.
///
/// Its input is empty, so no question is answered with "yes". Its environment is fixed, so that its effect does not
/// depend on the caller.
pub(crate) fn run(program: &Path, args: &[&str], limit: Duration) -> Result<ToolOutput, ToolError> {
    let not_started = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ToolError::Missing { program: program.to_owned() },
        _ => ToolError::NotStarted { program: program.to_owned(), source },
    };
    // Both streams share one pipe, because the one that NVIDIA's tools write to changes between releases.
    let (reader, writer) = io::pipe().map_err(not_started)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(not_started)?)
        .stderr(writer);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(not_started)?;
    // The command holds our write ends of the pipe.
    drop(command);
    let mut output = Output::new(reader).map_err(not_started)?;
    let ended = wait_for_end(&child, &mut output, limit).map_err(not_started)?;
    kill_group(&child);
    if !ended {
        reap(child);
        return Err(ToolError::TimedOut { program: program.to_owned(), limit });
    }
    let status = child.wait().map_err(not_started)?;
    // A process that left the group may hold the pipe open; all that the tool itself wrote is in it.
    output.read_available().map_err(not_started)?;
    Ok(ToolOutput { text: String::from_utf8_lossy(&output.kept).into_owned(), status })
}

/// The output of a tool, read without blocking.
struct Output {
    pipe: io::PipeReader,
    kept: Vec<u8>,
}

impl Output {
    fn new(pipe: io::PipeReader) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pipe, kept: Vec::new() })
    }

    /// Reads what is in the pipe. Bytes beyond [`MAX_OUTPUT`] are dropped, so that the tool never blocks.
    fn read_available(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        for _ in 0..CHUNKS {
            match self.pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => {
                    let room = MAX_OUTPUT - self.kept.len();
                    self.kept.extend_from_slice(&chunk[..read.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Waits for the tool; returns `true` if it ends in time. It is not reaped, so that its PID stays valid.
fn wait_for_end(child: &Child, output: &mut Output, limit: Duration) -> io::Result<bool> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let begun = Instant::now();
    loop {
        output.read_available()?;
        match waitid(Id::Pid(pid(child)), flags)? {
            WaitStatus::StillAlive if begun.elapsed() >= limit => return Ok(false),
            WaitStatus::StillAlive => thread::sleep(POLL_INTERVAL),
            _ => return Ok(true),
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("the kernel's process ids are below 2^22"))
}

/// Kills a tool and the processes of its group.
fn kill_group(child: &Child) {
    // An error means that no process is left.
    let _ = killpg(pid(child), Signal::SIGKILL);
}

/// Reaps a killed tool on another thread, because a driver may delay its end.
fn reap(mut child: Child) {
    thread::spawn(move || {
        let _ = child.wait();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Waits until a process is dead, whether or not it was reaped.
    fn wait_until_gone(pid: &str) {
        let stat = format!("/proc/{pid}/stat");
        let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        assert!(pid.parse::<u32>().is_ok(), "{pid:?}");
        while !gone() {
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn shell(script: &str, limit: Duration) -> Result<ToolOutput, ToolError> {
        run(Path::new("/bin/sh"), &["-c", script], limit)
    }

    #[test]
    fn both_streams_and_the_exit_code_are_returned() {
        let output = shell("echo out; echo err >&2; exit 3", MINUTE).unwrap();
        assert_eq!(output.text, "out\nerr\n");
        let error = output.check(Path::new("sh")).unwrap_err();
        assert_eq!(error.to_string(), "sh failed with exit code 3: \"err\"");
    }

    #[test]
    fn a_question_is_answered_by_the_end_of_the_input() {
        let output = shell("read answer && echo got $answer || echo nothing", MINUTE).unwrap();
        assert_eq!(output.text, "nothing\n");
    }

    #[test]
    fn a_tool_that_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let error = shell(&script, Duration::from_millis(500)).unwrap_err();
        assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
        wait_until_gone(std::fs::read_to_string(&file).unwrap().trim());
    }

    #[test]
    fn output_of_megabytes_and_invalid_utf_8_is_accepted() {
        let output = shell("printf '\\377'; head -c 5000000 /dev/zero", MINUTE).unwrap();
        assert!(output.text.starts_with('\u{fffd}'));
        assert!(output.check(Path::new("sh")).is_ok());
    }

    #[test]
    fn a_pipe_that_another_process_holds_open_cuts_no_output() {
        let output = shell("setsid sleep 3 & echo heard", MINUTE).unwrap();
        assert_eq!(output.text, "heard\n");
    }

    #[test]
    fn processes_that_a_tool_left_behind_are_killed() {
        let output = shell("sleep 1000 & echo $!", MINUTE).unwrap();
        wait_until_gone(output.text.trim());
    }

    #[test]
    fn a_missing_tool_and_a_killed_one_are_distinguished() {
        let none = run(Path::new("/nonexistent/nvpmodel"), &[], MINUTE).unwrap_err();
        assert!(matches!(none, ToolError::Missing { .. }), "{none}");
        let file = run(Path::new("/etc/passwd"), &[], MINUTE).unwrap_err();
        assert!(matches!(file, ToolError::NotStarted { .. }), "{file}");
        let killed = shell("kill -9 $$", MINUTE).unwrap().check(Path::new("sh")).unwrap_err();
        assert!(matches!(killed, ToolError::Killed { signal: 9, .. }), "{killed}");
    }
}
