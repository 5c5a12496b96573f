//! Puts a coordinator together and runs it until it is told to end.
//!
//! Threads, each with a runtime of its own. One has the loop: it decides, writes the store, which
//! blocks, and asks the service manager. One has the owner's socket, by which root and the hooks come;
//! one the bus; and the main thread everyone else: clients, signals of the service manager, and the
//! service manager's own questions. They share nothing but the loop's inbox, so a client can wait for
//! the store and never holds it up, and no flood by one way delays an answer by another.

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
use bij_core::definition::CoordinatorSettings;
use bij_core::error_chain;
use bij_core::queue::GoingDown;
use bij_definitions::Definitions;
use bij_jetson::Machine;
use bij_store::{Reader, RobustLedger};
use bij_systemd::{RuntimeScope, UnitSignal, UnitWatch};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::beside::Beside;
use super::gpu_watch::GpuWatch;
use super::handler::Handler;
use super::heat::HeatWatch;
use super::limit_watch::LimitWatch;
use super::manager_state::ManagerState;
use super::power_watch::PowerWatch;
use super::reload::Reload;
use super::shut::{Shut, until_it_opens};
use super::tell::tell_events;
use super::told::ServiceTold;
use super::unit_steering::UnitSteering;
use super::units::{Units, units};
use super::{HandoverFiles, Hour, Recorder, SystemClock, record};
use crate::runtime::interrupted_runtime;
use bij_hook::{deferred_start, open_ledger};
use bij_hook::{is_foreign_root, runtime_scope};
use bij_host::HostContext;
use bij_host::ServiceNotify;

/// How long the loop may take to leave: it ends with the store's last write.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// How soon the bus is looked for again, at first and at last.
const BUS_AGAIN_AFTER: Duration = Duration::from_millis(100);
const BUS_AGAIN_AT_LAST_AFTER: Duration = Duration::from_secs(5);

/// How often it is looked whether hooks have kept starts. They do so where they cannot ask, which is
/// rare.
const TAKES_IN_EVERY: Duration = Duration::from_secs(5);

/// The adapters of the daemon.
struct Daemon;

impl Ports for Daemon {
    type Units = Units;
    type Store = RobustLedger;
    type Definitions = Definitions;
    type Board = Machine;
    type Handover = HandoverFiles;
}

/// Runs the coordinator of a place until SIGTERM or SIGINT; `board` is another tree to read the hardware
/// from. No experiment is touched by its end.
///
/// # Errors
/// Why it cannot begin, or could not go on: the store cannot be read, nobody can be listened to.
pub fn run_coordinator(
    host: &HostContext,
    board: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<()> {
    let told = ServiceTold::read(variable, std::process::id());
    let _alone = lock(host)?;
    let notify = ServiceNotify::new(told.notify_socket);
    let reload = Reload::of(Definitions::new(host.layout().clone()));
    let settings = reload.read();
    let (handle, inbox) = Handle::new();
    let (alive, ended) = oneshot::channel();
    let machine = Machine::below(board.unwrap_or(host.root()));
    let recorder = Recorder::new(machine.clone(), host.layout().database(), host.boot()?);
    let hour = recorder.hour();
    let (opened, shut) = watch::channel(None);
    let record =
        record::spawn(recorder, handle.newest_event()).context("the board cannot be recorded")?;
    let loop_ = spawn_loop(
        host,
        machine.clone(),
        settings.clone().unwrap_or_default(),
        inbox,
        alive,
        opened,
    )?;
    let gpu = GpuWatch { machine: machine.clone(), processes: host.root().join("proc") };
    let power = PowerWatch::of(host, board);
    let heat =
        HeatWatch { machine, handle: handle.clone(), units: units(host), host: host.clone() };
    let watching = heat.spawn()?;
    let outside =
        Outside { host, notify, reload, handle, gpu, power, watchdog: told.watchdog, hour, shut };
    // Moved in, so that no hand on the loop is left when this is over: the loop ends with the last.
    let runtime = interrupted_runtime().context("no runtime can be made")?;
    let result = runtime.block_on(async move {
        tokio::select! {
            result = outside.run(settings.is_err()) => result,
            // Dropped, not sent: the loop tells its own error when it is joined.
            _ = ended => Ok(()),
        }
    });
    // Tasks of connections may still be there, and each has a handle of the loop.
    runtime.shutdown_background();
    // Its hand on the loop goes with it.
    drop(watching);
    let result = join(loop_).and(result);
    record::join(record);
    result
}

/// Sees to it that there is one at a time: two would start everything twice. The kernel gives the
/// lock back, however this process ends.
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
        Errno::EWOULDBLOCK => anyhow!("another coordinator is there; it holds {}", path.display()),
        error => anyhow!(error).context(format!("cannot lock {}", path.display())),
    })
}

pub(super) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("no runtime can be made")
}

/// Runs the loop on a thread of its own; `alive` is dropped when it ends.
fn spawn_loop(
    host: &HostContext,
    board: Machine,
    settings: CoordinatorSettings,
    inbox: Inbox<Daemon>,
    alive: oneshot::Sender<Infallible>,
    opened: watch::Sender<Option<String>>,
) -> Result<JoinHandle<Result<()>>> {
    let boot = host.boot()?;
    let host = host.clone();
    let run = move || {
        let _alive = alive;
        runtime()?.block_on(async {
            let clock = SystemClock;
            let coordinator = until_it_opens(&inbox, &opened, || {
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
                        format!("the state database {} cannot be used", database.display())
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
    thread::Builder::new().name("loop".to_owned()).spawn(run).context("no thread can be made")
}

fn join(loop_: JoinHandle<Result<()>>) -> Result<()> {
    let patience = std::time::Instant::now();
    while !loop_.is_finished() {
        if patience.elapsed() > LEAVES_WITHIN {
            return Err(anyhow!("the loop does not end; what it was about to write is undone"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    loop_.join().unwrap_or_else(|_| Err(anyhow!("the loop has panicked")))
}

/// Everything but the loop.
struct Outside<'a> {
    host: &'a HostContext,
    notify: ServiceNotify,
    reload: Reload,
    handle: Handle<Daemon>,
    gpu: GpuWatch,
    power: PowerWatch,
    watchdog: Option<Duration>,
    hour: Arc<Mutex<Hour>>,
    shut: Shut,
}

impl Outside<'_> {
    /// Serves until it is told to end.
    async fn run(&self, settings_are_wrong: bool) -> Result<()> {
        // Before READY=1: from then on a signal means what it should.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut shut = self.shut.clone();
        tokio::select! {
            // It answers when it has taken over what is in the store, and looked around once.
            answered = self.handle.ask(|_, _| ()) => if answered.is_err() {
                return Ok(());
            },
            // Or cannot, and tries again: meanwhile everything is refused with the reason.
            is_shut = shut.wait_for(Option::is_some) => if is_shut.is_err() {
                return Ok(());
            },
        }
        let newest = self.handle.newest_event();
        let server = self.server();
        let layout = self.host.layout();
        let listener = Listener::bind(&layout.coordinator_socket())?;
        // Dropped at the end of this function, they end and let go of the loop.
        let _owners_door = self.serve_owner()?;
        let _bus = self.serve_bus()?;
        self.notify.ready();
        let end = async {
            loop {
                // Cancel-safe: a signal that was not taken is taken the next time.
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = hang_up.recv() => {
                        self.notify.reloading(self.host.since_boot());
                        drop(self.reload.reload(&self.handle, "SIGHUP").await);
                        self.notify.ready();
                    }
                }
            }
            // What the loop still decides starts nothing. One that has ended decides nothing.
            if self.shut.borrow().is_none() {
                let _ = self.handle.goes_down(GoingDown::Coordinator, true).await;
            }
        };
        let opened = async {
            let mut shut = self.shut.clone();
            // Its sender is the loop's, which is over then.
            drop(shut.wait_for(Option::is_none).await);
            if settings_are_wrong {
                // It has been logged; this makes it one of the troubles that are told.
                drop(self.reload.reload(&self.handle, "the start").await);
            }
            tell_events(&self.handle, newest, &self.notify).await;
        };
        // None of these ends but by the end of all; what is dropped with them is asked again.
        tokio::select! {
            () = end => {}
            never = server.serve_socket(&listener) => match never {},
            () = self.hear_units() => {}
            () = opened => {}
            never = self.tell_shut() => match never {},
            never = self.take_in_starts() => match never {},
            () = self.keep_alive() => {}
            never = self.gpu.tell(&self.handle) => match never {},
            never = LimitWatch::new(self.host).watch(&self.handle) => match never {},
            never = self.power.serve(&self.handle) => match never {},
        }
        self.notify.stopping();
        self.power.let_go().await;
        listener.remove();
        Ok(())
    }

    fn scope(&self) -> RuntimeScope {
        runtime_scope(self.host)
    }

    fn rights(&self) -> Rights {
        if self.host.is_user() {
            Rights::User { uid: nix::unistd::geteuid().as_raw() }
        } else {
            Rights::system()
        }
    }

    /// A server of its own for each thread: what a handler asks of others has connections of its
    /// thread's runtime.
    fn server(&self) -> Server<Handler<Daemon>> {
        Server::new(Arc::new(self.handler()), self.rights(), self.handle.newest_event())
    }

    fn handler(&self) -> Handler<Daemon> {
        Handler {
            loop_: self.handle.clone(),
            manager: ManagerState::new(self.scope()),
            definitions: Definitions::new(self.host.layout().clone()),
            history: Arc::new(Reader::at(self.host.layout())),
            shut: self.shut.clone(),
            reload: self.reload.clone(),
            power: self.power.clone(),
            steering: UnitSteering {
                units: Arc::new(units(self.host)),
                layout: self.host.layout().clone(),
            },
            hour: Arc::clone(&self.hour),
        }
    }

    /// Root, the hooks or the user come by a socket that no one else can open.
    fn serve_owner(&self) -> Result<Beside> {
        let (socket, server) = (self.host.layout().owners_socket(), self.server());
        Beside::spawn(
            "owner",
            move || Ok(Listener::bind_owners(&socket)?),
            async move |listener: &Listener| match server.serve_owners_socket(listener).await {},
            Listener::remove,
        )
    }

    /// Is on the bus whenever there is one: it is a way to be asked, and not the only one.
    fn serve_bus(&self) -> Result<Option<Beside>> {
        if is_foreign_root(self.host) {
            return Ok(None);
        }
        let bus = match self.scope() {
            RuntimeScope::System => WhichBus::System,
            RuntimeScope::User => WhichBus::Session,
        };
        let server = self.server();
        let serve = async move |(): &()| match be_on_bus(&server, bus).await {};
        Ok(Some(Beside::spawn("bus", || Ok(()), serve, drop)?))
    }

    /// Tells the service manager for as long as nothing can be asked of the loop.
    async fn tell_shut(&self) -> Infallible {
        let mut shut = self.shut.clone();
        loop {
            if let Some(why) = &*shut.borrow_and_update() {
                self.notify.status(&format!("all starts are held: {}", why.replace('\n', " ")));
            }
            if shut.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Takes into the queue the starts that hooks have kept.
    async fn take_in_starts(&self) -> Infallible {
        let handler = self.handler();
        loop {
            if self.shut.borrow().is_none() {
                for id in deferred_start::list(self.host) {
                    let taken = handler.take_in_start(id.clone()).await;
                    let taken = taken.map_err(|refusal| refusal.text).and_then(|()| {
                        deferred_start::remove(self.host, &id).map_err(|error| error.to_string())
                    });
                    match taken {
                        Ok(()) => log::info!(
                            BIJ_EXPERIMENT:% = id, BIJ_EVENT = "start-taken-in";
                            "the start of {id} that was kept is in the queue"
                        ),
                        Err(why) => log::warn!(
                            BIJ_EXPERIMENT:% = id, BIJ_EVENT = "start-kept";
                            "the start of {id} that was kept cannot be queued yet: {why}"
                        ),
                    }
                }
            }
            tokio::time::sleep(TAKES_IN_EVERY).await;
        }
    }

    /// Passes on what the service manager says of units, until the loop ends.
    async fn hear_units(&self) {
        if is_foreign_root(self.host) {
            return std::future::pending().await;
        }
        let mut watch = UnitWatch::new(self.scope());
        let manager = ManagerState::new(self.scope());
        loop {
            let passed_on = match watch.next().await {
                UnitSignal::Changed(id) => self.handle.unit_changed(id).await,
                UnitSignal::StartSkipped(id, invocation) => {
                    self.handle.ask(move |it, now| it.start_skipped(&id, invocation, now)).await
                }
                UnitSignal::MayGoDown => self.look_whether_machine_goes_down(&manager).await,
                UnitSignal::Resync => match self.look_whether_machine_goes_down(&manager).await {
                    Ok(()) => self.handle.resync().await,
                    gone => gone,
                },
                UnitSignal::Lost(why) => {
                    log::warn!("the service manager cannot be heard: {why}; it is tried again");
                    Ok(())
                }
            };
            if passed_on.is_err() {
                return;
            }
        }
    }

    async fn look_whether_machine_goes_down(&self, manager: &ManagerState) -> Result<(), Gone> {
        let goes = manager.is_going_down().await;
        self.handle.goes_down(GoingDown::Machine, goes).await
    }

    /// Tells the service manager that the loop is alive, by asking the loop.
    async fn keep_alive(&self) {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        loop {
            // One that tries to open its database is as alive as can be.
            let is_shut = self.shut.borrow().is_some();
            if !is_shut && self.handle.ask(|_, _| ()).await.is_err() {
                return;
            }
            self.notify.alive();
            tokio::time::sleep(watchdog / 3).await;
        }
    }
}

async fn be_on_bus(server: &Server<Handler<Daemon>>, bus: WhichBus) -> Infallible {
    let mut again_after = BUS_AGAIN_AFTER;
    loop {
        let error = match server.serve_bus(bus).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        if let bij_api::BusError::Lost = error {
            again_after = BUS_AGAIN_AFTER;
            log::info!("the bus is lost; it is looked for again");
        } else if again_after == BUS_AGAIN_AFTER {
            log::warn!("only the socket can be used to ask: {}", error_chain(&error));
        }
        tokio::time::sleep(again_after).await;
        again_after = (again_after * 2).min(BUS_AGAIN_AT_LAST_AFTER);
    }
}
