//! The supervisor: what an embedding program holds.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bij_core::port::{DefinitionSource, FindError, Ledger};
use bij_core::{
    ActiveState, AttemptKey, BootId, Bytes, ExperimentId, InvocationId, Layout, Order, Timestamp,
    caller_environment,
};
use nix::sys::prctl;
use procfs::Current as _;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::control_socket::{Handler as _, Seat};
use crate::desk::Desk;
use crate::event::{EventSink, Events};
use crate::jar::{Backend, CgroupPlace, Place, lock};
use crate::launcher::Launcher;
use crate::life::Surroundings;
use crate::log_file::{LogWriter, ROTATE_AT};
use crate::recorder::Recorder;
use crate::shim::ShimCommand;
use crate::status::State;
use crate::ward::Ward;

/// What can be chosen about a supervisor; `Default` is right for a program that people start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What holds experiments to their limits.
    pub backend: Backend,
    /// Where cgroups are mounted.
    pub cgroups: PathBuf,
    /// Where cgroups for experiments are made.
    pub place: CgroupPlace,
    /// What experiments inherit: of the program's own environment the variables of its session and those
    /// that say where programs are found (see [`caller_environment`]).
    pub environment: BTreeMap<OsString, OsString>,
    /// Size at which a log file gives way to a new one, in bytes.
    pub rotate_at: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            cgroups: PathBuf::from("/sys/fs/cgroup"),
            place: CgroupPlace::default(),
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

/// Why there is no supervisor.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The kernel does not say which boot this is.
    #[error("cannot read the id of this boot")]
    Boot(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// `/proc` cannot be read.
    #[error("cannot read how much memory the machine has")]
    Memory(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Orphans of experiments cannot be looked after.
    #[error("cannot become the parent of orphaned processes")]
    Subreaper(#[source] io::Error),
    /// The system has no room for a thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Why experiments are not supervised.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no usable definition.
    #[error("cannot run {id}")]
    Definition {
        /// Whose.
        id: ExperimentId,
        /// What is wrong.
        #[source]
        source: FindError,
    },
    /// Somebody supervises it already.
    #[error("{id} is already running")]
    AlreadyRunning {
        /// Which.
        id: ExperimentId,
    },
    /// Its files in the runtime directory cannot be used.
    #[error("cannot use {}", path.display())]
    Runtime {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What all attempts share.
#[derive(Debug)]
pub(crate) struct Shared<L> {
    pub(crate) layout: Layout,
    pub(crate) recorder: Recorder<L>,
    pub(crate) shim: ShimCommand,
    pub(crate) launcher: Launcher,
    pub(crate) log: LogWriter,
    pub(crate) backend: Backend,
    pub(crate) place: Place,
    pub(crate) base_environment: BTreeMap<OsString, OsString>,
    pub(crate) memory_total: Bytes,
    pub(crate) boot: BootId,
}

impl<L> Shared<L> {
    /// The key of a new attempt.
    pub(crate) fn new_key(&self) -> AttemptKey {
        // Version 4 UUIDs have 122 random bits, from the kernel; systemd's ids are made so as well.
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(fallback_invocation);
        AttemptKey { boot: self.boot, invocation: random }
    }
}

/// Unique within a boot and a machine, if the kernel gives nothing random.
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
#[derive(Debug)]
pub struct Supervisor<L, D> {
    shared: Arc<Shared<L>>,
    definitions: Arc<D>,
    wards: Mutex<Wards>,
}

#[derive(Debug, Default)]
struct Wards {
    desks: BTreeMap<ExperimentId, Desk>,
    tasks: JoinSet<()>,
}

impl<L, D> Supervisor<L, D>
where
    L: Ledger + Send + 'static,
    D: DefinitionSource + 'static,
{
    /// A supervisor over a ledger and definitions; `shim` leads back into this program.
    ///
    /// It makes this process a subreaper (prctl(2)): orphans of experiments become its children.
    ///
    /// # Errors
    /// [`SupervisorError`] if the machine lacks what any supervision needs.
    pub fn new(
        layout: Layout,
        ledger: L,
        definitions: D,
        shim: ShimCommand,
        options: Options,
    ) -> Result<Self, SupervisorError> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(|error| SupervisorError::Boot(error.into()))?
            .parse()
            .map_err(|error: bij_core::InvalidId128| SupervisorError::Boot(error.into()))?;
        let memory = procfs::Meminfo::current();
        let memory = memory.map_err(|error| SupervisorError::Memory(error.into()))?;
        prctl::set_child_subreaper(true)
            .map_err(|errno| SupervisorError::Subreaper(errno.into()))?;
        let log = LogWriter::start(layout.logs().to_owned(), options.rotate_at);
        let shared = Shared {
            recorder: Recorder::new(ledger),
            shim,
            launcher: Launcher::start().map_err(SupervisorError::Thread)?,
            log: log.map_err(SupervisorError::Thread)?,
            backend: options.backend,
            place: Place::find(&options.cgroups, &options.place, options.backend),
            base_environment: options.environment,
            memory_total: Bytes::new(memory.mem_total),
            boot,
            layout,
        };
        Ok(Self {
            shared: Arc::new(shared),
            definitions: Arc::new(definitions),
            wards: Mutex::default(),
        })
    }

    /// Starts experiments, all or none, and tells what happens to them until each has ended.
    ///
    /// # Errors
    /// [`RunError`] if one of them cannot be supervised; then none is.
    pub fn run(&self, ids: &[ExperimentId]) -> Result<Events, RunError> {
        let (sink, events) = EventSink::new();
        let mut wards = Vec::new();
        for id in ids {
            let found = self.definitions.find(id);
            found.map_err(|source| RunError::Definition { id: id.clone(), source })?;
            wards.push(self.admit(id, sink.clone())?);
        }
        for ward in wards {
            self.supervise(ward);
        }
        Ok(events)
    }

    /// Starts one experiment without looking on.
    ///
    /// # Errors
    /// [`RunError`] if it cannot be supervised.
    pub(crate) fn start(&self, id: &ExperimentId) -> Result<Desk, RunError> {
        let found = self.definitions.find(id);
        found.map_err(|source| RunError::Definition { id: id.clone(), source })?;
        let ward = self.admit(id, EventSink::nowhere())?;
        let desk = ward.around.desk.clone();
        self.supervise(ward);
        Ok(desk)
    }

    /// Orders an experiment of this supervisor to stop, and returns when it is down; `false` if it
    /// was down.
    pub async fn stop(&self, id: &ExperimentId, order: Order) -> bool {
        match self.desk(id) {
            Some(desk) => desk.stop(order).await,
            None => false,
        }
    }

    /// Orders all experiments of this supervisor to stop, at once, and returns when all are down.
    pub async fn stop_all(&self, order: Order) {
        let desks: Vec<Desk> = lock(&self.wards).desks.values().cloned().collect();
        let mut stops = JoinSet::new();
        for desk in desks {
            let order = order.clone();
            stops.spawn(async move { desk.stop(order).await });
        }
        while stops.join_next().await.is_some() {}
    }

    /// The paths it works with.
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// The desk of an experiment that was started here.
    pub(crate) fn desk(&self, id: &ExperimentId) -> Option<Desk> {
        lock(&self.wards).desks.get(id).cloned()
    }

    fn admit(&self, id: &ExperimentId, sink: EventSink) -> Result<Ward<L>, RunError> {
        let layout = &self.shared.layout;
        let seat = Seat::take(layout, id)
            .map_err(|source| RunError::Runtime { path: layout.local(), source })?
            .ok_or_else(|| RunError::AlreadyRunning { id: id.clone() })?;
        let left = State::read(layout, id);
        let now = Timestamp::from(SystemTime::now());
        let (desk, orders) = Desk::open(layout, id, self.shared.boot, now);
        let shared = Arc::clone(&self.shared);
        let definitions = Arc::clone(&self.definitions) as Arc<dyn DefinitionSource>;
        Ok(Ward {
            id: id.clone(),
            seat,
            around: Surroundings { shared, definitions, desk, sink, orders },
            left,
        })
    }

    fn supervise(&self, ward: Ward<L>) {
        let mut wards = lock(&self.wards);
        wards.desks.retain(|_, desk| desk.state().active != ActiveState::Inactive);
        wards.desks.insert(ward.id.clone(), ward.around.desk.clone());
        while wards.tasks.try_join_next().is_some() {}
        wards.tasks.spawn(ward.supervise());
    }
}
