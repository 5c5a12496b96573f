//! The GPU memory of an experiment.

use bij_core::Bytes;

/// The GPU memory of an experiment that is up, on a board where GPU and processors share the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GpuShare {
    /// The amount, which no control group counts.
    Used(Bytes),
    /// The amount is not known, for this reason.
    Unknown(String),
    /// The GPU has memory of its own, or there is no GPU.
    NotShared,
}

impl GpuShare {
    pub(crate) const fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Used(bytes) => Some(*bytes),
            Self::Unknown(_) | Self::NotShared => None,
        }
    }

    /// Returns the reason why there is no amount.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Self::Used(_) => None,
            Self::Unknown(why) => Some(why),
            Self::NotShared => Some("no GPU shares the memory of this machine"),
        }
    }

    /// Returns the line of `bij status`: `2.0G; 3.2G in all`, or why the amount is not known; `None` if there is
    /// nothing to show.
    pub(crate) fn line(&self, memory_current: Option<u64>) -> Option<String> {
        match self {
            Self::Used(bytes) if bytes.get() == 0 => None,
            Self::Used(bytes) => {
                let all = memory_current.and_then(|more| bytes.checked_add(Bytes::new(more)));
                let all = all.map_or_else(String::new, |all| format!("; {all} in all"));
                Some(format!("{bytes}{all}"))
            }
            Self::Unknown(why) => Some(format!("unknown: {why}")),
            Self::NotShared => None,
        }
    }
}
