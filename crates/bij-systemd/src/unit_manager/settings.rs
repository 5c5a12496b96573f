//! What a manager holds a unit to, whichever file says so.

use bij_core::port::UnitError;
use bij_core::{ExperimentId, Limit, TimeSpan};

use super::SystemdUnits;
use crate::drop_in::LAUNCHER;
use crate::properties::Properties;

/// Settings of a unit as its manager has them: those of its definition, unless an operator's drop-in is
/// stronger. What the manager does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingsInForce {
    /// The stamp of the definition that the unit was rendered from.
    pub stamp: Option<String>,
    /// The unit's drop-ins, the weakest first (`DropInPaths`).
    pub drop_ins: Vec<String>,
    /// What is executed (`ExecStart=`), without bij's launcher; several commands stand one after another.
    pub command: Option<Vec<String>>,
    /// `Restart=`.
    pub restart: Option<String>,
    /// `RestartSec=`.
    pub delay: Option<TimeSpan>,
    /// `StartLimitBurst=`.
    pub burst: Option<u32>,
    /// `StartLimitIntervalSec=`.
    pub interval: Option<Limit<TimeSpan>>,
    /// `RuntimeMaxSec=`.
    pub time: Option<Limit<TimeSpan>>,
}

impl SystemdUnits {
    /// Returns the settings of a unit that are in force.
    ///
    /// # Errors
    /// [`UnitError`] if the manager does not answer.
    pub async fn settings_in_force(&self, id: &ExperimentId) -> Result<SettingsInForce, UnitError> {
        Ok(in_force(&self.bus.unit(id).await?))
    }
}

fn in_force(properties: &Properties) -> SettingsInForce {
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

/// The words of all commands, with `;` between two as in a unit file.
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
