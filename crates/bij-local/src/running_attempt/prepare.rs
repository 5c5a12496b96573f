//! Prepares an attempt: its directories, resource guard, notification socket and process.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bij_core::spec::{CpuSet, ExperimentSpec};
use bij_core::{Attempt, Bytes, Cause, ExperimentId, Layout, Limit, Obstacle, RunEnd, Timestamp};
use bij_host::read_progress;
use nix::sys::resource::RLIM_INFINITY;
use nix::unistd::{Gid, Uid, User, chown, geteuid};
use thiserror::Error;
use tokio::process::Child;
use tokio::task::{JoinHandle, JoinSet};

use super::{ExperimentContext, RunningAttempt};
use crate::environment::AttemptEnvironment;
use crate::event::CancellationFlag;
use crate::log_file::{LogLine, LogStream};
use crate::notify_socket::NotifySocket;
use crate::output::{OutputPiece, read_lines};
use crate::resource_guard::{Counters, PreparedLimits, ResourceGuard};
use crate::shim::{self, ShimInstructions, ShimReport, UserIdentity};
use crate::status::file_in;

/// An attempt whose process has been started.
pub(super) struct Prepared {
    pub(super) pid: u32,
    pub(super) child: Child,
    pub(super) guard: ResourceGuard,
    pub(super) cgroup_procs: Vec<PathBuf>,
    pub(super) notify: NotifySocket,
    pub(super) report: Option<JoinHandle<ShimReport>>,
    pub(super) stop_file: PathBuf,
    pub(super) notes: Vec<String>,
    output: JoinSet<()>,
    over: CancellationFlag,
}

/// Why no process could be started.
#[derive(Debug, Error)]
pub(super) enum PrepareError {
    #[error("cannot prepare {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    NoUser(Obstacle),
    #[error("only root can run an experiment as {name}")]
    NotRoot { name: String },
    #[error("cannot look up the user {name}")]
    User { name: String, source: io::Error },
    #[error("cannot enforce its limits")]
    Limits(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot start the shim")]
    Spawn(#[source] io::Error),
}

impl RunningAttempt {
    /// Prepares the attempt and starts its process.
    pub(super) async fn prepare(
        &mut self,
        context: &ExperimentContext,
        spec: &ExperimentSpec,
    ) -> Result<Prepared, PrepareError> {
        let supervisor = &context.supervisor;
        let layout = &supervisor.layout;
        let user = user_identity(spec)?;
        let (state_dir, stop_file) = make_paths(layout, &spec.id, user.as_ref())?;
        let resume_from = self.resume_from(context, spec).await?;
        let notify_path = file_in(&layout.local(), &spec.id, "notify");
        let unique = format!("{}-{}", spec.id, self.key.invocation);
        let notify = NotifySocket::bind(&notify_path, &unique, user.as_ref())
            .map_err(failed(&notify_path))?;
        let limits = PreparedLimits::new(
            supervisor.backend,
            &supervisor.cgroup_tree,
            &format!("bij-{unique}"),
            &spec.limits,
            supervisor.memory_total,
        )
        .map_err(PrepareError::Limits)?;
        let environment = AttemptEnvironment {
            layout,
            spec,
            opened: &self.opened,
            invocation: self.key.invocation,
            resume_from,
            notify_socket: notify.address(),
            user: user.as_ref(),
        };
        let environment = environment.merge_with(&supervisor.base_environment);
        let directory = match &spec.directory {
            Some(directory) => PathBuf::from(directory.as_str()),
            None => state_dir,
        };
        let instructions = ShimInstructions {
            supervisor: i32::try_from(std::process::id()).unwrap_or(0),
            cgroups: limits.procs_files(),
            data_limit: limits.data_limit(),
            open_files: spec.limits.open_files.map(|limit| rlimit(limit, u64::from)),
            locked_memory: spec.limits.locked_memory.map(|limit| rlimit(limit, Bytes::get)),
            cpus: spec.limits.cpus.iter().flat_map(CpuSet::iter).collect(),
            user,
            directory,
            command: spec.command.clone(),
            environment: environment.into_iter().collect(),
            watchdog: spec.health.watchdog.is_some(),
        };
        let (ours, theirs) = UnixStream::pair().map_err(PrepareError::Spawn)?;
        let mut command = supervisor.shim.command();
        command
            .env_clear()
            // Identifies the processes of the attempt.
            .env("INVOCATION_ID", self.key.invocation.to_string())
            .process_group(0)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = supervisor.launcher.spawn(command).await.map_err(PrepareError::Spawn)?;
        let pid = child.id().ok_or_else(|| PrepareError::Spawn(io::ErrorKind::NotFound.into()))?;
        let over = CancellationFlag::new();
        let output = self.read_output(context, &mut child, &over);
        let notes = limits.notes().to_vec();
        let cgroup_procs = limits.procs_files();
        let main = i32::try_from(pid).unwrap_or(i32::MAX);
        let guard = limits.guard(main, self.key.invocation).map_err(PrepareError::Spawn)?;
        // The guard samples before the shim goes on, so that even the shortest attempt is counted.
        let report = tokio::spawn(async move {
            shim::instruct(ours, &instructions).await.unwrap_or(ShimReport::Silent)
        });
        let report = Some(report);
        Ok(Prepared {
            pid,
            child,
            guard,
            cgroup_procs,
            notify,
            report,
            stop_file,
            notes,
            output,
            over,
        })
    }

    /// Returns the checkpoint to resume from: the one in the progress file, else the newest of an
    /// attempt since the last success. A run that follows a success has none.
    async fn resume_from(
        &self,
        context: &ExperimentContext,
        spec: &ExperimentSpec,
    ) -> Result<Option<String>, PrepareError> {
        let path = context.supervisor.layout.progress(&spec.id);
        if self.opened.before.last_run_end == Some(RunEnd::Success) {
            remove(&path)?;
            return Ok(None);
        }
        let written = read_progress(&path).and_then(|progress| progress.checkpoint);
        if written.is_some() || self.opened.before.last_checkpoint.is_none() {
            return Ok(written);
        }
        // If the ledger cannot be read, the attempt starts without a checkpoint.
        let recent =
            context.supervisor.recorder.recent_attempts(&spec.id).await.unwrap_or_default();
        Ok(last_checkpoint(&recent))
    }

    fn read_output(
        &self,
        context: &ExperimentContext,
        child: &mut Child,
        over: &CancellationFlag,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (run, attempt) = (self.opened.run.clone(), self.opened.attempt);
        let (log, sink) = (context.supervisor.log.clone(), context.sink.clone());
        let flag = over.clone();
        let hand_over = move |piece: OutputPiece| {
            let OutputPiece { stream, continued, text } = piece;
            let line = LogLine {
                experiment: run.experiment.clone(),
                at: Timestamp::from(std::time::SystemTime::now()),
                run: run.number,
                attempt,
                stream,
                continued,
                text,
            };
            let (log, sink, over) = (log.clone(), sink.clone(), flag.clone());
            async move {
                log.write(line.clone()).await;
                sink.send_output(line, &over).await;
            }
        };
        if let Some(pipe) = child.stdout.take() {
            tasks.spawn(read_lines(pipe, LogStream::Out, over.clone(), hand_over.clone()));
        }
        if let Some(pipe) = child.stderr.take() {
            tasks.spawn(read_lines(pipe, LogStream::Err, over.clone(), hand_over));
        }
        tasks
    }
}

impl Prepared {
    /// Releases what the attempt used and returns its final counters.
    pub(super) async fn clean_up(mut self) -> Counters {
        let counters = self.guard.read().await;
        self.over.raise();
        while self.output.join_next().await.is_some() {}
        // A remaining stop file would stop the next attempt, which therefore removes it too.
        let _ = remove(&self.stop_file);
        self.guard.shut_down().await;
        counters
    }
}

fn last_checkpoint(recent: &[Attempt]) -> Option<String> {
    let ends = recent.iter().rev().filter_map(|attempt| attempt.end.as_ref());
    ends.take_while(|end| end.cause != Cause::Success)
        .find_map(|end| end.evidence.progress.as_ref()?.checkpoint.clone())
}

/// Returns the user of the experiment, or `None` if it is the supervisor's own.
fn user_identity(spec: &ExperimentSpec) -> Result<Option<UserIdentity>, PrepareError> {
    let Some(name) = &spec.user else { return Ok(None) };
    // As in systemd, a number is a uid.
    let user = match name.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    let user = user
        .map_err(|errno| PrepareError::User { name: name.clone(), source: errno.into() })?
        .ok_or_else(|| PrepareError::NoUser(Obstacle::NoUser { name: name.clone() }))?;
    if user.uid == geteuid() {
        return Ok(None);
    }
    if !geteuid().is_root() {
        return Err(PrepareError::NotRoot { name: name.clone() });
    }
    Ok(Some(UserIdentity {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: user.dir,
    }))
}

/// Makes the directories of an attempt and removes an old stop file. Returns the paths of the state
/// directory and of the stop file.
fn make_paths(
    layout: &Layout,
    id: &ExperimentId,
    user: Option<&UserIdentity>,
) -> Result<(PathBuf, PathBuf), PrepareError> {
    let (state_dir, stop_file) = (layout.experiment_state(id), layout.stop_file(id));
    make_directory(&state_dir, user)?;
    for directory in [stop_file.parent(), Some(&layout.local())].into_iter().flatten() {
        fs::create_dir_all(directory).map_err(failed(directory))?;
    }
    remove(&stop_file)?;
    Ok((state_dir, stop_file))
}

/// Makes a directory that only the experiment's user can enter.
fn make_directory(path: &Path, user: Option<&UserIdentity>) -> Result<(), PrepareError> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(failed(above))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(path)(error));
        }
        _ => {}
    }
    if let Some(user) = user {
        chown(path, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))
            .map_err(|errno| failed(path)(errno.into()))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), PrepareError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::File { path, source }
}

/// Returns a limit as setrlimit(2) takes it.
fn rlimit<T>(limit: Limit<T>, number: impl FnOnce(T) -> u64) -> u64 {
    limit.at().map_or(RLIM_INFINITY, number)
}
