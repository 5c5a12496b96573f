//! `bij show`: all properties of experiments.

mod overrides;

use std::borrow::Cow;
use std::io::{self, Write};

use bij_core::port::{DefinitionSource as _, FindError};
use bij_core::{ExperimentId, Limit};
use bij_definition::settings_by_key;
use bij_systemd::experiment::SettingsInForce;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use crate::args::IdArg;
use crate::context::Context;
use crate::error::CliError;
use crate::facts::ExperimentFacts;
use crate::units::settings_in_force;
use crate::view::{ExperimentStatus, TextFormat, View, WaitingRun, visible};
use crate::{complete, facts};
use overrides::settings_with_overrides;

/// The arguments of `bij show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Experiments; all if none is given
    #[arg(value_name = "ID", add = ArgValueCandidates::new(complete::ids))]
    ids: Vec<IdArg>,
    /// Show these keys only, separated by commas
    #[arg(short, long = "property", value_name = "KEY", value_delimiter = ',')]
    properties: Vec<String>,
    /// Print values without their keys
    #[arg(long)]
    value: bool,
}

/// Shows all properties, or the given ones.
pub(super) async fn show(context: &Context, args: &ShowArgs) -> Result<(), CliError> {
    let ids: Vec<ExperimentId> = args.ids.iter().map(|IdArg(id)| id.clone()).collect();
    for id in &ids {
        context.must_exist(id).await?;
    }
    let mut all = match ids.as_slice() {
        [] => facts::read_all(context).await?,
        ids => facts::read(context, ids).await,
    };
    facts::add_waiting_runs(context, &mut all).await;
    let mut shown = Vec::new();
    for facts in all {
        let in_force = in_force(context, &facts.id).await;
        let all = properties(context, facts, in_force.as_ref());
        shown.push(PropertyList { all, values_only: args.value }.only(&args.properties));
    }
    match (ids.len(), shown.pop()) {
        (1, Some(one)) => context.terminal.show(&one),
        (_, last) => {
            shown.extend(last);
            context.terminal.show(&PropertyLists(shown))
        }
    }
}

/// Returns the settings in force of the experiment's unit; `None` without a manager, or if it does not answer.
async fn in_force(context: &Context, id: &ExperimentId) -> Option<SettingsInForce> {
    let units = context.units().await.ok()?;
    settings_in_force(&units, id).await.ok()?
}

fn properties(
    context: &Context,
    facts: ExperimentFacts,
    in_force: Option<&SettingsInForce>,
) -> Vec<Setting> {
    let id = facts.id.clone();
    let mut all = from_unit(&facts);
    all.extend(from_ledger(&facts));
    all.extend(from_status(&ExperimentStatus::new(facts)));
    all.extend(from_layout(context, &id));
    match context.definitions().find(&id) {
        Ok(found) => {
            all.push(setting("Definition", found.source.as_str()));
            all.push(setting("DefinitionStamp", found.stamp.as_str()));
            all.extend(match in_force {
                Some(in_force) => settings_with_overrides(&found.spec, &found.stamp, in_force),
                None => settings_by_key(&found.spec),
            });
        }
        Err(FindError::Missing { .. }) => all.push(setting("Definition", Value::Null)),
        Err(error) => {
            let sentence = CliError::from(error).sentence();
            all.push(setting("DefinitionError", sentence));
        }
    }
    all.extend(from_extras(context, &id));
    all
}

/// Returns the additions that hold for this run only.
fn from_extras(context: &Context, id: &ExperimentId) -> Vec<Setting> {
    let Ok(Some(extras)) = context.definitions().extras(id) else { return Vec::new() };
    let config = extras.config().map(|config| setting("extras.config", config));
    let limits = extras.limits();
    let limits =
        limits.iter().map(|(key, value)| setting(&format!("extras.limits.{key}"), value.as_str()));
    let environment = extras.environment().iter();
    let environment = environment
        .map(|(name, value)| setting(&format!("extras.environment.{name}"), value.as_str()));
    config.into_iter().chain(limits).chain(environment).collect()
}

fn setting(key: &str, value: impl Into<Value>) -> Setting {
    (key.to_owned(), value.into())
}

fn text<T: ToString>(value: Option<T>) -> Value {
    value.map_or(Value::Null, |value| Value::from(value.to_string()))
}

/// Returns the manager's properties, by systemd's names.
fn from_unit(facts: &ExperimentFacts) -> Vec<Setting> {
    let unit = facts.unit.as_ref();
    let resources = unit.map(|unit| unit.resources.clone()).unwrap_or_default();
    let memory_max = match resources.memory_max {
        Some(Limit::Max) => Value::from("infinity"),
        Some(Limit::At(bytes)) => Value::from(bytes.get()),
        None => Value::Null,
    };
    let enabled = unit.and_then(|unit| unit.enabled);
    vec![
        setting("Id", facts.id.as_str()),
        setting("Unit", facts.id.unit_name()),
        setting("UnitFileState", text(enabled.map(|on| if on { "enabled" } else { "disabled" }))),
        setting("NRestarts", unit.and_then(|unit| unit.restarts)),
        setting("MemoryMax", memory_max),
        setting("CPUQuota", text(resources.cpu_quota)),
        setting("MemoryPressure", text(resources.memory_pressure)),
    ]
}

/// Returns the counters of the ledger, which no reset changes.
fn from_ledger(facts: &ExperimentFacts) -> Vec<Setting> {
    let tally = facts.tally.as_ref();
    let started = tally.and_then(|tally| tally.last.as_ref()).map(|last| last.started);
    let checkpoint = tally.and_then(|tally| tally.last_checkpoint.as_ref());
    vec![
        setting("Attempts", tally.map(|tally| tally.attempts)),
        setting("LastCause", text(tally.and_then(|tally| tally.last_cause))),
        setting("LastRunEnd", text(tally.and_then(|tally| tally.last_run_end))),
        setting(
            "LastCheckpoint",
            text(checkpoint.and_then(|progress| progress.checkpoint.as_ref())),
        ),
        setting("AttemptStarted", text(started)),
    ]
}

/// Returns the properties that `bij status` shows, by systemd's names where it has one.
fn from_status(status: &ExperimentStatus) -> Vec<Setting> {
    let by_cause = status.crashes_by_cause.iter().flatten();
    let by_cause: Map<String, Value> =
        by_cause.map(|(cause, count)| (cause.to_string(), Value::from(*count))).collect();
    let progress = status.progress.as_ref();
    let queued = status.queued.as_ref();
    let reason = queued.map(WaitingRun::reason).filter(|reason| !reason.is_empty());
    vec![
        setting("ActiveState", status.state.as_str()),
        setting("SubState", text(status.sub_state.as_ref())),
        setting("Result", text(status.result.as_ref())),
        setting("StateChangeTimestamp", text(status.since)),
        setting("MainPID", status.pid),
        setting("InvocationID", text(status.invocation_id)),
        setting("StatusText", text(status.notify_text.as_ref())),
        setting("Run", status.run),
        setting("Attempt", status.attempt),
        setting("Crashes", status.crashes),
        setting("CrashesByCause", by_cause),
        setting("MemoryCurrent", status.memory_current),
        setting("MemoryPeak", status.memory_peak),
        setting("CPUUsageNSec", status.cpu_usage_nsec),
        setting("QueuedRun", queued.map(|queued| queued.run)),
        setting("QueuedState", text(queued.map(|queued| queued.state.as_str()))),
        setting("QueuedReason", text(reason)),
        setting("ProgressStep", progress.and_then(|progress| progress.step)),
        setting("ProgressTotal", progress.and_then(|progress| progress.total)),
        setting("ProgressText", text(progress.and_then(|progress| progress.text.as_ref()))),
    ]
}

/// Returns the paths of the experiment.
fn from_layout(context: &Context, id: &ExperimentId) -> Vec<Setting> {
    let layout = &context.layout;
    let paths = [
        ("StateDirectory", layout.experiment_state(id)),
        ("ProgressFile", layout.progress(id)),
        ("StopFile", layout.stop_file(id)),
        ("DropIn", layout.drop_in(id)),
        ("Database", layout.database()),
    ];
    paths.into_iter().map(|(key, path)| setting(key, path.display().to_string())).collect()
}

/// A setting or another property: its key, and its value; null is systemd's default or none.
pub(crate) type Setting = (String, Value);

/// The properties of one experiment: `bij show`.
#[derive(Clone, Debug)]
struct PropertyList {
    all: Vec<Setting>,
    /// Whether the values are printed without their keys.
    values_only: bool,
}

impl PropertyList {
    /// Returns the properties with these keys only, in this order; unknown keys are ignored, as in systemctl.
    #[must_use]
    pub(crate) fn only(mut self, keys: &[String]) -> Self {
        if !keys.is_empty() {
            let find = |key: &String| self.all.iter().find(|(name, _)| name == key).cloned();
            self.all = keys.iter().filter_map(find).collect();
        }
        self
    }
}

impl Serialize for PropertyList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.all.len()))?;
        for (key, value) in &self.all {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl View for PropertyList {
    fn text(&self, out: &mut dyn Write, _: &TextFormat) -> io::Result<()> {
        for (key, value) in &self.all {
            let value = match value {
                Value::Null => Cow::default(),
                Value::String(text) => visible(text),
                other => other.to_string().into(),
            };
            if self.values_only {
                writeln!(out, "{value}")?;
            } else {
                writeln!(out, "{key}={value}")?;
            }
        }
        Ok(())
    }
}

/// The properties of several experiments: blocks with a blank line between them, in JSON an array.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(transparent)]
struct PropertyLists(Vec<PropertyList>);

impl View for PropertyLists {
    fn text(&self, out: &mut dyn Write, format: &TextFormat) -> io::Result<()> {
        for (at, properties) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            properties.text(out, format)?;
        }
        Ok(())
    }
}
