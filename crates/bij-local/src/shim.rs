//! What stands between the supervisor and an experiment's program.
//!
//! Between fork and exec only async-signal-safe code may run, which safe Rust cannot express. So
//! the supervisor starts *itself* a second time, as the shim: an ordinary process that reads what
//! to prepare, prepares it, and then becomes the experiment by execve(2), keeping its pid.
//!
//! Its standard input is one end of a socket pair. The orders come in by it; before the exec it is
//! replaced by `/dev/null` and only a close-on-exec copy is left. So the supervisor reads an end of
//! file when the command has been executed, and a sentence when something went wrong. Nothing
//! passes through the command line, which every user of the machine can read and whose length is
//! bounded.

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

/// How to start the shim: a program that calls [`main`] when it is given these arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl ShimCommand {
    /// The running program itself, as `/proc/self/exe` names it, with the arguments of its hidden
    /// subcommand. It finds the right file even if that was replaced or deleted meanwhile.
    pub fn current_program<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::new("/proc/self/exe", arguments)
    }

    /// Another program, with its arguments.
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

/// What to prepare, in the order in which it is prepared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The supervisor, whose death is the shim's.
    pub(crate) supervisor: i32,
    /// `cgroup.procs` files to join.
    pub(crate) cgroups: Vec<PathBuf>,
    /// `RLIMIT_DATA`, in bytes.
    pub(crate) data_limit: Option<u64>,
    /// `RLIMIT_NOFILE`, a number of descriptors.
    pub(crate) open_files: Option<u64>,
    /// `RLIMIT_MEMLOCK`, in bytes.
    pub(crate) locked_memory: Option<u64>,
    /// Processors it may run on.
    pub(crate) cpus: Vec<u16>,
    /// Whom to become.
    pub(crate) user: Option<Identity>,
    /// The working directory.
    pub(crate) directory: PathBuf,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The environment of the program. The shim itself, which can run as root, has none of it: a variable of
    /// an experiment must not steer it.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Whether `WATCHDOG_PID=` is to be set.
    pub(crate) watchdog: bool,
}

/// A user of the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
}

/// Why the command was not executed, in the words of systemd.exec(5), "Process Exit Codes".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The exit status: 200 and above.
    pub(crate) status: u8,
    /// Its meaning: `EXEC`, `CHDIR`, …
    pub(crate) meaning: String,
    /// What happened, as a fragment.
    pub(crate) message: String,
}

/// What the shim says when only the exec is left to do.
const PREPARED: &[u8] = b"prepared\n";

/// What became of the preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The command was executed.
    Executed,
    /// It was not.
    Failed(Failure),
    /// The shim died before it was done.
    Silent,
}

/// Tells the shim what to do and hears what became of it.
pub(crate) async fn instruct(channel: UnixStream, orders: &Orders) -> io::Result<Report> {
    channel.set_nonblocking(true)?;
    let mut channel = tokio::net::UnixStream::from_std(channel)?;
    // A shim that dies meanwhile leaves nothing to read, which says so.
    let _ = channel.write_all(&serde_json::to_vec(orders)?).await;
    let _ = channel.shutdown().await;
    let mut said = Vec::new();
    channel.read_to_end(&mut said).await?;
    Ok(match said.strip_prefix(PREPARED) {
        Some([]) => Report::Executed,
        rest => {
            serde_json::from_slice(rest.unwrap_or(&said)).map_or(Report::Silent, Report::Failed)
        }
    })
}

/// A step of the preparation, with systemd's exit status for it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Chdir = 200,
    Exec = 203,
    Limits = 205,
    Stdin = 208,
    CpuAffinity = 214,
    Group = 216,
    User = 217,
    Cgroup = 219,
}

impl Step {
    const fn meaning(self) -> &'static str {
        match self {
            Self::Chdir => "CHDIR",
            Self::Exec => "EXEC",
            Self::Limits => "LIMITS",
            Self::Stdin => "STDIN",
            Self::CpuAffinity => "CPUAFFINITY",
            Self::Group => "GROUP",
            Self::User => "USER",
            Self::Cgroup => "CGROUP",
        }
    }

    fn failed(self, what: &str, error: &dyn std::error::Error) -> Failure {
        Failure {
            status: self as u8,
            meaning: self.meaning().to_owned(),
            message: format!("{what}: {error}"),
        }
    }
}

/// The shim: prepares what the supervisor orders and becomes the experiment.
///
/// Call it from the hidden subcommand that [`ShimCommand`] names, before any thread is started. It
/// returns only if that failed; its result is the exit status that systemd would give.
pub fn main() -> ExitCode {
    let failure = match report_channel() {
        Ok(mut channel) => {
            let failure = match receive(&mut channel) {
                Ok(orders) => become_experiment(&orders, &mut channel),
                Err(failure) => failure,
            };
            if let Ok(text) = serde_json::to_vec(&failure) {
                // The exit status says the same, should nobody read this any more.
                let _ = channel.write_all(&text);
            }
            failure
        }
        Err(error) => Step::Stdin.failed("cannot take over the standard input", &error),
    };
    ExitCode::from(failure.status)
}

/// Takes the supervisor's socket off the standard input.
fn report_channel() -> io::Result<UnixStream> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(channel)
}

fn receive(channel: &mut UnixStream) -> Result<Orders, Failure> {
    let what = "cannot read the supervisor's orders";
    let mut text = Vec::new();
    channel.read_to_end(&mut text).map_err(|error| Step::Stdin.failed(what, &error))?;
    serde_json::from_slice(&text).map_err(|error| Step::Stdin.failed(what, &error))
}

fn become_experiment(orders: &Orders, channel: &mut UnixStream) -> Failure {
    match prepare(orders) {
        Ok(()) => {
            // Should the supervisor not hear it, it takes us for dead and is right soon.
            let _ = channel.write_all(PREPARED);
            execute(orders)
        }
        Err(failure) => failure,
    }
}

fn prepare(orders: &Orders) -> Result<(), Failure> {
    for cgroup in &orders.cgroups {
        // "0" is whoever writes it (cgroups(7)).
        std::fs::write(cgroup, "0")
            .map_err(|e| Step::Cgroup.failed(&format!("cannot join {}", cgroup.display()), &e))?;
    }
    if let Some(limit) = orders.data_limit {
        setrlimit(Resource::RLIMIT_DATA, limit, limit)
            .map_err(|e| Step::Limits.failed("cannot set RLIMIT_DATA", &e))?;
    }
    set_closest(Resource::RLIMIT_NOFILE, orders.open_files)
        .map_err(|e| Step::Limits.failed("cannot set RLIMIT_NOFILE", &e))?;
    set_closest(Resource::RLIMIT_MEMLOCK, orders.locked_memory)
        .map_err(|e| Step::Limits.failed("cannot set RLIMIT_MEMLOCK", &e))?;
    set_affinity(&orders.cpus)?;
    if let Some(user) = &orders.user {
        become_user(user)?;
    }
    std::env::set_current_dir(&orders.directory).map_err(|error| {
        Step::Chdir.failed(&format!("cannot change to {}", orders.directory.display()), &error)
    })?;
    follow_into_death(orders.supervisor)
}

/// Sets a limit, or the highest one that this user may have, as systemd does for an unprivileged manager.
fn set_closest(resource: Resource, limit: Option<u64>) -> Result<(), nix::Error> {
    let Some(limit) = limit else { return Ok(()) };
    match setrlimit(resource, limit, limit) {
        Err(nix::Error::EPERM) => {
            let (_, hard) = getrlimit(resource)?;
            setrlimit(resource, limit.min(hard), hard)
        }
        result => result,
    }
}

fn set_affinity(cpus: &[u16]) -> Result<(), Failure> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        // A processor beyond the set cannot exist; the kernel refuses a set without any.
        let _ = set.set(usize::from(*cpu));
    }
    sched_setaffinity(Pid::from_raw(0), &set)
        .map_err(|e| Step::CpuAffinity.failed("cannot run on the given processors", &e))
}

fn become_user(user: &Identity) -> Result<(), Failure> {
    let what = format!("cannot become {}", user.name);
    let name = CString::new(user.name.as_str()).map_err(|e| Step::User.failed(&what, &e))?;
    let group = Gid::from_raw(user.gid);
    initgroups(&name, group).map_err(|e| Step::Group.failed(&what, &e))?;
    setgid(group).map_err(|e| Step::Group.failed(&what, &e))?;
    setuid(Uid::from_raw(user.uid)).map_err(|e| Step::User.failed(&what, &e))
}

/// Has the kernel kill this process when the supervisor dies, also by SIGKILL.
///
/// The last step: a change of user would undo it (prctl(2), `PR_SET_PDEATHSIG`).
fn follow_into_death(supervisor: i32) -> Result<(), Failure> {
    let what = "cannot tie its life to the supervisor's";
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| Step::Exec.failed(what, &e))?;
    if getppid().as_raw() == supervisor {
        return Ok(());
    }
    let gone = io::Error::new(io::ErrorKind::NotConnected, "the supervisor has gone");
    Err(Step::Exec.failed(what, &gone))
}

fn execute(orders: &Orders) -> Failure {
    let Some((program, arguments)) = orders.command.split_first() else {
        let empty = io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        return Step::Exec.failed("cannot execute", &empty);
    };
    let mut command = Command::new(program);
    let environment = orders.environment.iter().map(|(name, value)| (name, value));
    command.args(arguments).env_clear().envs(environment);
    if orders.watchdog {
        command.env("WATCHDOG_PID", std::process::id().to_string());
    }
    // The standard library clears the signal mask and gives SIGPIPE its default meaning back.
    let error = command.exec();
    Step::Exec.failed(&format!("cannot execute {}", Path::new(program).display()), &error)
}
