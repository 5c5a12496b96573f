//! Requests about groups and about pauses of admission.

use std::collections::BTreeMap;

use bij_core::Timestamp;
use bij_core::port::Change;
use bij_core::queue::{Group, GroupName, Pause};
use bij_core::request::{GroupSetting, GroupStatus, PauseRequest};

use super::Plan;
use crate::RequestError;
use crate::policy::State;

/// Returns what a pause or its end changes, for one group or for all runs.
///
/// # Errors
/// [`RequestError::NoSuchGroup`] if there is no such group.
pub(crate) fn pause(
    state: &State,
    request: &PauseRequest,
    by: &str,
    at: Timestamp,
) -> Result<Plan, RequestError> {
    let PauseRequest { group, paused } = request;
    let pause = paused.then(|| Pause { by: by.to_owned(), since: at });
    let by = by.to_owned();
    let Some(name) = group else {
        return Ok(Plan::change(Change::Pause { pause, by }));
    };
    // A group that is not set up exists while a run names it.
    let is_named = || state.runs.values().any(|run| run.terms.group == *name);
    if !(state.is_set_up(name) || *name == GroupName::default() || is_named()) {
        return Err(no_such_group(state, name));
    }
    let known = state.groups.get(name).cloned();
    let mut group = known.unwrap_or(Group { name: name.clone(), slots: None, paused: None });
    if group.paused.is_some() == *paused {
        return Ok(Plan::default());
    }
    group.paused = pause;
    Ok(Plan::change(Change::SetGroup { group, by }))
}

/// Returns what a new number of slots changes; `None` removes the operator's number.
///
/// # Errors
/// [`RequestError::NoSlots`] for a group without slots.
pub(crate) fn set_group(
    state: &State,
    setting: &GroupSetting,
    by: &str,
) -> Result<Plan, RequestError> {
    let GroupSetting { name, slots } = setting;
    if *slots == Some(0) {
        return Err(RequestError::NoSlots(name.clone()));
    }
    let paused = state.groups.get(name).and_then(|group| group.paused.clone());
    let group = Group { name: name.clone(), slots: *slots, paused };
    Ok(Plan::change(Change::SetGroup { group, by: by.to_owned() }))
}

/// Returns what the removal of a group changes.
///
/// # Errors
/// [`RequestError`] if no operator has set the group up.
pub(crate) fn remove_group(
    state: &State,
    name: &GroupName,
    by: &str,
) -> Result<Plan, RequestError> {
    match (state.groups.contains_key(name), state.settings.groups.contains_key(name)) {
        (true, _) => {
            let change = Change::RemoveGroup { name: name.clone(), by: by.to_owned() };
            Ok(Plan::change(change))
        }
        (false, true) => Err(RequestError::DeclaredGroup(name.clone())),
        (false, false) => Err(no_such_group(state, name)),
    }
}

/// Returns all groups that the settings or an operator have set up, or that a queued run names, with their use.
pub(crate) fn groups(state: &State) -> Vec<GroupStatus> {
    let bare = |name: &GroupName| {
        let (slots, slots_from) = state.group_slots(name).unzip();
        let paused = state.groups.get(name).and_then(|group| group.paused.clone());
        GroupStatus::new(&Group { name: name.clone(), slots, paused }, slots_from)
    };
    let set_up = state.groups.keys().chain(state.settings.groups.keys());
    let mut groups: BTreeMap<GroupName, GroupStatus> =
        set_up.map(|name| (name.clone(), bare(name))).collect();
    for run in state.runs.values() {
        let name = &run.terms.group;
        if !groups.contains_key(name) {
            groups.insert(name.clone(), bare(name));
        }
        let Some(status) = groups.get_mut(name) else { continue };
        if state.is_up(run) {
            status.running += 1;
        } else {
            status.waiting += 1;
        }
    }
    groups.into_values().collect()
}

fn no_such_group(state: &State, name: &GroupName) -> RequestError {
    let known = groups(state).into_iter().map(|status| status.name).collect();
    RequestError::NoSuchGroup { name: name.clone(), known }
}
