//! What stands around an experiment: its directory, its variables, its supervisor.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bij_core::Progress;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// No life in these tests takes a tenth of this, on a machine that is not overloaded.
const PATIENCE: Duration = Duration::from_secs(120);

/// One experiment's place, over all its attempts.
pub(crate) struct Jar {
    directory: TempDir,
    socket: UnixDatagram,
    attempts: u32,
    crashes: u32,
    last_cause: String,
    variables: Vec<(String, String)>,
}

impl Jar {
    pub(crate) fn new() -> Self {
        // A blank in the path, because the state directory of an experiment may hold one.
        let directory = tempfile::Builder::new().prefix("jar of ").tempdir().unwrap();
        fs::create_dir(directory.path().join("state")).unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let variables = vec![("EXAMPLE_PACE_MS".to_owned(), "0".to_owned())];
        Self { directory, socket, attempts: 0, crashes: 0, last_cause: String::new(), variables }
    }

    /// Sets a variable for all attempts from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn stop_file(&self) -> PathBuf {
        self.directory.path().join("stop")
    }

    /// What the experiment has reported last, read as bij reads it.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let line = fs::read_to_string(self.state().join("progress")).ok()?;
        Some(line.parse().unwrap())
    }

    pub(crate) fn step(&self) -> u64 {
        self.progress().and_then(|progress| progress.step).unwrap_or(0)
    }

    pub(crate) fn checkpoint(&self) -> Option<PathBuf> {
        self.progress().and_then(|progress| progress.checkpoint).map(PathBuf::from)
    }

    /// Skips attempts, as if they had been before the tested one.
    pub(crate) fn skip_attempts(&mut self, count: u32) {
        self.attempts += count;
    }

    /// The next attempt is told that the one before ended so, and that this was a crash.
    pub(crate) fn crashed(&mut self, cause: bij_core::Cause) {
        self.crashes += 1;
        cause.as_str().clone_into(&mut self.last_cause);
    }

    /// Starts the next attempt.
    pub(crate) fn start<A: AsRef<OsStr>>(
        &mut self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Running<'_> {
        self.attempts += 1;
        let log = self.directory.path().join(format!("log {}", self.attempts));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.state());
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        for name in ["WATCHDOG_USEC", "WATCHDOG_PID", "BIJ_CONFIG"] {
            command.env_remove(name);
        }
        command
            .env("BIJ_EXPERIMENT", "tested_001")
            .env("BIJ_RUN", "tested_001#1")
            .env("BIJ_ATTEMPT", self.attempts.to_string())
            .env("BIJ_CRASHES", self.crashes.to_string())
            .env("BIJ_LAST_CAUSE", &self.last_cause)
            .env("BIJ_STATE_DIR", self.state())
            .env("BIJ_PROGRESS", self.state().join("progress"))
            .env("BIJ_STOP_FILE", self.stop_file())
            .env("BIJ_RESUME_FROM", self.checkpoint().unwrap_or_default())
            .env("NOTIFY_SOCKET", self.directory.path().join("notify"))
            .envs(self.variables.iter().cloned());
        let child = command.spawn().unwrap();
        Running { jar: self, child, log, began: Instant::now(), heard: Vec::new() }
    }
}

/// A living attempt. Dropped, it dies.
pub(crate) struct Running<'a> {
    pub(crate) jar: &'a Jar,
    child: Child,
    log: PathBuf,
    began: Instant,
    heard: Vec<String>,
}

/// What is left of an attempt.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    pub(crate) heard: Vec<String>,
}

impl Running<'_> {
    /// Whether it is still alive; panics when it should not be for long.
    pub(crate) fn alive(&mut self) -> bool {
        let alive = self.child.try_wait().unwrap().is_none();
        assert!(!alive || self.began.elapsed() < PATIENCE, "it lives too long:\n{}", self.log());
        alive
    }

    /// Waits until `seen` says that it has seen what it waits for; false if the attempt ended first.
    pub(crate) fn until(&mut self, mut seen: impl FnMut(&mut Self) -> bool) -> bool {
        while self.alive() {
            // A full socket would make it wait: datagrams are never dropped.
            self.listen();
            if seen(self) {
                return true;
            }
            sleep(Duration::from_millis(5));
        }
        seen(self)
    }

    pub(crate) fn wait(mut self) -> Remains {
        while self.alive() {
            self.listen();
            sleep(Duration::from_millis(5));
        }
        self.listen();
        let status = self.child.wait().unwrap();
        Remains { status, log: self.log(), heard: std::mem::take(&mut self.heard) }
    }

    pub(crate) fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    pub(crate) fn kill(self, signal: Signal) -> Remains {
        self.send(signal);
        self.wait()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes in what it has said since the last time; returns how many messages it was.
    pub(crate) fn listen(&mut self) -> usize {
        let before = self.heard.len();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.jar.socket.recv(&mut buffer) {
            self.heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        self.heard.len() - before
    }

    pub(crate) fn heard(&self) -> &[String] {
        &self.heard
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its resident memory in KiB; 0 once it is gone.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.map_or(0, |value| value.trim().trim_end_matches(" kB").parse().unwrap())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Cuts the last byte off, as a disk does that lost it.
pub(crate) fn tear(checkpoint: &Path) {
    let whole = fs::read(checkpoint).unwrap();
    fs::write(checkpoint, &whole[..whole.len() - 1]).unwrap();
}
