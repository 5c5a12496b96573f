//! What an experiment has of the GPU's memory.

use bij_core::Bytes;

/// What one that lives has of the GPU's memory, as far as that is the machine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GpuShare {
    /// So much, which no control group counts.
    Has(Bytes),
    /// It shares the machine's memory, and this keeps it from being known.
    Unknown(String),
    /// The GPU has memory of its own, or there is none.
    Elsewhere,
}

impl GpuShare {
    pub(crate) const fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Has(bytes) => Some(*bytes),
            Self::Unknown(_) | Self::Elsewhere => None,
        }
    }

    /// Why there is no number.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Self::Has(_) => None,
            Self::Unknown(why) => Some(why),
            Self::Elsewhere => Some("no GPU shares the memory of this machine"),
        }
    }

    /// `2.0G; 3.2G in all`, or why that is not known. Where the GPU has its own, people
    /// are told nothing.
    pub(crate) fn line(&self, memory_current: Option<u64>) -> Option<String> {
        match self {
            Self::Has(bytes) if bytes.get() == 0 => None,
            Self::Has(bytes) => {
                let all = memory_current.and_then(|more| bytes.checked_add(Bytes::new(more)));
                let all = all.map_or_else(String::new, |all| format!("; {all} in all"));
                Some(format!("{bytes}{all}"))
            }
            Self::Unknown(why) => Some(format!("unknown: {why}")),
            Self::Elsewhere => None,
        }
    }
}
