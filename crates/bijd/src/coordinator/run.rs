//! Assembles a coordinator and runs it until it is told to stop.
//!
//! It has several threads, each with its own runtime. One runs the loop: it decides, writes the store, which blocks, and
//! calls the service manager. One serves the owner's socket, for root and the hooks, and one the bus. The main thread
//! serves all other clients and the signals of the service manager. They share only the loop's inbox, so a client may
//! wait for the store but never blocks the loop, and a flood on one socket delays no answer on another.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use bij_coordinator::{Adapters, Clock, Coordinator, Handle, Inbox, Now, Ports, serve};
use bij_core::{CoordinatorSettings, TimeSpan, Timestamp};
use bij_definition::Definitions;
use bij_hook::{FOREIGN_ROOT, is_foreign_root, open_ledger, runtime_scope};
use bij_host::{HostContext, ServiceNotify};
use bij_jetson::Hardware;
use bij_store::RobustLedger;
use bij_systemd::experiment::SystemdUnits;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::sync::{oneshot, watch};

use super::gpu_watch::GpuWatch;
use super::outage::open_when_usable;
use super::power_watch::PowerWatch;
use super::reload::Reload;
use super::services::Services;
use super::thermal::ThermalControl;
use super::{BoardRecorder, HandoverFiles, record};
use crate::runtime::{interrupted_runtime, plain_runtime};

/// How long to wait for the end of the loop, which finishes the store's last write.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The real adapters.
pub(super) struct Daemon;

impl Ports for Daemon {
    type Units = SystemdUnits;
    type Store = RobustLedger;
    type Definitions = Definitions;
    type Board = Hardware;
    type Handover = HandoverFiles;
}

/// Returns PID 1, or the manager of a user, which is connected at the first call. A tree that is not the machine's own has
/// no manager, because this machine's must not be changed then.
pub(super) fn units(host: &HostContext) -> SystemdUnits {
    if is_foreign_root(host) {
        SystemdUnits::without_manager(FOREIGN_ROOT)
    } else {
        SystemdUnits::unconnected(runtime_scope(host))
    }
}

/// Runs the coordinator of an installation until SIGTERM or SIGINT; `board` is another tree to read the hardware
/// from. Its end does not affect experiments.
///
/// # Errors
/// The reason why it cannot start or continue, such as a store that cannot be read or a socket that cannot be bound.
pub fn run_coordinator(
    host: &HostContext,
    board: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<()> {
    let env = ServiceEnv::read(variable, std::process::id());
    let _lock = lock(host)?;
    let notify = ServiceNotify::new(env.notify_socket);
    let reload = Reload::new(Definitions::new(host.layout().clone()));
    let settings = reload.read();
    let (handle, inbox) = Handle::new();
    let (alive, ended) = oneshot::channel();
    let machine =
        Hardware::open(board.unwrap_or(host.root())).context("cannot read the hardware")?;
    let recorder = BoardRecorder::new(machine.clone(), host.layout().database(), host.boot()?);
    let samples = recorder.samples();
    let (outage_sender, outage) = watch::channel(None);
    let record =
        record::spawn(recorder, handle.newest_event()).context("cannot record the board")?;
    let loop_thread = spawn_loop(
        host,
        machine.clone(),
        settings.clone().unwrap_or_default(),
        inbox,
        alive,
        outage_sender,
    )?;
    let gpu = GpuWatch { machine: machine.clone(), processes: host.root().join("proc") };
    let power = PowerWatch::new(host, board);
    let thermal =
        ThermalControl { machine, handle: handle.clone(), units: units(host), host: host.clone() };
    let thermal_thread = thermal.spawn()?;
    let services = Services {
        host,
        notify,
        reload,
        handle,
        gpu,
        power,
        watchdog: env.watchdog,
        samples,
        outage,
    };
    // `services` is moved in, because the loop ends when its last handle is dropped.
    let runtime = interrupted_runtime().context("cannot build a runtime")?;
    let result = runtime.block_on(async move {
        tokio::select! {
            result = services.run(settings.is_err()) => result,
            // The loop has ended; joining it returns its error.
            _ = ended => Ok(()),
        }
    });
    // Tasks of connections may still hold a handle of the loop.
    runtime.shutdown_background();
    // This also drops its handle of the loop.
    drop(thermal_thread);
    let result = join(loop_thread).and(result);
    record::join(record);
    result
}

/// Takes the lock that allows only one coordinator at a time, because two would start every run twice. The kernel
/// releases it when this process ends.
fn lock(host: &HostContext) -> Result<Flock<File>> {
    let runtime = host.layout().runtime();
    let path = runtime.join("coordinator.lock");
    let open = || {
        bij_host::files::make_closed_directory(runtime)?;
        bij_host::files::make_closed_directory(host.layout().state())?;
        bij_host::files::open_lock(&path)
    };
    let file = open().with_context(|| format!("cannot open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => {
            anyhow!("another coordinator is running; it holds {}", path.display())
        }
        error => anyhow!(error).context(format!("cannot lock {}", path.display())),
    })
}

/// Spawns the loop on its own thread; `alive` is dropped when it ends.
fn spawn_loop(
    host: &HostContext,
    board: Hardware,
    settings: CoordinatorSettings,
    inbox: Inbox<Daemon>,
    alive: oneshot::Sender<Infallible>,
    outage: watch::Sender<Option<String>>,
) -> Result<JoinHandle<Result<()>>> {
    let boot = host.boot()?;
    let host = host.clone();
    let run = move || {
        let _alive = alive;
        plain_runtime()?.block_on(async {
            let clock = SystemClock;
            let coordinator = open_when_usable(&inbox, &outage, || {
                let adapters = Adapters {
                    units: Arc::new(units(&host)),
                    store: open_ledger(&host),
                    definitions: Definitions::new(host.layout().clone()),
                    board: board.clone(),
                    handover: HandoverFiles::new(host.clone()),
                };
                Coordinator::<Daemon>::open(adapters, boot, settings.clone(), clock.now())
                    .with_context(|| {
                        let database = host.layout().database();
                        format!("cannot use the state database {}", database.display())
                    })
            });
            if let Some(coordinator) = coordinator {
                let coordinator = if host.is_user() {
                    coordinator.owned_by(nix::unistd::geteuid().as_raw())
                } else {
                    coordinator
                };
                drop(serve(coordinator, inbox, &clock).await);
            }
            Ok(())
        })
    };
    thread::Builder::new().name("loop".to_owned()).spawn(run).context("cannot spawn a thread")
}

fn join(loop_thread: JoinHandle<Result<()>>) -> Result<()> {
    let started = std::time::Instant::now();
    while !loop_thread.is_finished() {
        if started.elapsed() > EXIT_TIMEOUT {
            return Err(anyhow!("the loop does not end; its last write is lost"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    loop_thread.join().unwrap_or_else(|_| Err(anyhow!("the loop has panicked")))
}

/// The environment variables of a service that the coordinator reads (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
#[derive(Debug)]
struct ServiceEnv {
    /// The socket for messages to the manager.
    notify_socket: Option<OsString>,
    /// The longest time between heartbeats.
    watchdog: Option<Duration>,
}

impl ServiceEnv {
    /// Reads the variables with `variable`; `pid` is the id of this process.
    fn read(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        // With another id, the variables were inherited from another service.
        let is_ours = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        Self {
            notify_socket: variable("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }
}

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        // Linux has CLOCK_BOOTTIME since 2.6.39.
        let uptime = bij_host::uptime().unwrap_or_default();
        Now { at: Timestamp::from(SystemTime::now()), uptime }
    }

    async fn sleep(&self, span: TimeSpan) {
        tokio::time::sleep(span.as_duration()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pid: &'static str) -> ServiceEnv {
        let variable = move |name: &str| {
            let value = match name {
                "NOTIFY_SOCKET" => "/run/systemd/notify",
                "WATCHDOG_USEC" => "30000000",
                "WATCHDOG_PID" => pid,
                _ => return None,
            };
            Some(OsString::from(value))
        };
        ServiceEnv::read(variable, 7)
    }

    #[test]
    fn a_watchdog_counts_only_for_the_process_it_names() {
        assert_eq!(env("7").watchdog, Some(Duration::from_secs(30)));
        assert_eq!(env("8").watchdog, None);
        assert_eq!(env("8").notify_socket, Some("/run/systemd/notify".into()));
        let alone = ServiceEnv::read(|_| None, 7);
        assert_eq!((alone.watchdog, alone.notify_socket), (None, None));
    }
}
