//! Requests about groups and about pauses of admission.

use std::collections::BTreeMap;

use bij_core::Outcome;
use bij_core::port::Change;
use bij_core::queue::{Group, GroupName, Pause};
use bij_core::request::{GroupSetting, GroupStatus, Pausing};

use super::Coordinator;
use crate::{Now, Ports, RequestError};

impl<P: Ports> Coordinator<P> {
    /// Pauses or resumes the starts of one group or of all runs. Runs that are up continue.
    ///
    /// # Errors
    /// [`RequestError`] if there is no such group, or the store does not take it.
    pub fn pause(
        &mut self,
        pausing: &Pausing,
        by: &str,
        now: Now,
    ) -> Result<Outcome, RequestError> {
        self.seen.now = now;
        self.catch_up();
        let Pausing { group, paused } = pausing;
        let pause = paused.then(|| Pause { by: by.to_owned(), since: now.at });
        let Some(name) = group else {
            return self.change_one(Change::Pause { pause, by: by.to_owned() });
        };
        self.check_group_is_named(name)?;
        let known = self.state.groups.get(name).cloned();
        let mut group = known.unwrap_or(Group { name: name.clone(), slots: None, paused: None });
        if group.paused.is_some() == *paused {
            return Ok(Outcome::Unchanged);
        }
        group.paused = pause;
        self.change_one(Change::SetGroup { group, by: by.to_owned() })
    }

    /// Sets up a group, or changes its slots. With `None` the settings' number applies, or else the machine's
    /// slots are the only limit.
    ///
    /// # Errors
    /// [`RequestError`] for a group without slots, or if the store does not take it.
    pub fn set_group(
        &mut self,
        setting: &GroupSetting,
        by: &str,
        now: Now,
    ) -> Result<Outcome, RequestError> {
        self.seen.now = now;
        self.catch_up();
        let GroupSetting { name, slots } = setting;
        if *slots == Some(0) {
            return Err(RequestError::NoSlots(name.clone()));
        }
        let paused = self.state.groups.get(name).and_then(|group| group.paused.clone());
        let group = Group { name: name.clone(), slots: *slots, paused };
        self.change_one(Change::SetGroup { group, by: by.to_owned() })
    }

    /// Removes a group; its runs stay, and only the slots of the settings apply.
    ///
    /// # Errors
    /// [`RequestError`] if no operator has set the group up, or the store does not take it.
    pub fn remove_group(
        &mut self,
        name: &GroupName,
        by: &str,
        now: Now,
    ) -> Result<Outcome, RequestError> {
        self.seen.now = now;
        self.catch_up();
        match (self.state.groups.contains_key(name), self.state.settings.groups.contains_key(name))
        {
            (true, _) => {}
            (false, true) => return Err(RequestError::DeclaredGroup(name.clone())),
            (false, false) => return Err(self.no_such_group(name)),
        }
        self.change_one(Change::RemoveGroup { name: name.clone(), by: by.to_owned() })
    }

    /// Returns all groups that the settings or an operator have set up, or that a queued run names, with
    /// their use.
    pub fn groups(&self) -> Vec<GroupStatus> {
        let bare = |name: &GroupName| {
            let (slots, slots_from) = self.state.group_slots(name).unzip();
            let paused = self.state.groups.get(name).and_then(|group| group.paused.clone());
            GroupStatus::new(&Group { name: name.clone(), slots, paused }, slots_from)
        };
        let set_up = self.state.groups.keys().chain(self.state.settings.groups.keys());
        let mut groups: BTreeMap<GroupName, GroupStatus> =
            set_up.map(|name| (name.clone(), bare(name))).collect();
        for run in self.state.runs.values() {
            let name = &run.terms.group;
            if !groups.contains_key(name) {
                groups.insert(name.clone(), bare(name));
            }
            let Some(status) = groups.get_mut(name) else { continue };
            if self.state.is_up(run) {
                status.running += 1;
            } else {
                status.waiting += 1;
            }
        }
        groups.into_values().collect()
    }

    fn change_one(&mut self, change: Change) -> Result<Outcome, RequestError> {
        let outcomes = self.change(&[change]).map_err(RequestError::Store)?;
        Ok(outcomes.first().copied().unwrap_or(Outcome::Unchanged))
    }

    /// Returns whether the settings or an operator have set the group up.
    pub(super) fn is_set_up(&self, name: &GroupName) -> bool {
        self.state.groups.contains_key(name) || self.state.settings.groups.contains_key(name)
    }

    /// Checks that a group exists; one that is not set up exists while a run names it.
    fn check_group_is_named(&self, name: &GroupName) -> Result<(), RequestError> {
        let is_named = || self.state.runs.values().any(|run| run.terms.group == *name);
        let exists = self.is_set_up(name) || *name == GroupName::default() || is_named();
        if exists { Ok(()) } else { Err(self.no_such_group(name)) }
    }

    fn no_such_group(&self, name: &GroupName) -> RequestError {
        let known = self.groups().into_iter().map(|status| status.name).collect();
        RequestError::NoSuchGroup { name: name.clone(), known }
    }
}
