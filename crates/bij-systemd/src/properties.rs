//! The properties of a unit, as PID 1 gives them over D-Bus.

use std::collections::HashMap;

use bij_core::{Bytes, CpuQuota, InvocationId, Limit, TimeSpan, Timestamp};
use zbus::{OwnedObjectPath, OwnedVariant};

/// systemd's number for "infinity" in limits and for "not set" in counters.
const INFINITY: u64 = u64::MAX;

/// A command of a unit, as D-Bus has it: path, arguments, whether its failure is ignored, start and
/// exit by both clocks, process, `si_code` and status.
pub(crate) type ExecutedCommand = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// The properties of one unit: those of `…systemd1.Service` and of `…systemd1.Unit`.
pub(crate) struct Properties {
    service: HashMap<String, OwnedVariant>,
    unit: HashMap<String, OwnedVariant>,
}

impl Properties {
    pub(crate) fn new(
        service: HashMap<String, OwnedVariant>,
        unit: HashMap<String, OwnedVariant>,
    ) -> Self {
        Self { service, unit }
    }

    /// A property; one of another type than it should have counts as absent.
    fn get<'a, T: TryFrom<&'a OwnedVariant>>(&'a self, name: &str) -> Option<T> {
        let value = self.service.get(name).or_else(|| self.unit.get(name))?;
        T::try_from(value).ok()
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|text: &&str| !text.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)
    }

    pub(crate) fn u32(&self, name: &str) -> Option<u32> {
        self.get(name)
    }

    pub(crate) fn i32(&self, name: &str) -> Option<i32> {
        self.get(name)
    }

    /// A `…Timestamp`; 0 is "never".
    pub(crate) fn timestamp(&self, name: &str) -> Option<Timestamp> {
        let micros = self.get(name).filter(|micros: &u64| *micros > 0)?;
        i64::try_from(micros).ok().map(Timestamp::from_micros)
    }

    /// A `…TimestampMonotonic`, the time since boot; 0 is "never".
    pub(crate) fn monotonic(&self, name: &str) -> Option<TimeSpan> {
        self.get(name).filter(|micros: &u64| *micros > 0).map(TimeSpan::from_micros)
    }

    pub(crate) fn span_limit(&self, name: &str) -> Option<Limit<TimeSpan>> {
        self.limit(name, TimeSpan::from_micros)
    }

    pub(crate) fn bytes_limit(&self, name: &str) -> Option<Limit<Bytes>> {
        self.limit(name, Bytes::new)
    }

    /// `CPUQuota=`, as processor time a second.
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

    /// The value of a variable in `Environment=`; the last one counts.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let value = self.service.get("Environment")?.try_clone().ok()?;
        let variables = Vec::<String>::try_from(value).ok()?;
        let mut values = variables.iter().filter_map(|variable| variable.split_once('='));
        values.rfind(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// The files that the unit is made of, the weakest first: its fragment, then its drop-ins.
    pub(crate) fn files(&self) -> Vec<String> {
        let fragment = self.text("FragmentPath").map(ToOwned::to_owned);
        fragment.into_iter().chain(self.drop_ins()).collect()
    }

    /// The drop-ins of the unit, the weakest first.
    pub(crate) fn drop_ins(&self) -> Vec<String> {
        let value = self.unit.get("DropInPaths").and_then(|value| value.try_clone().ok());
        value.and_then(|value| Vec::<String>::try_from(value).ok()).unwrap_or_default()
    }

    /// The words of each command of an `Exec…=`.
    pub(crate) fn commands(&self, name: &str) -> Vec<Vec<String>> {
        self.executed(name).map(|command| command.1).collect()
    }

    /// The commands of an `Exec…=`, with what became of their processes.
    fn executed(&self, name: &str) -> impl Iterator<Item = ExecutedCommand> + use<> {
        let value = self.service.get(name).and_then(|value| value.try_clone().ok());
        let commands = value.and_then(|value| Vec::<ExecutedCommand>::try_from(value).ok());
        commands.into_iter().flatten()
    }

    /// Whether its processes stand still; `None` before systemd 246.
    pub(crate) fn frozen(&self) -> Option<bool> {
        // Also `frozen-by-parent`, since 256.
        self.text("FreezerState").map(|state| state.starts_with("frozen"))
    }

    /// What the processes of `ExecCondition=` left with, as far as they left by themselves.
    pub(crate) fn condition_statuses(&self) -> Vec<i32> {
        /// `CLD_EXITED` of sigaction(2).
        const EXITED: i32 = 1;
        let exited = self.executed("ExecCondition").filter(|command| command.8 == EXITED);
        exited.map(|command| command.9).collect()
    }

    /// This life of the unit; all zero is none.
    pub(crate) fn invocation(&self) -> Option<InvocationId> {
        let value = self.unit.get("InvocationID")?.try_clone().ok()?;
        let bytes: [u8; 16] = Vec::<u8>::try_from(value).ok()?.try_into().ok()?;
        (bytes != [0; 16]).then(|| InvocationId::from_bytes(bytes))
    }

    /// The path of the job that is under way.
    pub(crate) fn job(&self) -> Option<OwnedObjectPath> {
        let value = self.unit.get("Job")?.try_clone().ok()?;
        let (id, path) = <(u32, OwnedObjectPath)>::try_from(value).ok()?;
        (id != 0).then_some(path)
    }
}
