//! Reports the board's power modes to the loop, switches the board and holds its clocks when the loop requests it, and
//! switches the board for clients.

mod tools;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bij_api::{Refusal, RefusalKind};
use bij_coordinator::{Gone, Handle, Ports, PowerSwitchOutcome};
use bij_core::request::{PowerModeRequest, PowerSet};
use bij_core::{Outcome, error_chain};
use bij_host::HostContext;
use bij_jetson::{ModeSet, ModeSince, PowerControl, SwitchError};
use tokio::sync::{Mutex, Notify};
use tokio::time::{sleep, timeout};

use super::refusal::{refusal, shutting_down};
use tools::{PowerTools, cannot_switch};

/// Interval of readings, which find a mode that was set by hand.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// How soon the loop is asked again after it did not agree to a switch.
const ASK_RETRY: Duration = Duration::from_secs(1);
/// How long the coordinator waits for the clocks when it stops; its unit has 15 s in all.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The board's power modes and clocks.
#[derive(Clone)]
pub(super) struct PowerWatch {
    /// The tools, which only one task may use at a time.
    tools: Arc<Mutex<PowerTools>>,
    /// Notified when a client has switched the board.
    switched: Arc<Notify>,
}

impl PowerWatch {
    /// Returns the watch for `board`, or else for the machine of `host`.
    pub(super) fn new(host: &HostContext, board: Option<&Path>) -> Self {
        let runtime = host.layout().runtime();
        Self::with_control(PowerControl::below(board.unwrap_or(host.root()), runtime), runtime)
    }

    fn with_control(control: PowerControl, runtime: &Path) -> Self {
        let tools = PowerTools::new(control, runtime.join("power-mode-before"));
        Self { tools: Arc::new(Mutex::new(tools)), switched: Arc::default() }
    }

    /// Reports, switches and holds clocks, and never returns. On a board without power modes and clocks it does nothing.
    pub(super) async fn serve<P: Ports>(&self, handle: &Handle<P>) -> Infallible {
        // The loop has ended, and this task is about to be dropped.
        let _ended: Result<(), Gone> = self.follow(handle).await;
        std::future::pending().await
    }

    async fn follow<P: Ports>(&self, handle: &Handle<P>) -> Result<(), Gone> {
        let mut target = handle.power_target();
        let mut outcome = None;
        loop {
            let mut tools = self.tools.lock().await;
            let seen = tools.read_modes().await;
            if seen.offered.is_empty() && seen.trouble.is_none() && !tools.have_clocks() {
                return Ok(());
            }
            let (news, current) = (outcome.take(), seen.current);
            handle.ask(move |coordinator, now| coordinator.power(seen, news, now)).await?;
            let wanted = target.borrow_and_update().clone();
            if let Some(to) = wanted.mode {
                if handle.ask(move |coordinator, _| coordinator.begin_power_switch(to)).await? {
                    let text = tools.switch(to, current).await;
                    outcome = Some(PowerSwitchOutcome { mode: to, text, by: None });
                } else {
                    drop(tools);
                    sleep(ASK_RETRY).await;
                }
                continue;
            }
            if let Some(text) = tools.hold_clocks(&wanted.clocks).await {
                handle.ask(move |coordinator, now| coordinator.clocks(text, now)).await?;
            }
            drop(tools);
            // Cancel-safe: a changed target and a permit are not lost.
            tokio::select! {
                changed = target.changed() => changed.map_err(|_| Gone)?,
                () = self.switched.notified() => {}
                () = sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Switches the board for a client, and reports it to the loop at once. The switch completes even if the client
    /// disconnects.
    pub(super) async fn set<P: Ports>(
        &self,
        handle: &Handle<P>,
        setting: PowerModeRequest,
        by: String,
    ) -> Result<PowerSet, Refusal> {
        let (watch, handle) = (self.clone(), handle.clone());
        let set = tokio::spawn(async move { watch.set_with_lock(&handle, &setting, by).await });
        set.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    async fn set_with_lock<P: Ports>(
        &self,
        handle: &Handle<P>,
        setting: &PowerModeRequest,
        by: String,
    ) -> Result<PowerSet, Refusal> {
        let mut tools = self.tools.lock().await;
        let seen = tools.read_modes().await;
        handle
            .ask(move |coordinator, now| coordinator.power(seen, None, now))
            .await
            .map_err(|_| shutting_down())?;
        let mode = tools.find(&setting.mode).await.map_err(|error| refused(&error))?;
        let (id, name) = (mode.id, mode.name.clone());
        // A mode that takes effect at the next boot affects no run.
        if mode.needs_reboot != Ok(true) {
            let begun = handle.ask(move |coordinator, _| coordinator.begin_power_set(id)).await;
            begun.map_err(|_| shutting_down())?.map_err(|error| refusal(&error))?;
        }
        let set = tools.set(mode, setting.allow_reboot_later).await;
        let text = match &set {
            Ok(set) => Some(set.to_string()),
            Err(SwitchError::NeedsReboot { .. }) => None,
            Err(error) => Some(cannot_switch(&name, error)),
        };
        let outcome = text.map(|text| PowerSwitchOutcome { mode: id, text, by: Some(by) });
        let seen = tools.read_modes().await;
        drop(tools);
        handle
            .ask(move |coordinator, now| coordinator.power(seen, outcome, now))
            .await
            .map_err(|_| shutting_down())?;
        // The switch released the clocks, which a run may still need.
        self.switched.notify_one();
        let ModeSet { id, name, since, outcome, .. } = set.map_err(|error| refused(&error))?;
        let at_next_boot = since == ModeSince::NextBoot;
        Ok(PowerSet { id, name, at_next_boot, changed: outcome == Outcome::Changed })
    }

    /// Releases the clocks, because the coordinator stops.
    pub(super) async fn release(&self) {
        let release = async { self.tools.lock().await.release().await };
        match timeout(RELEASE_TIMEOUT, release).await {
            Ok(Some(text)) => log::info!("{text}"),
            Ok(None) => {}
            Err(_) => log::warn!(
                "releasing the clocks took too long; they may still be held at their highest"
            ),
        }
    }
}

/// Returns the refusal for an error of the tools.
fn refused(error: &SwitchError) -> Refusal {
    let kind = match error {
        SwitchError::UnknownMode { .. } => RefusalKind::Invalid,
        _ => RefusalKind::Impossible,
    };
    let refusal = Refusal::new(kind, error_chain(error));
    match error.remedy() {
        Some(remedy) => refusal.remedy(remedy),
        None => refusal,
    }
}

#[cfg(test)]
mod tests;
