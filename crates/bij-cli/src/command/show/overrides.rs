//! Settings of a definition, with the overrides of an operator's drop-ins.

use bij_core::Limit;
use bij_core::spec::ExperimentSpec;
use bij_definition::settings_by_key;
use bij_systemd::experiment::SettingsInForce;
use serde_json::{Map, Value};

use super::Setting;

/// The `Restart=` that bij renders for every experiment.
const RESTART: &str = "on-failure";

/// Returns all settings in force. `Overridden` has the settings that differ from the definition, with the
/// definition's values. If the unit was rendered from an earlier definition, a difference is not an override: the
/// unit gets the new definition at its next start.
pub(super) fn settings_with_overrides(
    spec: &ExperimentSpec,
    stamp: &str,
    in_force: &SettingsInForce,
) -> Vec<Setting> {
    let mut all = settings_by_key(spec);
    let restart = Value::from(RESTART);
    all.push(("Restart".to_owned(), in_force.restart.as_deref().map_or(restart, Value::from)));
    let drop_ins = in_force.drop_ins.as_slice();
    all.push(("DropInPaths".to_owned(), Value::from(drop_ins)));
    let is_current = in_force.stamp.as_deref() == Some(stamp);
    let mut overridden = Map::new();
    if is_current {
        for (key, defined, now) in compared(spec, in_force) {
            if defined != now {
                if let Some((_, value)) = all.iter_mut().find(|(name, _)| name == key) {
                    *value = now;
                }
                overridden.insert(key.to_owned(), defined);
            }
        }
    }
    all.push(("Overridden".to_owned(), Value::Object(overridden)));
    all
}

/// Returns each setting that can be compared: its key, the definition's value and the one in force.
fn compared(
    spec: &ExperimentSpec,
    in_force: &SettingsInForce,
) -> impl Iterator<Item = (&'static str, Value, Value)> {
    let SettingsInForce { command, restart, delay, burst, interval, time, .. } = in_force;
    let text = |value: &dyn ToString| Value::from(value.to_string());
    let limit = |time: Option<Limit<bij_core::TimeSpan>>| match time {
        // The template sets no limit, as a definition without one.
        Some(Limit::Max) | None => Value::Null,
        Some(limit) => Value::from(limit.to_string()),
    };
    let own = &spec.restart;
    [
        command.as_ref().map(|now| {
            ("command", Value::from(spec.command.as_slice()), Value::from(now.as_slice()))
        }),
        restart.as_ref().map(|now| ("Restart", Value::from(RESTART), Value::from(now.as_str()))),
        delay.as_ref().map(|now| ("restart.delay", text(&own.delay), text(now))),
        burst.map(|now| ("restart.burst", Value::from(own.burst), Value::from(now))),
        interval.as_ref().map(|now| ("restart.interval", text(&own.interval), text(now))),
        time.map(|now| ("limits.time", limit(spec.limits.time), limit(Some(now)))),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use bij_core::TimeSpan;

    use super::*;

    fn spec() -> ExperimentSpec {
        let id = "x".parse().unwrap();
        ExperimentSpec::new(id, vec!["/bin/true".to_owned()])
    }

    fn rendered() -> SettingsInForce {
        let mut in_force = SettingsInForce::default();
        in_force.stamp = Some("s".to_owned());
        in_force.command = Some(vec!["/bin/true".to_owned()]);
        in_force.restart = Some("on-failure".to_owned());
        in_force.delay = Some(TimeSpan::from_secs(5));
        in_force.burst = Some(3);
        in_force.interval = Some(Limit::At(TimeSpan::from_secs(300)));
        in_force.time = Some(Limit::Max);
        in_force
    }

    fn value(all: &[Setting], key: &str) -> Value {
        all.iter().find(|(name, _)| name == key).unwrap().1.clone()
    }

    #[test]
    fn settings_as_in_the_definition_are_not_overridden() {
        let all = settings_with_overrides(&spec(), "s", &rendered());
        assert_eq!(value(&all, "Overridden"), serde_json::json!({}));
        assert_eq!(value(&all, "Restart"), "on-failure");
        assert_eq!(value(&all, "limits.time"), Value::Null);
        let all = settings_with_overrides(&spec(), "s", &SettingsInForce::default());
        assert_eq!(value(&all, "Overridden"), serde_json::json!({}));
    }

    #[test]
    fn an_operators_drop_in_is_shown_and_marked() {
        let mut in_force = rendered();
        in_force.drop_ins = vec!["/etc/override.conf".to_owned()];
        in_force.command = Some(vec!["/bin/false".to_owned()]);
        in_force.restart = Some("no".to_owned());
        in_force.burst = Some(9);
        in_force.time = Some(Limit::At(TimeSpan::from_secs(60)));
        let all = settings_with_overrides(&spec(), "s", &in_force);
        assert_eq!(value(&all, "command"), serde_json::json!(["/bin/false"]));
        assert_eq!(value(&all, "Restart"), "no");
        assert_eq!(value(&all, "restart.burst"), 9);
        assert_eq!(value(&all, "limits.time"), "1min");
        assert_eq!(value(&all, "DropInPaths"), serde_json::json!(["/etc/override.conf"]));
        let definitions = serde_json::json!({
            "command": ["/bin/true"], "Restart": "on-failure", "restart.burst": 3, "limits.time": null
        });
        assert_eq!(value(&all, "Overridden"), definitions);
    }

    #[test]
    fn a_definition_that_changed_after_the_start_is_not_overridden() {
        let mut in_force = rendered();
        in_force.burst = Some(9);
        let all = settings_with_overrides(&spec(), "another", &in_force);
        assert_eq!(value(&all, "Overridden"), serde_json::json!({}));
        assert_eq!(value(&all, "restart.burst"), 3);
    }
}
