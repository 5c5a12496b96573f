//! The settings of a unit that are in force, whichever file they come from.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Limit, TimeSpan};

use super::SystemdUnits;
use crate::experiment::drop_in::LAUNCHER;
use crate::properties::UnitProperties;

/// Settings of a unit as its manager has them: those of its definition, unless an operator's drop-in overrides
/// them. Settings that the manager does not return are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingsInForce {
    /// The stamp of the definition that the unit was rendered from.
    pub stamp: Option<String>,
    /// The unit's drop-ins in order of increasing precedence (`DropInPaths`).
    pub drop_ins: Vec<String>,
    /// The command (`ExecStart=`) without bij's launcher; several commands are separated by `;`.
    pub command: Option<Vec<String>>,
    /// The value of `Restart=`.
    pub restart: Option<String>,
    /// The delay before an automatic restart: `RestartSec=`.
    pub delay: Option<TimeSpan>,
    /// The number of starts within the interval: `StartLimitBurst=`.
    pub burst: Option<u32>,
    /// The interval of the start limit: `StartLimitIntervalSec=`.
    pub interval: Option<Limit<TimeSpan>>,
    /// The time limit of an attempt: `RuntimeMaxSec=`.
    pub time: Option<Limit<TimeSpan>>,
}

impl SystemdUnits {
    /// Reads the settings of a unit that are in force.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn settings_in_force(&self, id: &ExperimentId) -> Result<SettingsInForce, UnitError> {
        Ok(settings(&self.properties(id).await?))
    }
}

fn settings(properties: &UnitProperties) -> SettingsInForce {
    let delay = match properties.span_limit("RestartUSec") {
        Some(Limit::At(delay)) => Some(delay),
        Some(Limit::Max) | None => None,
    };
    SettingsInForce {
        stamp: properties.variable("BIJ_STAMP"),
        drop_ins: properties.drop_ins(),
        command: command(properties.commands("ExecStart")),
        restart: properties.text("Restart").map(ToOwned::to_owned),
        delay,
        burst: properties.u32("StartLimitBurst"),
        interval: properties.span_limit("StartLimitIntervalUSec"),
        time: properties.span_limit("RuntimeMaxUSec"),
    }
}

/// Joins the arguments of all commands with `;`, as in a unit file.
fn command(commands: Vec<Vec<String>>) -> Option<Vec<String>> {
    let without_launcher = |words: Vec<String>| match words.as_slice() {
        [launcher, _environment, dashes, rest @ ..] if launcher == LAUNCHER && dashes == "--" => {
            rest.to_vec()
        }
        _ => words,
    };
    let commands: Vec<Vec<String>> = commands.into_iter().map(without_launcher).collect();
    (!commands.is_empty()).then(|| commands.join(&";".to_owned()))
}
