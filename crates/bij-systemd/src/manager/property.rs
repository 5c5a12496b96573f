//! Properties of units that can be read, set and given to transient units.

use std::borrow::Cow;

use bij_core::spec::CpuSet;
use bij_core::{Bytes, CpuQuota, Limit, TimeSpan};
use zbus::{OwnedVariant, Variant};

use super::{Manager, Operation, UnitFileLife, call};
use crate::{ManagerError, UnitName};

/// A property of a unit with a value: a setting of systemd.resource-control(5) or of another page, by its D-Bus name.
///
/// ```
/// use bij_core::{Bytes, Limit};
/// use bij_systemd::{Property, PropertyValue};
///
/// let memory = Property::memory_max(Limit::At(Bytes::new(512 << 20)));
/// assert_eq!((memory.name(), memory.value()), ("MemoryMax", &PropertyValue::U64(512 << 20)));
/// // Any other, as org.freedesktop.systemd1(5) gives its type.
/// let nice = Property::new("Nice", PropertyValue::I32(10));
/// # let _ = nice;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    name: Cow<'static, str>,
    value: PropertyValue,
}

/// The value of a property, by its D-Bus type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PropertyValue {
    /// A boolean, D-Bus type `b`.
    Bool(bool),
    /// A signed number, D-Bus type `i`.
    I32(i32),
    /// An unsigned number, D-Bus type `u`.
    U32(u32),
    /// A signed number, D-Bus type `x`.
    I64(i64),
    /// An unsigned number, D-Bus type `t`; systemd writes "infinity" and "not set" as [`u64::MAX`].
    U64(u64),
    /// A text, D-Bus type `s`.
    Text(String),
    /// A list of texts, D-Bus type `as`.
    Texts(Vec<String>),
    /// Bytes, D-Bus type `ay`.
    Bytes(Vec<u8>),
    /// A value of another type, as text for people; it can only be read.
    Other(String),
}

impl Property {
    /// Creates a property of this name.
    pub fn new(name: impl Into<Cow<'static, str>>, value: PropertyValue) -> Self {
        Self { name: name.into(), value }
    }

    /// Returns the name of the property.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value of the property.
    pub const fn value(&self) -> &PropertyValue {
        &self.value
    }

    const fn number(name: &'static str, value: u64) -> Self {
        Self { name: Cow::Borrowed(name), value: PropertyValue::U64(value) }
    }

    /// The hard limit of memory, above which the kernel kills: `MemoryMax=`. systemd sets `memory.limit_in_bytes`
    /// for it on cgroup v1.
    pub fn memory_max(limit: Limit<Bytes>) -> Self {
        Self::number("MemoryMax", limit.at().map_or(u64::MAX, Bytes::get))
    }

    /// The amount of memory above which the processes are slowed down: `MemoryHigh=`, on cgroup v2.
    pub fn memory_high(limit: Limit<Bytes>) -> Self {
        Self::number("MemoryHigh", limit.at().map_or(u64::MAX, Bytes::get))
    }

    /// The limit of swap: `MemorySwapMax=`, on cgroup v2.
    pub fn memory_swap_max(limit: Limit<Bytes>) -> Self {
        Self::number("MemorySwapMax", limit.at().map_or(u64::MAX, Bytes::get))
    }

    /// The amount of memory that is protected from reclaim: `MemoryLow=`, on cgroup v2.
    pub fn memory_low(amount: Bytes) -> Self {
        Self::number("MemoryLow", amount.get())
    }

    /// The limit of processor time: `CPUQuota=`, where 100 % is one processor.
    pub fn cpu_quota(limit: Limit<CpuQuota>) -> Self {
        let value = limit.at().map_or(u64::MAX, CpuQuota::micros_per_sec);
        Self::number("CPUQuotaPerSecUSec", value)
    }

    /// The share of processor time among its siblings: `CPUWeight=`, 1 to 10000; the default is 100.
    pub const fn cpu_weight(weight: u64) -> Self {
        Self::number("CPUWeight", weight)
    }

    /// The processors that the unit may use: `AllowedCPUs=`, since systemd 244 and on cgroup v2.
    pub fn allowed_cpus(cpus: &CpuSet) -> Self {
        Self::new("AllowedCPUs", PropertyValue::Bytes(bit_mask(cpus)))
    }

    /// The limit of tasks, processes and threads together: `TasksMax=`.
    pub fn tasks_max(limit: Limit<u64>) -> Self {
        Self::number("TasksMax", limit.at().unwrap_or(u64::MAX))
    }

    /// The share of block I/O among its siblings: `IOWeight=`, 1 to 10000; the default is 100.
    pub const fn io_weight(weight: u64) -> Self {
        Self::number("IOWeight", weight)
    }

    /// The time after which a running unit is stopped as failed: `RuntimeMaxSec=`. It can be given to a transient
    /// unit, not set later.
    pub fn runtime_max(limit: Limit<TimeSpan>) -> Self {
        let value = limit.at().map_or(u64::MAX, TimeSpan::as_micros);
        Self::number("RuntimeMaxUSec", value)
    }

    pub(crate) fn to_variant(&self) -> (&str, Variant<'_>) {
        let value = match &self.value {
            PropertyValue::Bool(value) => Variant::from(*value),
            PropertyValue::I32(value) => Variant::from(*value),
            PropertyValue::U32(value) => Variant::from(*value),
            PropertyValue::I64(value) => Variant::from(*value),
            PropertyValue::U64(value) => Variant::from(*value),
            PropertyValue::Text(value) | PropertyValue::Other(value) => {
                Variant::from(value.as_str())
            }
            PropertyValue::Texts(values) => {
                Variant::from(values.iter().map(String::as_str).collect::<Vec<_>>())
            }
            PropertyValue::Bytes(bytes) => Variant::from(bytes.clone()),
        };
        (&self.name, value)
    }
}

/// Returns a set as systemd takes it: bit 0 of the first byte is processor 0.
fn bit_mask(cpus: &CpuSet) -> Vec<u8> {
    let mut mask = Vec::new();
    for cpu in cpus.iter() {
        let byte = usize::from(cpu / 8);
        mask.resize(mask.len().max(byte + 1), 0);
        mask[byte] |= 1 << (cpu % 8);
    }
    mask
}

impl From<&OwnedVariant> for PropertyValue {
    fn from(value: &OwnedVariant) -> Self {
        let other = || Self::Other(format!("{value:?}"));
        let bool = bool::try_from(value).map(Self::Bool).ok();
        let numbers = || {
            let i32 = i32::try_from(value).map(Self::I32).ok();
            let u32 = || u32::try_from(value).map(Self::U32).ok();
            let i64 = || i64::try_from(value).map(Self::I64).ok();
            let u64 = || u64::try_from(value).map(Self::U64).ok();
            i32.or_else(u32).or_else(i64).or_else(u64)
        };
        let text = || <&str>::try_from(value).ok().map(|text| Self::Text(text.to_owned()));
        let lists = || {
            let texts = Vec::<String>::try_from(value.try_clone().ok()?).map(Self::Texts).ok();
            let bytes = || Vec::<u8>::try_from(value.try_clone().ok()?).map(Self::Bytes).ok();
            texts.or_else(bytes)
        };
        bool.or_else(numbers).or_else(text).or_else(lists).unwrap_or_else(other)
    }
}

impl Manager {
    /// Sets properties of a unit, at once and for its later starts (systemctl(1), `set-property`): until the next boot
    /// with [`UnitFileLife::Runtime`]. systemd applies all of them or none.
    ///
    /// # Errors
    /// [`ManagerError::UnknownProperty`] for one that this systemd does not know or cannot set, otherwise the
    /// manager's error.
    pub async fn set_properties(
        &self,
        unit: &UnitName,
        properties: &[Property],
        life: UnitFileLife,
    ) -> Result<(), ManagerError> {
        let operation = Operation::on_instance("set properties of", unit)?;
        let manager = self.bus.manager().await?;
        let variants: Vec<_> = properties.iter().map(Property::to_variant).collect();
        let set = manager.set_unit_properties(unit.as_str(), life.is_runtime(), &variants);
        call(operation, set).await
    }

    /// Reads one property of a unit, of its kind or of those that every unit has. Prefer
    /// [`status`](Manager::status) for what it gives.
    ///
    /// # Errors
    /// [`ManagerError::UnknownProperty`] for one that this systemd does not know, otherwise the manager's error.
    pub async fn property(
        &self,
        unit: &UnitName,
        name: &str,
    ) -> Result<PropertyValue, ManagerError> {
        let operation = Operation::on_instance("read a property of", unit)?;
        self.bus.property(operation, unit, name).await.map(|value| PropertyValue::from(&value))
    }
}
