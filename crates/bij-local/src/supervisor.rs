//! The supervisor that a program embeds.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use std::{fmt, fs, io};

use bij_cgroup::CgroupRoot;
use bij_core::port::{DefinitionSource, FindError, Ledger};
use bij_core::{
    ActiveState, AttemptKey, BootId, Bytes, ExperimentId, InvocationId, Layout, Order, Timestamp,
    caller_environment,
};
use bij_host::boot_id;
use nix::sys::prctl;
use procfs::Current as _;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::control::Control;
use crate::control_socket::ExperimentLock;
use crate::event::{EventSink, Events};
use crate::launcher::Launcher;
use crate::log_file::{LogWriter, ROTATE_AT};
use crate::recorder::Recorder;
use crate::resource_guard::{Backend, CgroupLocation, CgroupTree, lock};
use crate::running_attempt::ExperimentContext;
use crate::shim::ShimCommand;
use crate::status::SupervisedState;
use crate::supervised_experiment::SupervisedExperiment;

/// Options of a supervisor; `Default` suits a program that people start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The mechanism that enforces limits.
    pub backend: Backend,
    /// The directory where cgroups are mounted.
    pub cgroups: PathBuf,
    /// Where cgroups for experiments are made.
    pub cgroup_location: CgroupLocation,
    /// Variables that experiments inherit. By default those of the program's session and of its
    /// search paths (see [`caller_environment`]).
    pub environment: BTreeMap<OsString, OsString>,
    /// Size at which a log file gives way to a new one, in bytes.
    pub rotate_at: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            cgroups: PathBuf::from(CgroupRoot::MOUNT_POINT),
            cgroup_location: CgroupLocation::default(),
            environment: std::env::vars_os().filter(|(name, _)| is_inherited(name)).collect(),
            rotate_at: ROTATE_AT,
        }
    }
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        caller_environment::is_session_variable(name) || caller_environment::is_tool_variable(name)
    })
}

/// Why no supervisor could be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The kernel does not say which boot this is.
    #[error("cannot read the id of this boot")]
    Boot(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// `/proc` cannot be read.
    #[error("cannot read how much memory the machine has")]
    Memory(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// This process cannot become a subreaper (prctl(2)).
    #[error("cannot become the parent of orphaned processes")]
    Subreaper(#[source] io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Why an experiment was not taken under supervision.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no usable definition.
    #[error("cannot run {id}")]
    Definition {
        /// The experiment.
        id: ExperimentId,
        /// Why its definition cannot be used.
        #[source]
        source: FindError,
    },
    /// A supervisor, here or in another process, runs it already.
    #[error("{id} is already running")]
    AlreadyRunning {
        /// The experiment.
        id: ExperimentId,
    },
    /// Its files in the runtime directory cannot be used.
    #[error("cannot use {}", path.display())]
    Runtime {
        /// The directory.
        path: PathBuf,
        /// The error of the system call.
        #[source]
        source: io::Error,
    },
}

/// What all experiments of one supervisor share.
pub(crate) struct SupervisorContext {
    pub(crate) layout: Layout,
    pub(crate) recorder: Recorder,
    pub(crate) shim: ShimCommand,
    pub(crate) launcher: Launcher,
    pub(crate) log: LogWriter,
    pub(crate) backend: Backend,
    pub(crate) cgroup_tree: CgroupTree,
    pub(crate) base_environment: BTreeMap<OsString, OsString>,
    pub(crate) memory_total: Bytes,
    pub(crate) boot: BootId,
}

impl SupervisorContext {
    /// Returns the key of a new attempt.
    pub(crate) fn new_key(&self) -> AttemptKey {
        // Version 4 UUIDs have 122 random bits, from the kernel; systemd's ids are made so as well.
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(fallback_invocation);
        AttemptKey { boot: self.boot, invocation: random }
    }
}

/// Returns an id that is unique within this boot, for a kernel that gives no random one.
fn fallback_invocation() -> InvocationId {
    let nanos =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let pid = u128::from(std::process::id());
    InvocationId::from_bytes((nanos << 32 | pid).to_be_bytes())
}

/// Supervises experiments in this program.
///
/// Its methods must be called within a tokio runtime with time and I/O. When it and its [`Events`]
/// are dropped, every experiment is killed; [`Supervisor::stop_all`] ends them in good order.
pub struct Supervisor {
    shared: Arc<SupervisorContext>,
    definitions: Arc<dyn DefinitionSource>,
    experiments: Mutex<ActiveExperiments>,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("layout", self.layout()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct ActiveExperiments {
    controls: BTreeMap<ExperimentId, Control>,
    tasks: JoinSet<()>,
}

impl Supervisor {
    /// Makes a supervisor over a ledger and definitions. `shim` is the command that starts the shim.
    ///
    /// Makes this process a subreaper (prctl(2)): orphans of experiments become its children.
    ///
    /// # Errors
    /// [`SupervisorError`] if the machine lacks what any supervision needs.
    pub fn new(
        layout: Layout,
        ledger: impl Ledger + Send + 'static,
        definitions: impl DefinitionSource + 'static,
        shim: ShimCommand,
        options: Options,
    ) -> Result<Self, SupervisorError> {
        let boot = boot_id(Path::new("/")).map_err(|error| SupervisorError::Boot(error.into()))?;
        let memory = procfs::Meminfo::current();
        let memory = memory.map_err(|error| SupervisorError::Memory(error.into()))?;
        prctl::set_child_subreaper(true)
            .map_err(|errno| SupervisorError::Subreaper(errno.into()))?;
        let log = LogWriter::start(layout.logs().to_owned(), options.rotate_at);
        let shared = SupervisorContext {
            recorder: Recorder::new(ledger),
            shim,
            launcher: Launcher::start().map_err(SupervisorError::Thread)?,
            log: log.map_err(SupervisorError::Thread)?,
            backend: options.backend,
            cgroup_tree: CgroupTree::find(
                &options.cgroups,
                &options.cgroup_location,
                options.backend,
            ),
            base_environment: options.environment,
            memory_total: Bytes::new(memory.mem_total),
            boot,
            layout,
        };
        Ok(Self {
            shared: Arc::new(shared),
            definitions: Arc::new(definitions),
            experiments: Mutex::default(),
        })
    }

    /// Starts experiments, all or none, and returns their events until each has ended.
    ///
    /// # Errors
    /// [`RunError`] if one of them cannot be supervised; then none is started.
    pub fn run(&self, ids: &[ExperimentId]) -> Result<Events, RunError> {
        let (sink, events) = EventSink::new();
        let mut experiments = Vec::new();
        for id in ids {
            let found = self.definitions.find(id);
            found.map_err(|source| RunError::Definition { id: id.clone(), source })?;
            experiments.push(self.admit(id, sink.clone())?);
        }
        for experiment in experiments {
            self.supervise(experiment);
        }
        Ok(events)
    }

    /// Starts one experiment and discards its events.
    ///
    /// # Errors
    /// [`RunError`] if it cannot be supervised.
    pub(crate) fn start(&self, id: &ExperimentId) -> Result<Control, RunError> {
        let found = self.definitions.find(id);
        found.map_err(|source| RunError::Definition { id: id.clone(), source })?;
        let experiment = self.admit(id, EventSink::discarding())?;
        let control = experiment.context.control.clone();
        self.supervise(experiment);
        Ok(control)
    }

    /// Stops an experiment of this supervisor and returns when it is down. Returns `false` if it was
    /// down before.
    pub async fn stop(&self, id: &ExperimentId, order: Order) -> bool {
        match self.control(id) {
            Some(control) => control.stop(order).await,
            None => false,
        }
    }

    /// Stops all experiments of this supervisor at once and returns when all are down.
    pub async fn stop_all(&self, order: Order) {
        let controls: Vec<Control> = lock(&self.experiments).controls.values().cloned().collect();
        let mut stops = JoinSet::new();
        for control in controls {
            let order = order.clone();
            stops.spawn(async move { control.stop(order).await });
        }
        while stops.join_next().await.is_some() {}
    }

    /// Returns the paths of this supervisor's files.
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// Returns the mounted cgroup tree, if there is one.
    pub(crate) fn cgroups(&self) -> Option<&CgroupRoot> {
        self.shared.cgroup_tree.root()
    }

    /// Returns the control of an experiment that this supervisor started.
    pub(crate) fn control(&self, id: &ExperimentId) -> Option<Control> {
        lock(&self.experiments).controls.get(id).cloned()
    }

    fn admit(&self, id: &ExperimentId, sink: EventSink) -> Result<SupervisedExperiment, RunError> {
        let layout = &self.shared.layout;
        let lock = ExperimentLock::take(layout, id)
            .map_err(|source| RunError::Runtime { path: layout.local(), source })?
            .ok_or_else(|| RunError::AlreadyRunning { id: id.clone() })?;
        let previous = SupervisedState::read(layout, id);
        let now = Timestamp::from(SystemTime::now());
        let (control, orders) = Control::new(layout, id, self.shared.boot, now);
        let supervisor = Arc::clone(&self.shared);
        let definitions = Arc::clone(&self.definitions);
        Ok(SupervisedExperiment {
            id: id.clone(),
            lock,
            context: ExperimentContext { supervisor, definitions, control, sink, orders },
            previous,
        })
    }

    fn supervise(&self, experiment: SupervisedExperiment) {
        let mut experiments = lock(&self.experiments);
        experiments.controls.retain(|_, control| control.state().active != ActiveState::Inactive);
        experiments.controls.insert(experiment.id.clone(), experiment.context.control.clone());
        while experiments.tasks.try_join_next().is_some() {}
        experiments.tasks.spawn(experiment.supervise());
    }
}
