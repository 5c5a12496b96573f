//! The shim, which prepares the process of an experiment and then executes its program.
//!
//! Between fork and exec only async-signal-safe code may run, which safe Rust cannot express. So
//! the supervisor starts *itself* a second time, as the shim: an ordinary process that reads what
//! to prepare, prepares it, and then becomes the experiment by execve(2), keeping its pid.
//!
//! Its standard input is one end of a socket pair, by which the instructions arrive. Before the exec
//! it is replaced by `/dev/null`, and only a close-on-exec copy of the socket remains: the supervisor
//! reads end of file when the command has been executed, and a report when a step failed. Nothing
//! passes through the command line, which every user can read and whose length is bounded.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid, dup2_stdin, getppid, initgroups, setgid, setuid};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The command that starts the shim: a program that calls [`main`] when given these arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl ShimCommand {
    /// Returns the running program, `/proc/self/exe`, with the arguments of its hidden subcommand.
    /// It is found even if its file was replaced or deleted meanwhile.
    pub fn current_program<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::new("/proc/self/exe", arguments)
    }

    /// Returns another program with its arguments.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}

/// What the shim prepares, in this order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ShimInstructions {
    /// Pid of the supervisor; the kernel kills the process when the supervisor dies.
    pub(crate) supervisor: i32,
    /// `cgroup.procs` files to join.
    pub(crate) cgroups: Vec<PathBuf>,
    /// `RLIMIT_DATA`, in bytes.
    pub(crate) data_limit: Option<u64>,
    /// `RLIMIT_NOFILE`, a number of descriptors.
    pub(crate) open_files: Option<u64>,
    /// `RLIMIT_MEMLOCK`, in bytes.
    pub(crate) locked_memory: Option<u64>,
    /// Processors that the process may run on; all if empty.
    pub(crate) cpus: Vec<u16>,
    /// The user to become; `None` keeps the supervisor's.
    pub(crate) user: Option<UserIdentity>,
    /// The working directory.
    pub(crate) directory: PathBuf,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// The environment of the program. The shim itself has none of these variables: it can run as
    /// root, and an experiment must not influence it.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Whether `WATCHDOG_PID=` is to be set.
    pub(crate) watchdog: bool,
}

/// A user of the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UserIdentity {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
}

/// Why the command was not executed, in the words of systemd.exec(5), "Process Exit Codes".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShimFailure {
    /// The exit status: 200 and above.
    pub(crate) status: u8,
    /// The name of the exit status: `EXEC`, `CHDIR`, …
    pub(crate) meaning: String,
    /// What happened, as a fragment.
    pub(crate) message: String,
}

/// What the shim sends just before the exec.
const PREPARED: &[u8] = b"prepared\n";

/// The result of the preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShimReport {
    /// The command was executed.
    Executed,
    /// A step failed.
    Failed(ShimFailure),
    /// The shim died before it could report.
    Silent,
}

/// Sends the shim its instructions and returns its report.
pub(crate) async fn instruct(
    channel: UnixStream,
    instructions: &ShimInstructions,
) -> io::Result<ShimReport> {
    channel.set_nonblocking(true)?;
    let mut channel = tokio::net::UnixStream::from_std(channel)?;
    // If the shim has died, nothing can be read below, which is reported as `Silent`.
    let _ = channel.write_all(&serde_json::to_vec(instructions)?).await;
    let _ = channel.shutdown().await;
    let mut answer = Vec::new();
    channel.read_to_end(&mut answer).await?;
    Ok(match answer.strip_prefix(PREPARED) {
        Some([]) => ShimReport::Executed,
        rest => serde_json::from_slice(rest.unwrap_or(&answer))
            .map_or(ShimReport::Silent, ShimReport::Failed),
    })
}

/// A step of the preparation; its number is systemd's exit status for it.
#[derive(Clone, Copy, Debug)]
enum PrepareStep {
    Chdir = 200,
    Exec = 203,
    Limits = 205,
    Stdin = 208,
    CpuAffinity = 214,
    AttemptProcesses = 216,
    User = 217,
    Cgroup = 219,
}

impl PrepareStep {
    const fn meaning(self) -> &'static str {
        match self {
            Self::Chdir => "CHDIR",
            Self::Exec => "EXEC",
            Self::Limits => "LIMITS",
            Self::Stdin => "STDIN",
            Self::CpuAffinity => "CPUAFFINITY",
            Self::AttemptProcesses => "GROUP",
            Self::User => "USER",
            Self::Cgroup => "CGROUP",
        }
    }

    fn failed(self, what: &str, error: &dyn std::error::Error) -> ShimFailure {
        ShimFailure {
            status: self as u8,
            meaning: self.meaning().to_owned(),
            message: format!("{what}: {error}"),
        }
    }
}

/// Runs the shim: prepares this process as the supervisor instructs and executes the experiment.
///
/// Call it from the hidden subcommand that [`ShimCommand`] names, before any thread is started. It
/// returns only on failure, with the exit status that systemd would give.
pub fn main() -> ExitCode {
    let failure = match report_channel() {
        Ok(mut channel) => {
            let failure = match read_instructions(&mut channel) {
                Ok(instructions) => become_experiment(&instructions, &mut channel),
                Err(failure) => failure,
            };
            if let Ok(text) = serde_json::to_vec(&failure) {
                // If the report is not read, the exit status still names the step.
                let _ = channel.write_all(&text);
            }
            failure
        }
        Err(error) => PrepareStep::Stdin.failed("cannot take over the standard input", &error),
    };
    ExitCode::from(failure.status)
}

/// Takes the supervisor's socket from the standard input, which becomes `/dev/null`.
fn report_channel() -> io::Result<UnixStream> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(channel)
}

fn read_instructions(channel: &mut UnixStream) -> Result<ShimInstructions, ShimFailure> {
    let what = "cannot read the supervisor's instructions";
    let mut text = Vec::new();
    channel.read_to_end(&mut text).map_err(|error| PrepareStep::Stdin.failed(what, &error))?;
    serde_json::from_slice(&text).map_err(|error| PrepareStep::Stdin.failed(what, &error))
}

fn become_experiment(instructions: &ShimInstructions, channel: &mut UnixStream) -> ShimFailure {
    match prepare(instructions) {
        Ok(()) => {
            // It fails only if the supervisor is gone, and then the kernel kills this process.
            let _ = channel.write_all(PREPARED);
            execute(instructions)
        }
        Err(failure) => failure,
    }
}

fn prepare(instructions: &ShimInstructions) -> Result<(), ShimFailure> {
    for cgroup in &instructions.cgroups {
        // "0" is the writing process (cgroups(7)).
        std::fs::write(cgroup, "0").map_err(|e| {
            PrepareStep::Cgroup.failed(&format!("cannot join {}", cgroup.display()), &e)
        })?;
    }
    if let Some(limit) = instructions.data_limit {
        setrlimit(Resource::RLIMIT_DATA, limit, limit)
            .map_err(|e| PrepareStep::Limits.failed("cannot set RLIMIT_DATA", &e))?;
    }
    set_limit_or_highest(Resource::RLIMIT_NOFILE, instructions.open_files)
        .map_err(|e| PrepareStep::Limits.failed("cannot set RLIMIT_NOFILE", &e))?;
    set_limit_or_highest(Resource::RLIMIT_MEMLOCK, instructions.locked_memory)
        .map_err(|e| PrepareStep::Limits.failed("cannot set RLIMIT_MEMLOCK", &e))?;
    set_affinity(&instructions.cpus)?;
    if let Some(user) = &instructions.user {
        become_user(user)?;
    }
    std::env::set_current_dir(&instructions.directory).map_err(|error| {
        PrepareStep::Chdir
            .failed(&format!("cannot change to {}", instructions.directory.display()), &error)
    })?;
    die_with_supervisor(instructions.supervisor)
}

/// Sets a limit, or the highest that this user may set, as systemd's user manager does.
fn set_limit_or_highest(resource: Resource, limit: Option<u64>) -> Result<(), nix::Error> {
    let Some(limit) = limit else { return Ok(()) };
    match setrlimit(resource, limit, limit) {
        Err(nix::Error::EPERM) => {
            let (_, hard) = getrlimit(resource)?;
            setrlimit(resource, limit.min(hard), hard)
        }
        result => result,
    }
}

fn set_affinity(cpus: &[u16]) -> Result<(), ShimFailure> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        // A processor beyond the set cannot exist; the kernel refuses a set without any.
        let _ = set.set(usize::from(*cpu));
    }
    sched_setaffinity(Pid::from_raw(0), &set)
        .map_err(|e| PrepareStep::CpuAffinity.failed("cannot run on the given processors", &e))
}

fn become_user(user: &UserIdentity) -> Result<(), ShimFailure> {
    let what = format!("cannot become {}", user.name);
    let name = CString::new(user.name.as_str()).map_err(|e| PrepareStep::User.failed(&what, &e))?;
    let group = Gid::from_raw(user.gid);
    initgroups(&name, group).map_err(|e| PrepareStep::AttemptProcesses.failed(&what, &e))?;
    setgid(group).map_err(|e| PrepareStep::AttemptProcesses.failed(&what, &e))?;
    setuid(Uid::from_raw(user.uid)).map_err(|e| PrepareStep::User.failed(&what, &e))
}

/// Has the kernel kill this process when the supervisor dies, even by SIGKILL.
///
/// The last step: a change of user would undo it (prctl(2), `PR_SET_PDEATHSIG`).
fn die_with_supervisor(supervisor: i32) -> Result<(), ShimFailure> {
    let what = "cannot have the kernel kill it with the supervisor";
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| PrepareStep::Exec.failed(what, &e))?;
    if getppid().as_raw() == supervisor {
        return Ok(());
    }
    let gone = io::Error::new(io::ErrorKind::NotConnected, "the supervisor has gone");
    Err(PrepareStep::Exec.failed(what, &gone))
}

fn execute(instructions: &ShimInstructions) -> ShimFailure {
    let Some((program, arguments)) = instructions.command.split_first() else {
        let empty = io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        return PrepareStep::Exec.failed("cannot execute", &empty);
    };
    let mut command = Command::new(program);
    let environment = instructions.environment.iter().map(|(name, value)| (name, value));
    command.args(arguments).env_clear().envs(environment);
    if instructions.watchdog {
        command.env("WATCHDOG_PID", std::process::id().to_string());
    }
    // The standard library clears the signal mask and restores the default of SIGPIPE.
    let error = command.exec();
    PrepareStep::Exec.failed(&format!("cannot execute {}", Path::new(program).display()), &error)
}
