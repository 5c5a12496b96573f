//! Identifiers of experiments, runs, attempts, invocations and boots.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The name of an experiment: `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`.
///
/// The alphabet is a subset of what systemd allows in the instance name of a unit, so an id needs no
/// escaping in unit names, paths and drop-ins. It cannot contain `/` and cannot be `..`, because its first
/// character is a letter or a digit.
///
/// Clones share the text, because thousands of runs name the same few experiments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(try_from = "String"))]
pub struct ExperimentId(Arc<str>);

/// The error for a text that is not an experiment id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is not an experiment id: use 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
)]
pub struct InvalidExperimentId {
    /// What was found, cut to 80 characters.
    pub found: String,
}

impl ExperimentId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks a text and makes it an id.
    ///
    /// # Errors
    /// [`InvalidExperimentId`] for a text outside of the alphabet or longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn new(text: &str) -> Result<Self, InvalidExperimentId> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let bytes = text.as_bytes();
        let valid = bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.len() <= Self::MAX_LEN
            && bytes.iter().copied().all(inner);
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidExperimentId { found: text.chars().take(80).collect() })
        }
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the experiment's unit, `brain-experiment@<id>.service`.
    pub fn unit_name(&self) -> String {
        format!("brain-experiment@{}.service", self.0)
    }

    /// Returns the id in the name of a unit; `None` if the unit is not an experiment's.
    pub fn from_unit_name(unit: &str) -> Option<Self> {
        let instance = unit.strip_prefix("brain-experiment@")?.strip_suffix(".service")?;
        Self::new(instance).ok()
    }

    /// Returns the syslog identifier of the experiment's journal lines, `brain-experiment-<id>`.
    pub fn syslog_identifier(&self) -> String {
        format!("brain-experiment-{}", self.0)
    }
}

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ExperimentId {
    type Err = InvalidExperimentId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for ExperimentId {
    type Error = InvalidExperimentId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<ExperimentId> for String {
    fn from(id: ExperimentId) -> Self {
        id.as_str().to_owned()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ExperimentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The number of a run of one experiment, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct RunNumber(pub u32);

/// The number of an attempt within its run, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct AttemptNumber(pub u32);

impl fmt::Display for RunNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one experiment, written `amnesiac_001#3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct RunId {
    /// The experiment of the run.
    pub experiment: ExperimentId,
    /// The number of the run, from 1.
    pub number: RunNumber,
}

/// The error for a text that is not a run id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not a run: write it as ID#NUMBER, for example amnesiac_001#3")]
pub struct InvalidRunId {
    /// What was found, cut to 80 characters.
    pub found: String,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.experiment, self.number)
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('#').and_then(|(id, number)| {
            let number = number.parse().ok().filter(|n| *n > 0)?;
            Some(Self { experiment: ExperimentId::new(id).ok()?, number: RunNumber(number) })
        });
        parsed.ok_or_else(|| InvalidRunId { found: text.chars().take(80).collect() })
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.to_string()
    }
}

/// The error for a text that is not a 128-bit id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not a 128-bit id of 32 hexadecimal digits")]
pub struct InvalidId128 {
    /// What was found, cut to 80 characters.
    pub found: String,
}

fn parse_id128(text: &str) -> Result<u128, InvalidId128> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let valid = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
        .ok_or_else(|| InvalidId128 { found: text.chars().take(80).collect() })
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "String", into = "String"))]
        pub struct $name(u128);

        impl $name {
            /// Creates the id from its 16 bytes, in network order.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId128;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_id128(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId128;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id128! {
    /// systemd's id of one activation of a unit: `$INVOCATION_ID`, 32 hexadecimal digits (systemd.exec(5)).
    ///
    /// A supervisor without systemd makes one for each process that it starts. This crate has no source of
    /// randomness; on Linux the kernel has one, whose ids are parsed with their dashes (random(4)):
    ///
    /// ```
    /// use bij_core::InvocationId;
    ///
    /// let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    /// let invocation: InvocationId = text.parse()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Any other 16 random bytes do as well ([`from_bytes`](Self::from_bytes)). They must never repeat within a
    /// boot, because the ledger counts an id once.
    InvocationId
}
id128! {
    /// The kernel's id of one boot, `/proc/sys/kernel/random/boot_id`. It is read with or without dashes and
    /// written without, as in the journal (`_BOOT_ID`, systemd.journal-fields(7)).
    ///
    /// ```
    /// use bij_core::BootId;
    ///
    /// let boot: BootId = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.parse()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    BootId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_id_has_a_plain_alphabet() {
        for good in ["a", "0", "amnesiac_001", "A.b-c_d", &"x".repeat(64)] {
            assert_eq!(ExperimentId::new(good).unwrap().as_str(), good);
        }
        for bad in
            ["", ".", "..", "../x", "-x", "_x", "a/b", "%i", "a%i", "a b", "é", "a\0", "a@b", "a:b"]
        {
            assert!(ExperimentId::new(bad).is_err(), "{bad:?}");
        }
        assert!(ExperimentId::new(&"x".repeat(65)).is_err());
    }

    #[test]
    fn an_experiment_id_is_read_back_from_its_unit_name() {
        let id = ExperimentId::new("a-b.service").unwrap();
        assert_eq!(ExperimentId::from_unit_name(&id.unit_name()), Some(id));
        assert_eq!(ExperimentId::from_unit_name("brain-experiment@.service"), None);
        assert_eq!(ExperimentId::from_unit_name("ssh.service"), None);
    }

    #[test]
    fn a_boot_id_is_the_same_with_and_without_dashes() {
        let dashed: BootId = "2f1cbd1b-9d7a-4bd6-8d7c-7d3b2f8a11aa\n".parse().unwrap();
        assert_eq!(dashed.to_string(), "2f1cbd1b9d7a4bd68d7c7d3b2f8a11aa");
        assert_eq!(dashed.to_string().parse::<BootId>().unwrap(), dashed);
        assert!("2f1cbd1b".parse::<BootId>().is_err());
        assert!("+f1cbd1b9d7a4bd68d7c7d3b2f8a11aa".parse::<BootId>().is_err());
    }

    #[test]
    fn a_run_id_is_written_with_a_hash() {
        let run: RunId = "amnesiac_001#3".parse().unwrap();
        assert_eq!(run.to_string(), "amnesiac_001#3");
        for bad in ["amnesiac_001", "#3", "x#0", "x#-1", "x#3#4"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
