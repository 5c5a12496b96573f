//! The properties of a unit, as PID 1 returns them over D-Bus.

use std::collections::HashMap;

use bij_core::{
    ActiveState, Bytes, CpuQuota, InvocationId, Limit, MonotonicTime, SubState, TimeSpan, Timestamp,
};
use zbus::{OwnedObjectPath, OwnedVariant};

/// systemd's value for "infinity" in limits and for "not set" in counters.
const INFINITY: u64 = u64::MAX;

/// A command of a unit in its D-Bus form: path, arguments, whether its failure is ignored, start and exit
/// times by both clocks, PID, `si_code` and status.
pub(crate) type ExecutedCommand = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// The properties of one unit: those of its kind, such as `…systemd1.Service`, and those of `…systemd1.Unit`.
pub(crate) struct UnitProperties {
    of_kind: HashMap<String, OwnedVariant>,
    unit: HashMap<String, OwnedVariant>,
}

impl UnitProperties {
    pub(crate) fn new(
        of_kind: HashMap<String, OwnedVariant>,
        unit: HashMap<String, OwnedVariant>,
    ) -> Self {
        Self { of_kind, unit }
    }

    /// Returns a property; a value of another type than expected counts as absent.
    fn get<'a, T: TryFrom<&'a OwnedVariant>>(&'a self, name: &str) -> Option<T> {
        let value = self.of_kind.get(name).or_else(|| self.unit.get(name))?;
        T::try_from(value).ok()
    }

    /// Returns a string property; the empty string counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|text: &&str| !text.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)
    }

    /// Returns a counter; `None` for the value of one that is not kept.
    pub(crate) fn counter(&self, name: &str) -> Option<u64> {
        self.get(name).filter(|value: &u64| *value != INFINITY)
    }

    pub(crate) fn u32(&self, name: &str) -> Option<u32> {
        self.get(name)
    }

    pub(crate) fn i32(&self, name: &str) -> Option<i32> {
        self.get(name)
    }

    /// Returns a `…Timestamp`; `None` for 0, which means "never".
    pub(crate) fn timestamp(&self, name: &str) -> Option<Timestamp> {
        let micros = self.get(name).filter(|micros: &u64| *micros > 0)?;
        i64::try_from(micros).ok().map(Timestamp::from_micros)
    }

    /// Returns the `ActiveState`, [`ActiveState::Inactive`] for a unit that does not give it.
    pub(crate) fn active_state(&self) -> ActiveState {
        self.text("ActiveState").map_or(ActiveState::Inactive, ActiveState::from)
    }

    /// Returns the `SubState`, [`SubState::Dead`] for a unit that does not give it.
    pub(crate) fn sub_state(&self) -> SubState {
        self.text("SubState").map_or(SubState::Dead, SubState::from)
    }

    /// Returns a `…TimestampMonotonic`; `None` for 0, which means "never".
    pub(crate) fn monotonic(&self, name: &str) -> Option<MonotonicTime> {
        self.get(name).filter(|micros: &u64| *micros > 0).map(MonotonicTime::from_micros)
    }

    pub(crate) fn span_limit(&self, name: &str) -> Option<Limit<TimeSpan>> {
        self.limit(name, TimeSpan::from_micros)
    }

    pub(crate) fn bytes_limit(&self, name: &str) -> Option<Limit<Bytes>> {
        self.limit(name, Bytes::new)
    }

    /// Returns `CPUQuota=`, which the property gives as CPU time per second.
    pub(crate) fn cpu_quota(&self) -> Option<Limit<CpuQuota>> {
        match self.span_limit("CPUQuotaPerSecUSec")? {
            Limit::Max => Some(Limit::Max),
            Limit::At(span) => CpuQuota::from_micros_per_sec(span.as_micros()).map(Limit::At),
        }
    }

    fn limit<T>(&self, name: &str, at: impl Fn(u64) -> T) -> Option<Limit<T>> {
        self.get(name).map(|value| match value {
            INFINITY => Limit::Max,
            value => Limit::At(at(value)),
        })
    }

    /// Returns the value of a variable in `Environment=`; the last assignment counts.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let value = self.of_kind.get("Environment")?.try_clone().ok()?;
        let variables = Vec::<String>::try_from(value).ok()?;
        let mut values = variables.iter().filter_map(|variable| variable.split_once('='));
        values.rfind(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// Returns the unit's files in order of increasing precedence: the fragment, then the drop-ins.
    pub(crate) fn files(&self) -> Vec<String> {
        let fragment = self.text("FragmentPath").map(ToOwned::to_owned);
        fragment.into_iter().chain(self.drop_ins()).collect()
    }

    /// Returns the unit's drop-ins in order of increasing precedence.
    pub(crate) fn drop_ins(&self) -> Vec<String> {
        let value = self.unit.get("DropInPaths").and_then(|value| value.try_clone().ok());
        value.and_then(|value| Vec::<String>::try_from(value).ok()).unwrap_or_default()
    }

    /// Returns the arguments of each command of an `Exec…=` setting.
    pub(crate) fn commands(&self, name: &str) -> Vec<Vec<String>> {
        self.executed(name).map(|command| command.1).collect()
    }

    /// Returns the commands of an `Exec…=` setting with the exit of each process.
    fn executed(&self, name: &str) -> impl Iterator<Item = ExecutedCommand> + use<> {
        let value = self.of_kind.get(name).and_then(|value| value.try_clone().ok());
        let commands = value.and_then(|value| Vec::<ExecutedCommand>::try_from(value).ok());
        commands.into_iter().flatten()
    }

    /// Returns `true` if the unit is frozen; `None` before systemd 246.
    pub(crate) fn is_frozen(&self) -> Option<bool> {
        // Also `frozen-by-parent`, since 256.
        self.text("FreezerState").map(|state| state.starts_with("frozen"))
    }

    /// Returns the exit codes of the processes of `ExecCondition=`, without those that a signal ended.
    pub(crate) fn condition_statuses(&self) -> Vec<i32> {
        /// `CLD_EXITED` of sigaction(2).
        const EXITED: i32 = 1;
        let exited = self.executed("ExecCondition").filter(|command| command.8 == EXITED);
        exited.map(|command| command.9).collect()
    }

    /// Returns the unit's invocation id; `None` if it is all zero.
    pub(crate) fn invocation(&self) -> Option<InvocationId> {
        let value = self.unit.get("InvocationID")?.try_clone().ok()?;
        let bytes: [u8; 16] = Vec::<u8>::try_from(value).ok()?.try_into().ok()?;
        (bytes != [0; 16]).then(|| InvocationId::from_bytes(bytes))
    }

    /// Returns the object path of the unit's current job.
    pub(crate) fn job(&self) -> Option<OwnedObjectPath> {
        let value = self.unit.get("Job")?.try_clone().ok()?;
        let (id, path) = <(u32, OwnedObjectPath)>::try_from(value).ok()?;
        (id != 0).then_some(path)
    }
}
