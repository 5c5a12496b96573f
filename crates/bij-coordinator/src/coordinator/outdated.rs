//! What must be read or decided anew.

use std::collections::BTreeSet;

use bij_core::ExperimentId;

/// What must be read or decided anew before the coordinator acts or answers.
#[derive(Debug)]
pub(super) struct Outdated {
    units: OutdatedUnits,
    queue: bool,
    decision: bool,
    report: bool,
}

/// Units whose states must be read anew.
#[derive(Debug)]
pub(super) enum OutdatedUnits {
    /// All of them, because signals of the service manager may have been lost.
    All,
    /// These have changed, or may have, since they were read.
    Named(BTreeSet<ExperimentId>),
}

impl Outdated {
    /// Returns the value of a coordinator that has read nothing yet.
    pub(super) const fn everything() -> Self {
        Self { units: OutdatedUnits::All, queue: true, decision: true, report: true }
    }

    /// Notes that this unit may have changed.
    pub(super) fn unit(&mut self, id: ExperimentId) {
        self.check_units([id]);
        self.decision = true;
    }

    /// Has these units read again, though nothing says that they have changed.
    pub(super) fn check_units(&mut self, ids: impl IntoIterator<Item = ExperimentId>) {
        if let OutdatedUnits::Named(units) = &mut self.units {
            units.extend(ids);
        }
    }

    /// Notes that the copy of the queue may differ from the store.
    pub(super) const fn queue(&mut self) {
        self.queue = true;
    }

    /// Notes that something has happened that a decision depends on.
    pub(super) const fn decision(&mut self) {
        self.decision = true;
        self.report = true;
    }

    /// Notes that the reasons of waiting runs may have changed, although nothing can start now.
    pub(super) const fn report(&mut self) {
        self.report = true;
    }

    /// Notes that a decision is due, although the last report still holds.
    pub(super) const fn only_decision(&mut self) {
        self.decision = true;
    }

    /// Returns whether the states of all units are known: a decision without them would end runs whose units
    /// are merely unknown.
    pub(super) fn knows_all_units(&self) -> bool {
        matches!(&self.units, OutdatedUnits::Named(units) if units.is_empty())
    }

    /// Returns whether this unit has changed, or may have, since it was read.
    pub(super) fn is_unit_outdated(&self, id: &ExperimentId) -> bool {
        match &self.units {
            OutdatedUnits::All => true,
            OutdatedUnits::Named(units) => units.contains(id),
        }
    }

    /// Returns the units whose states must be read anew.
    pub(super) const fn units(&self) -> &OutdatedUnits {
        &self.units
    }

    /// Returns whether the queue must be read again as a whole.
    pub(super) const fn is_queue_outdated(&self) -> bool {
        self.queue
    }

    /// Returns whether a decision is due.
    pub(super) const fn is_decision_due(&self) -> bool {
        self.decision
    }

    /// Returns whether the last report may differ from what a decision would report now.
    pub(super) const fn is_report_outdated(&self) -> bool {
        self.report
    }

    /// Notes that the outdated units have been read.
    pub(super) fn have_read_units(&mut self) {
        self.units = OutdatedUnits::Named(BTreeSet::new());
    }

    /// Notes that the queue has been read as a whole.
    pub(super) const fn have_read_queue(&mut self) {
        self.queue = false;
        self.decision();
    }

    /// Notes that the report is that of a decision from what is known now.
    pub(super) const fn have_reported(&mut self) {
        self.report = false;
    }

    /// Notes that a decision has been made, which will be carried out.
    pub(super) const fn have_decided(&mut self) {
        self.decision = false;
    }
}
