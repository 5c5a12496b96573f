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
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bij_api::{Listener, Rights, Server, WhichBus};
use bij_coordinator::{Adapters, Clock as _, Coordinator, Gone, Handle, Inbox, Ports, serve};
use bij_core::CoordinatorSettings;
use bij_core::error_chain;
use bij_core::queue::GoingDown;
use bij_definition::Definitions;
use bij_hook::{FOREIGN_ROOT, deferred_start, is_foreign_root, open_ledger, runtime_scope};
use bij_host::{HostContext, ServiceNotify};
use bij_jetson::Hardware;
use bij_store::{Reader, RobustLedger};
use bij_systemd::{RuntimeScope, SystemdUnits, UnitSignal, UnitWatch};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::gpu_watch::GpuWatch;
use super::handler::CoordinatorHandler;
use super::handler::RequestHandler;
use super::limit_watch::LimitWatch;
use super::manager_probe::ManagerProbe;
use super::outage::{Outage, open_when_usable};
use super::power_watch::PowerWatch;
use super::reload::Reload;
use super::report::report_events;
use super::runtime_thread::RuntimeThread;
use super::service_env::ServiceEnv;
use super::thermal::ThermalControl;
use super::unit_steering::UnitSteering;
use super::{BoardRecorder, HandoverFiles, SampleRing, SystemClock, record};
use crate::runtime::interrupted_runtime;

/// How long to wait for the end of the loop, which finishes the store's last write.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// How soon to connect to the bus again, at first and after many failures.
const BUS_RETRY: Duration = Duration::from_millis(100);
const BUS_RETRY_MAX: Duration = Duration::from_secs(5);

/// Interval of checks for deferred starts, which are rare.
const DEFERRED_INTERVAL: Duration = Duration::from_secs(5);

/// The real adapters.
struct Daemon;

impl Ports for Daemon {
    type Units = SystemdUnits;
    type Store = RobustLedger;
    type Definitions = Definitions;
    type Board = Hardware;
    type Handover = HandoverFiles;
}

/// Returns PID 1, or the manager of a user, which is connected at the first call. A tree that is not the machine's own has
/// no manager, because this machine's must not be changed then.
fn units(host: &HostContext) -> SystemdUnits {
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
    let machine = Hardware::below(board.unwrap_or(host.root()));
    let recorder = BoardRecorder::new(machine.clone(), host.layout().database(), host.boot()?);
    let samples = recorder.samples();
    let (outage_sender, outage) = watch::channel(None);
    let record =
        record::spawn(recorder, handle.newest_event()).context("cannot record the board")?;
    let loop_ = spawn_loop(
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
    let result = join(loop_).and(result);
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

pub(super) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot build a runtime")
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
        runtime()?.block_on(async {
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

fn join(loop_: JoinHandle<Result<()>>) -> Result<()> {
    let started = std::time::Instant::now();
    while !loop_.is_finished() {
        if started.elapsed() > EXIT_TIMEOUT {
            return Err(anyhow!("the loop does not end; its last write is lost"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    loop_.join().unwrap_or_else(|_| Err(anyhow!("the loop has panicked")))
}

/// Everything but the loop and its own threads.
struct Services<'a> {
    host: &'a HostContext,
    notify: ServiceNotify,
    reload: Reload,
    handle: Handle<Daemon>,
    gpu: GpuWatch,
    power: PowerWatch,
    watchdog: Option<Duration>,
    samples: Arc<Mutex<SampleRing>>,
    outage: Outage,
}

impl Services<'_> {
    /// Serves until it is told to stop.
    async fn run(&self, settings_are_wrong: bool) -> Result<()> {
        // Handlers must be in place before READY=1, after which signals may come.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut outage = self.outage.clone();
        tokio::select! {
            // The loop answers when it has loaded the store and observed the machine once.
            answered = self.handle.ask(|_, _| ()) => if answered.is_err() {
                return Ok(());
            },
            // Or it cannot open the store, and every request is refused with the reason meanwhile.
            is_unavailable = outage.wait_for(Option::is_some) => if is_unavailable.is_err() {
                return Ok(());
            },
        }
        let newest = self.handle.newest_event();
        let server = self.server();
        let layout = self.host.layout();
        let listener = Listener::bind(&layout.coordinator_socket())?;
        // Both end, and drop their handles of the loop, at the end of this function.
        let _owner = self.serve_owner()?;
        let _bus = self.serve_bus()?;
        self.notify.ready();
        let end = async {
            loop {
                // Cancel-safe: a signal that was not received is received the next time.
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = hang_up.recv() => {
                        self.notify.reloading(bij_host::monotonic());
                        drop(self.reload.reload(&self.handle, "SIGHUP").await);
                        self.notify.ready();
                    }
                }
            }
            // From now on the loop starts nothing. An error means that it has ended.
            if self.outage.borrow().is_none() {
                let _ = self.handle.set_going_down(GoingDown::Coordinator, true).await;
            }
        };
        let opened = async {
            let mut outage = self.outage.clone();
            // An error means that the loop has ended.
            drop(outage.wait_for(Option::is_none).await);
            if settings_are_wrong {
                // It has been logged; this makes it one of the troubles that are env.
                drop(self.reload.reload(&self.handle, "the start").await);
            }
            report_events(&self.handle, newest, &self.notify).await;
        };
        // Each runs until the end of the coordinator; clients repeat requests that are dropped with them.
        tokio::select! {
            () = end => {}
            never = server.serve_socket(&listener) => match never {},
            () = self.forward_unit_signals() => {}
            () = opened => {}
            never = self.report_outage() => match never {},
            never = self.queue_deferred_starts() => match never {},
            () = self.keep_alive() => {}
            never = self.gpu.serve(&self.handle) => match never {},
            never = LimitWatch::new(self.host).watch(&self.handle) => match never {},
            never = self.power.serve(&self.handle) => match never {},
        }
        self.notify.stopping();
        self.power.release().await;
        listener.remove();
        Ok(())
    }

    fn runtime_scope(&self) -> RuntimeScope {
        runtime_scope(self.host)
    }

    fn rights(&self) -> Rights {
        if self.host.is_user() {
            Rights::User { uid: nix::unistd::geteuid().as_raw() }
        } else {
            Rights::system()
        }
    }

    /// Returns a new server: each thread needs its own, because a handler's connections belong to its runtime.
    fn server(&self) -> Server<CoordinatorHandler<Daemon>> {
        Server::new(Arc::new(self.handler()), self.rights(), self.handle.newest_event())
    }

    fn handler(&self) -> CoordinatorHandler<Daemon> {
        CoordinatorHandler {
            loop_: self.handle.clone(),
            manager: ManagerProbe::new(self.runtime_scope()),
            definitions: Definitions::new(self.host.layout().clone()),
            history: Arc::new(Reader::at(self.host.layout())),
            outage: self.outage.clone(),
            reload: self.reload.clone(),
            power: self.power.clone(),
            steering: UnitSteering {
                units: Arc::new(units(self.host)),
                layout: self.host.layout().clone(),
            },
            samples: Arc::clone(&self.samples),
        }
    }

    /// Serves the socket that only root, the hooks and the installation's user can open.
    fn serve_owner(&self) -> Result<RuntimeThread> {
        let (socket, server) = (self.host.layout().owners_socket(), self.server());
        RuntimeThread::spawn(
            "owner",
            move || Ok(Listener::bind_owners(&socket)?),
            async move |listener: &Listener| match server.serve_owners_socket(listener).await {},
            Listener::remove,
        )
    }

    /// Serves the bus, if there is one.
    fn serve_bus(&self) -> Result<Option<RuntimeThread>> {
        if is_foreign_root(self.host) {
            return Ok(None);
        }
        let bus = match self.runtime_scope() {
            RuntimeScope::System => WhichBus::System,
            RuntimeScope::User => WhichBus::Session,
        };
        let server = self.server();
        let serve = async move |(): &()| match serve_bus_forever(&server, bus).await {};
        Ok(Some(RuntimeThread::spawn("bus", || Ok(()), serve, drop)?))
    }

    /// Reports outages of the loop to the service manager.
    async fn report_outage(&self) -> Infallible {
        let mut outage = self.outage.clone();
        loop {
            if let Some(why) = &*outage.borrow_and_update() {
                self.notify.status(&format!("all starts are on hold: {}", why.replace('\n', " ")));
            }
            if outage.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Queues the starts that hooks have deferred.
    async fn queue_deferred_starts(&self) -> Infallible {
        let handler = self.handler();
        loop {
            if self.outage.borrow().is_none() {
                for id in deferred_start::list(self.host) {
                    let taken = handler.queue_deferred_start(id.clone()).await;
                    let taken = taken.map_err(|refusal| refusal.text).and_then(|()| {
                        deferred_start::remove(self.host, &id).map_err(|error| error.to_string())
                    });
                    match taken {
                        Ok(()) => log::info!(
                            BIJ_EXPERIMENT:% = id, BIJ_EVENT = "start-taken-in";
                            "the deferred start of {id} is queued"
                        ),
                        Err(why) => log::warn!(
                            BIJ_EXPERIMENT:% = id, BIJ_EVENT = "start-kept";
                            "cannot queue the deferred start of {id} yet: {why}"
                        ),
                    }
                }
            }
            tokio::time::sleep(DEFERRED_INTERVAL).await;
        }
    }

    /// Forwards signals of the service manager to the loop, until the loop ends.
    async fn forward_unit_signals(&self) {
        if is_foreign_root(self.host) {
            return std::future::pending().await;
        }
        let mut watch = UnitWatch::new(self.runtime_scope());
        let manager = ManagerProbe::new(self.runtime_scope());
        loop {
            let passed_on = match watch.next().await {
                UnitSignal::Changed(id) => self.handle.unit_changed(id).await,
                UnitSignal::StartSkipped(id, invocation) => {
                    self.handle.ask(move |it, now| it.start_skipped(&id, invocation, now)).await
                }
                UnitSignal::MayGoDown => self.report_shutdown_state(&manager).await,
                UnitSignal::Resync => match self.report_shutdown_state(&manager).await {
                    Ok(()) => self.handle.resync().await,
                    gone => gone,
                },
                UnitSignal::Lost(why) => {
                    log::warn!("no signals from the service manager: {why}; connecting again");
                    Ok(())
                }
            };
            if passed_on.is_err() {
                return;
            }
        }
    }

    async fn report_shutdown_state(&self, manager: &ManagerProbe) -> Result<(), Gone> {
        let goes = manager.is_going_down().await;
        self.handle.set_going_down(GoingDown::Machine, goes).await
    }

    /// Sends heartbeats to the service manager, as long as the loop answers.
    async fn keep_alive(&self) {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        loop {
            // A loop that tries to open its database does not answer, but is alive.
            let is_unavailable = self.outage.borrow().is_some();
            if !is_unavailable && self.handle.ask(|_, _| ()).await.is_err() {
                return;
            }
            self.notify.alive();
            tokio::time::sleep(watchdog / 3).await;
        }
    }
}

async fn serve_bus_forever(
    server: &Server<CoordinatorHandler<Daemon>>,
    bus: WhichBus,
) -> Infallible {
    let mut again_after = BUS_RETRY;
    loop {
        let error = match server.serve_bus(bus).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        if let bij_api::BusError::Lost = error {
            again_after = BUS_RETRY;
            log::info!("lost the connection to the bus; connecting again");
        } else if again_after == BUS_RETRY {
            log::warn!("cannot serve the bus, only the sockets: {}", error_chain(&error));
        }
        tokio::time::sleep(again_after).await;
        again_after = (again_after * 2).min(BUS_RETRY_MAX);
    }
}
