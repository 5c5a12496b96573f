//! Tells the loop the board's power modes, and switches the board and holds its clocks when the loop says
//! so, or somebody by hand.

mod tools;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bij_api::message::{PowerSet, PowerSetting};
use bij_api::{Refusal, RefusalKind};
use bij_coordinator::{Gone, Handle, Ports, PowerSwitchOutcome};
use bij_core::{Outcome, error_chain};
use bij_host::HostContext;
use bij_jetson::{ModeSet, ModeSince, PowerControl, Root, SwitchError};
use tokio::sync::{Mutex, Notify};
use tokio::time::{sleep, timeout};

use super::refusal::{going_down, refusal};
use tools::{Tools, cannot_switch};

/// How soon is looked again: somebody may have set a mode by hand.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How soon the loop is asked again that did not agree to a switch.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long the end of the coordinator waits for the clocks; its unit has 15 s for all.
const LETS_GO_WITHIN: Duration = Duration::from_secs(5);

/// The board's power modes and clocks.
#[derive(Clone)]
pub(super) struct PowerWatch {
    /// One at a time has the tools.
    tools: Arc<Mutex<Tools>>,
    /// Somebody has switched the board by hand.
    switched: Arc<Notify>,
}

impl PowerWatch {
    /// The board of a place, or the tree that stands for it.
    pub(super) fn of(host: &HostContext, board: Option<&Path>) -> Self {
        let runtime = host.layout().runtime();
        Self::with(PowerControl::below(Root::new(board.unwrap_or(host.root())), runtime), runtime)
    }

    fn with(control: PowerControl, runtime: &Path) -> Self {
        let tools = Tools::new(control, runtime.join("power-mode-before"));
        Self { tools: Arc::new(Mutex::new(tools)), switched: Arc::default() }
    }

    /// Tells, switches and holds, and never ends; on a board without power modes and clocks that could
    /// be held it does nothing.
    pub(super) async fn serve<P: Ports>(&self, handle: &Handle<P>) -> Infallible {
        // Once the loop has ended, nothing is left to be done, and what waits for this ends.
        let _ended: Result<(), Gone> = self.follow(handle).await;
        std::future::pending().await
    }

    async fn follow<P: Ports>(&self, handle: &Handle<P>) -> Result<(), Gone> {
        let mut wish = handle.power_target();
        let mut told = None;
        loop {
            let mut tools = self.tools.lock().await;
            let seen = tools.look().await;
            if seen.offered.is_empty() && seen.trouble.is_none() && !tools.have_clocks() {
                return Ok(());
            }
            let (news, current) = (told.take(), seen.current);
            handle.ask(move |loop_, now| loop_.power(seen, news, now)).await?;
            let wished = wish.borrow_and_update().clone();
            if let Some(to) = wished.mode {
                if handle.ask(move |loop_, _| loop_.begin_power_switch(to)).await? {
                    let text = tools.switch(to, current).await;
                    told = Some(PowerSwitchOutcome { mode: to, text, by: None });
                } else {
                    drop(tools);
                    sleep(ASK_AGAIN_AFTER).await;
                }
                continue;
            }
            if let Some(text) = tools.hold_clocks(&wished.clocks).await {
                handle.ask(move |loop_, now| loop_.clocks(text, now)).await?;
            }
            drop(tools);
            // Cancel-safe: a wish that has changed is still there, and so is a permit.
            tokio::select! {
                changed = wish.changed() => changed.map_err(|_| Gone)?,
                () = self.switched.notified() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Switches the board because somebody wants it, and tells the loop at once. What is begun is done
    /// though the caller goes away.
    pub(super) async fn set<P: Ports>(
        &self,
        handle: &Handle<P>,
        setting: PowerSetting,
        by: String,
    ) -> Result<PowerSet, Refusal> {
        let (watch, handle) = (self.clone(), handle.clone());
        let set = tokio::spawn(async move { watch.set_alone(&handle, &setting, by).await });
        set.await.unwrap_or_else(|_| Err(going_down()))
    }

    async fn set_alone<P: Ports>(
        &self,
        handle: &Handle<P>,
        setting: &PowerSetting,
        by: String,
    ) -> Result<PowerSet, Refusal> {
        let mut tools = self.tools.lock().await;
        let seen = tools.look().await;
        handle
            .ask(move |loop_, now| loop_.power(seen, None, now))
            .await
            .map_err(|_| going_down())?;
        let mode = tools.find(&setting.mode).await.map_err(|error| refused(&error))?;
        let (id, name) = (mode.id, mode.name.clone());
        // What comes with the next boot is in nobody's way.
        if mode.needs_reboot != Ok(true) {
            let begun = handle.ask(move |loop_, _| loop_.begin_power_set(id)).await;
            begun.map_err(|_| going_down())?.map_err(|error| refusal(&error))?;
        }
        let set = tools.set(mode, setting.allow_reboot_later).await;
        let text = match &set {
            Ok(set) => Some(set.to_string()),
            Err(SwitchError::NeedsReboot { .. }) => None,
            Err(error) => Some(cannot_switch(&name, error)),
        };
        let told = text.map(|text| PowerSwitchOutcome { mode: id, text, by: Some(by) });
        let seen = tools.look().await;
        drop(tools);
        handle
            .ask(move |loop_, now| loop_.power(seen, told, now))
            .await
            .map_err(|_| going_down())?;
        // Clocks were let go, and may still be wanted.
        self.switched.notify_one();
        let ModeSet { id, name, since, outcome } = set.map_err(|error| refused(&error))?;
        let at_next_boot = since == ModeSince::NextBoot;
        Ok(PowerSet { id, name, at_next_boot, changed: outcome == Outcome::Changed })
    }

    /// Lets go of the clocks, because nobody will be there to do it.
    pub(super) async fn let_go(&self) {
        let let_go = async { self.tools.lock().await.let_go().await };
        match timeout(LETS_GO_WITHIN, let_go).await {
            Ok(Some(text)) => log::info!("{text}"),
            Ok(None) => {}
            Err(_) => log::warn!("the clocks may still be held at their highest"),
        }
    }
}

/// The coordinator's "no", as the tools have it.
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
