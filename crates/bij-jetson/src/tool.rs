//! Starts NVIDIA's tools, which ask questions, hang, and say that all is well when it is not.

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

/// Why a tool did not do its work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ToolError {
    /// It is not installed.
    #[error("there is no {}", program.display())]
    Missing {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// It could not be started.
    #[error("cannot start {}", program.display())]
    NotStarted {
        /// Which.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("{} did not end within {limit:?} and was killed", program.display())]
    TimedOut {
        /// Which.
        program: PathBuf,
        /// How long it was given.
        limit: Duration,
    },
    /// A signal ended it.
    #[error("{} was ended by signal {signal}", program.display())]
    Killed {
        /// Which.
        program: PathBuf,
        /// The signal's number.
        signal: i32,
    },
    /// It failed, and this is the last that it said.
    #[error("{} failed with exit code {code}: {said:?}", program.display())]
    Failed {
        /// Which.
        program: PathBuf,
        /// Its exit code.
        code: i32,
        /// Its last line.
        said: String,
    },
}

/// What a tool said, on both streams, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) text: String,
    status: ExitStatus,
}

impl Said {
    /// The error that its end is, if it is one.
    pub(crate) fn end(&self, program: &Path) -> Result<(), ToolError> {
        let program = program.to_owned();
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => Ok(()),
            (None, Some(signal)) => Err(ToolError::Killed { program, signal }),
            (code, _) => {
                let said = self.text.lines().rfind(|line| !line.trim().is_empty());
                let said = said.unwrap_or_default().chars().take(200).collect();
                Err(ToolError::Failed { program, code: code.unwrap_or(-1), said })
            }
        }
    }
}

/// How many bytes of a tool's output are kept; it prints a screenful when all is well.
const KEPT: usize = 256 << 10;

/// How many bytes are read at once: what a pipe holds by default (`pipe(7)`).
const CHUNK: usize = 64 << 10;

/// How many chunks are read before the tool is looked at again: the largest pipe that an unprivileged
/// process may ask for (`/proc/sys/fs/pipe-max-size`) is empty then.
const CHUNKS: usize = 16;

/// How often it is looked whether a tool has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a tool to its end, or kills it with all that it has started.
///
/// It gets nothing to read: whatever it asks is answered by the end of its input, and that is no "yes".
/// Its environment is empty but for a path, so that it means the same whoever calls.
pub(crate) fn run(program: &Path, args: &[&str], limit: Duration) -> Result<Said, ToolError> {
    let not_started = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ToolError::Missing { program: program.to_owned() },
        _ => ToolError::NotStarted { program: program.to_owned(), source },
    };
    // Both streams are one: which of them NVIDIA's tools write to changes between releases.
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
    // It holds this side's ends of the pipe for writing.
    drop(command);
    let mut output = Output::new(reader).map_err(not_started)?;
    let ended = wait(&child, &mut output, limit).map_err(not_started)?;
    kill_group(&child);
    if !ended {
        reap(child);
        return Err(ToolError::TimedOut { program: program.to_owned(), limit });
    }
    let status = child.wait().map_err(not_started)?;
    // A process that left the group may hold the pipe open; all that the tool itself wrote is in it.
    output.read_available().map_err(not_started)?;
    Ok(Said { text: String::from_utf8_lossy(&output.kept).into_owned(), status })
}

/// What a tool prints, read without waiting for it.
struct Output {
    pipe: io::PipeReader,
    kept: Vec<u8>,
}

impl Output {
    fn new(pipe: io::PipeReader) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pipe, kept: Vec::new() })
    }

    /// Reads what is in the pipe. Bytes beyond [`KEPT`] are dropped, so that the tool never waits for its
    /// reader.
    fn read_available(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        for _ in 0..CHUNKS {
            match self.pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => {
                    let room = KEPT - self.kept.len();
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

/// Whether it ends in time. It is not reaped, so that its number stays its own.
fn wait(child: &Child, output: &mut Output, limit: Duration) -> io::Result<bool> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let begun = Instant::now();
    loop {
        output.read_available()?;
        match waitid(Id::Pid(pid(child)), look)? {
            WaitStatus::StillAlive if begun.elapsed() >= limit => return Ok(false),
            WaitStatus::StillAlive => thread::sleep(LOOK),
            _ => return Ok(true),
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("the kernel's process ids are below 2^22"))
}

/// Kills a tool that is still there, and whoever it has started or left behind.
fn kill_group(child: &Child) {
    // Nobody may be left.
    let _ = killpg(pid(child), Signal::SIGKILL);
}

/// One that a driver holds dies when that lets go, and nobody waits for it here.
fn reap(mut child: Child) {
    thread::spawn(move || {
        let _ = child.wait();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Waits until a process is dead, whether or not somebody has reaped it.
    fn wait_until_gone(pid: &str) {
        let stat = format!("/proc/{pid}/stat");
        let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        assert!(pid.parse::<u32>().is_ok(), "{pid:?}");
        while !gone() {
            thread::sleep(LOOK);
        }
    }

    fn shell(script: &str, limit: Duration) -> Result<Said, ToolError> {
        run(Path::new("/bin/sh"), &["-c", script], limit)
    }

    #[test]
    fn both_streams_are_heard_and_the_exit_code_is_told() {
        let said = shell("echo out; echo err >&2; exit 3", MINUTE).unwrap();
        assert_eq!(said.text, "out\nerr\n");
        let error = said.end(Path::new("sh")).unwrap_err();
        assert_eq!(error.to_string(), "sh failed with exit code 3: \"err\"");
    }

    #[test]
    fn a_question_is_answered_by_the_end_of_the_input() {
        let said = shell("read answer && echo got $answer || echo nothing", MINUTE).unwrap();
        assert_eq!(said.text, "nothing\n");
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let error = shell(&script, Duration::from_millis(500)).unwrap_err();
        assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
        wait_until_gone(std::fs::read_to_string(&file).unwrap().trim());
    }

    #[test]
    fn megabytes_and_rubbish_are_no_trouble() {
        let said = shell("printf '\\377'; head -c 5000000 /dev/zero", MINUTE).unwrap();
        assert!(said.text.starts_with('\u{fffd}'));
        assert!(said.end(Path::new("sh")).is_ok());
    }

    #[test]
    fn a_pipe_that_another_process_holds_open_cuts_no_output() {
        let said = shell("setsid sleep 3 & echo heard", MINUTE).unwrap();
        assert_eq!(said.text, "heard\n");
    }

    #[test]
    fn what_was_left_behind_is_ended_too() {
        let said = shell("sleep 1000 & echo $!", MINUTE).unwrap();
        wait_until_gone(said.text.trim());
    }

    #[test]
    fn a_tool_that_is_not_there_and_one_that_was_killed_are_told_apart() {
        let none = run(Path::new("/nonexistent/nvpmodel"), &[], MINUTE).unwrap_err();
        assert!(matches!(none, ToolError::Missing { .. }), "{none}");
        let file = run(Path::new("/etc/passwd"), &[], MINUTE).unwrap_err();
        assert!(matches!(file, ToolError::NotStarted { .. }), "{file}");
        let killed = shell("kill -9 $$", MINUTE).unwrap().end(Path::new("sh")).unwrap_err();
        assert!(matches!(killed, ToolError::Killed { signal: 9, .. }), "{killed}");
    }
}
