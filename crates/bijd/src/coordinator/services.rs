//! The services of a coordinator: what it serves and watches while its loop runs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use bij_api::{Listener, Rights, Server, WhichBus};
use bij_coordinator::{Gone, Handle};
use bij_core::error_chain;
use bij_core::queue::GoingDown;
use bij_definition::Definitions;
use bij_hook::{deferred_start, is_foreign_root, runtime_scope};
use bij_host::{HostContext, ServiceNotify};
use bij_store::Reader;
use bij_systemd::experiment::watch_experiments;
use bij_systemd::{RuntimeScope, UnitEvent};
use tokio::signal::unix::{SignalKind, signal};

use super::SampleRing;
use super::gpu_watch::GpuWatch;
use super::handler::CoordinatorHandler;
use super::journal::report_events;
use super::limit_watch::LimitWatch;
use super::manager_probe::ManagerProbe;
use super::outage::Outage;
use super::power_watch::PowerWatch;
use super::reload::Reload;
use super::run::{Daemon, units};
use super::unit_steering::UnitSteering;

use crate::runtime::RuntimeThread;

/// How soon to connect to the bus again, at first and after many failures.
const BUS_RETRY: Duration = Duration::from_millis(100);
const BUS_RETRY_MAX: Duration = Duration::from_secs(5);

/// Interval of checks for deferred starts, which are rare.
const DEFERRED_INTERVAL: Duration = Duration::from_secs(5);

/// Everything but the loop and its own threads.
pub(super) struct Services<'a> {
    pub(super) host: &'a HostContext,
    pub(super) notify: ServiceNotify,
    pub(super) reload: Reload,
    pub(super) handle: Handle<Daemon>,
    pub(super) gpu: GpuWatch,
    pub(super) power: PowerWatch,
    pub(super) watchdog: Option<Duration>,
    pub(super) samples: Arc<Mutex<SampleRing>>,
    pub(super) outage: Outage,
}

impl Services<'_> {
    /// Serves until it is told to stop.
    pub(super) async fn run(&self, settings_are_wrong: bool) -> Result<()> {
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
                // It has been logged; this makes it one of the troubles that `bij status` shows.
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
            coordinator: self.handle.clone(),
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
        let mut watch = watch_experiments(self.runtime_scope());
        let manager = ManagerProbe::new(self.runtime_scope());
        loop {
            let passed_on = match watch.next().await {
                UnitEvent::Changed(unit) => {
                    let Some(id) = unit.experiment() else { continue };
                    self.handle.unit_changed(id).await
                }
                UnitEvent::StartSkipped(unit, invocation) => {
                    let Some(id) = unit.experiment() else { continue };
                    self.handle.ask(move |it, now| it.start_skipped(&id, invocation, now)).await
                }
                UnitEvent::MayGoDown => self.report_shutdown_state(&manager).await,
                UnitEvent::Lost(why) => {
                    log::warn!("no signals from the service manager: {why}; connecting again");
                    Ok(())
                }
                // `Resync`: reading all states is also right for an event that is not known here.
                _ => match self.report_shutdown_state(&manager).await {
                    Ok(()) => self.handle.resync().await,
                    gone => gone,
                },
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
