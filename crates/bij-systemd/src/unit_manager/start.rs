//! Brings units up.
//!
//! A slot that is free is to be taken at once, so PID 1 is asked twice and no more: what the unit is
//! like, and then all that makes a start, in one go. It does what it is asked in the order in which
//! it was asked.

use bij_core::port::{LoadState, Started, UnitError};
use bij_core::{ActiveState, ExperimentId};
use futures_util::future::join3;

use super::{active_state, forget};
use crate::bus::{Action, Bus, call};
use crate::job::{Done, Order, Verb};
use crate::properties::Properties;

pub(super) async fn start(bus: &Bus, id: &ExperimentId) -> Result<Started, UnitError> {
    let (order, unit) = tokio::try_join!(Order::prepare(bus, id), look(bus, id))?;
    match unit.active {
        ActiveState::Active | ActiveState::Reloading => Ok(Started::AlreadyUp),
        // Before systemd 257 a start waits here until RestartSec= is over; a restart does not.
        ActiveState::Activating if unit.sub_state == "auto-restart" => {
            bring_up(bus, id, order, Verb::Restart).await
        }
        // Somebody's start is under way: ours joins it, and nothing may be reset under it.
        ActiveState::Activating if unit.has_job => {
            order.carry_out(Verb::Start).await?;
            started(id, &bus.unit(id).await?)
        }
        _ => bring_up(bus, id, order, Verb::Start).await,
    }
}

pub(super) async fn restart(bus: &Bus, id: &ExperimentId) -> Result<Started, UnitError> {
    let (order, _) = tokio::try_join!(Order::prepare(bus, id), look(bus, id))?;
    bring_up(bus, id, order, Verb::Restart).await
}

/// What a start has to know of a unit before.
struct Before {
    active: ActiveState,
    sub_state: String,
    has_job: bool,
}

/// Looks at no more than a start has to know: all properties of a unit take PID 1 ten times as long.
///
/// Refuses what systemd could not find; without a template there is no experiment.
async fn look(bus: &Bus, id: &ExperimentId) -> Result<Before, UnitError> {
    let manager = bus.manager().await?;
    let action = Action { verb: "look at", id: Some(id) };
    let rows = call(action, manager.list_units_by_names(&[&id.unit_name()])).await?;
    let not_found = || UnitError::NotFound(id.clone());
    let (_, _, load, active, sub_state, _, _, job, _, _) =
        rows.into_iter().next().ok_or_else(not_found)?;
    if load == "not-found" {
        return Err(not_found());
    }
    // A job would fail as well, but tell less: `NoSuchUnit` of a masked unit, for one.
    if let Some(load) = LoadState::from_systemd(&load) {
        return Err(UnitError::NotLoaded { id: id.clone(), load });
    }
    Ok(Before { active: ActiveState::from(&*active), sub_state, has_job: job != 0 })
}

/// Brings the unit up by one job and tells what became of it.
async fn bring_up(
    bus: &Bus,
    id: &ExperimentId,
    order: Order<'_>,
    verb: Verb,
) -> Result<Started, UnitError> {
    let manager = bus.manager().await?;
    let unit = id.unit_name();
    let pin = Action { verb: "pin", id: Some(id) };
    // A unit that is down again is forgotten at once, and with it why. Pinned, it is kept until we
    // have looked. Polled in this order, so sent in this order.
    let (forgotten, pinned, given) =
        join3(forget(bus, id), call(pin, manager.ref_unit(&unit)), order.give(verb)).await;
    // Who may start a unit may not always reset it; then its start limit stands. And who may not pin
    // still gets an answer, if a less exact one.
    drop(forgotten);
    let result = match given {
        Ok(job) => order.wait(verb, &job).await,
        Err(error) => Err(error),
    };
    let started = match result {
        Err(error) => Err(with_reason(bus, id, error).await),
        // The result of the job where a newer systemd says `done`.
        Ok(Done::Skipped) => match bus.unit(id).await {
            Ok(properties) => skipped(id, &properties),
            Err(_) => Ok(Started::Skipped),
        },
        Ok(Done::Done) => match bus.unit(id).await {
            Ok(properties) => started(id, &properties),
            Err(error) => Err(error),
        },
    };
    if pinned.is_ok() {
        // At worst it stays pinned until this connection ends.
        let _ = call(pin, manager.unref_unit(&unit)).await;
    }
    started
}

/// What a start that went well has come to: up, or skipped by a condition.
///
/// A unit that has never looked at its conditions was loaded anew since: it ran and is over. One
/// without a stamp has no drop-in: what was started is the template, which runs nothing.
fn started(id: &ExperimentId, properties: &Properties) -> Result<Started, UnitError> {
    let down = active_state(properties) == ActiveState::Inactive;
    let looked = properties.monotonic("ConditionTimestampMonotonic").is_some();
    let refused = properties.flag("ConditionResult") == Some(false)
        || properties.text("Result") == Some("exec-condition");
    if down && looked && refused {
        return skipped(id, properties);
    }
    match properties.variable("BIJ_STAMP") {
        Some(_) => Ok(Started::Up),
        None => Err(UnitError::NotFound(id.clone())),
    }
}

/// A start that a condition has kept back: by its word, or because it could not even be run.
fn skipped(id: &ExperimentId, properties: &Properties) -> Result<Started, UnitError> {
    let mut statuses = properties.condition_statuses().into_iter();
    match statuses.find(|status| never_ran(*status)) {
        Some(status) => {
            Err(UnitError::NotPrepared { id: id.clone(), status, meaning: meaning(status) })
        }
        None => Ok(Started::Skipped),
    }
}

/// The error with what the unit has said last, which its hook uses to tell why a start must not be. Asked
/// for while the unit is pinned: a unit that is down is forgotten otherwise.
async fn with_reason(bus: &Bus, id: &ExperimentId, error: UnitError) -> UnitError {
    let UnitError::Job { id: whose, verb, result, .. } = error else { return error };
    let properties = bus.unit(id).await.ok();
    let said = properties.as_ref().and_then(|properties| properties.text("StatusText"));
    let reason = said.map(|text| text.chars().filter(|c| !c.is_control()).collect());
    UnitError::Job { id: whose, verb, result, reason }
}

/// Whether a condition said nothing, because systemd could not even start it (systemd.exec(5), "Process
/// Exit Codes"), for example on a full file system, or because it could not be executed or has panicked.
/// systemd takes all of these for a "no" and skips the unit.
const fn never_ran(status: i32) -> bool {
    matches!(status, 101 | 126 | 127 | 200..=254)
}

/// The name of a status that a full or read-only file system brings about; empty for others.
const fn meaning(status: i32) -> &'static str {
    match status {
        200 => "/CHDIR",
        203 => "/EXEC",
        209 => "/STDOUT",
        217 => "/USER",
        219 => "/CGROUP",
        226 => "/NAMESPACE",
        233 => "/RUNTIME_DIRECTORY",
        238 => "/STATE_DIRECTORY",
        240 => "/LOGS_DIRECTORY",
        _ => "",
    }
}
