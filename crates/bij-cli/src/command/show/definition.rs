//! The settings of a definition, by their names in the file.

use bij_core::definition::{
    AbsolutePath, After, ExperimentSpec, OnReboot, OomPolicy, PowerMode, SandboxProfile,
    VariablePattern,
};
use bij_core::{Limit, MemoryLimit};
use serde_json::{Map, Value};

/// A setting: its key in a definition, and its value; null is systemd's default or none.
pub(super) type Setting = (String, Value);

fn text<T: ToString>(value: Option<T>) -> Value {
    value.map_or(Value::Null, |value| Value::from(value.to_string()))
}

/// Returns a limit in bytes, as systemctl shows it; its `Display` is rounded.
fn memory(limit: Option<MemoryLimit>) -> Value {
    match limit {
        Some(MemoryLimit::Absolute(Limit::At(bytes))) => Value::from(bytes.get()),
        limit => text(limit),
    }
}

/// Returns all settings, also those at their default.
pub(super) fn settings(spec: &ExperimentSpec) -> Vec<Setting> {
    // Destructured without `..`, so that a new setting cannot be forgotten here.
    let ExperimentSpec {
        id: _,
        description,
        command,
        config,
        directory,
        user,
        environment,
        writable,
        limits,
        gpu,
        queue,
        restart,
        stop,
        health,
        thermal,
        power,
        sandbox,
        policy,
    } = spec;
    let environment: Map<String, Value> = environment
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let writable: Vec<&str> = writable.iter().map(AbsolutePath::as_str).collect();
    let mut all: Vec<(&str, Value)> = vec![
        ("description", text(description.as_ref())),
        ("command", Value::from(command.as_slice())),
        ("config", text(config.as_ref())),
        ("directory", text(directory.as_ref().map(AbsolutePath::as_str))),
        ("user", text(user.as_ref())),
        ("environment", Value::Object(environment)),
        ("writable", Value::from(writable)),
        ("limits.memory", memory(limits.memory)),
        ("limits.swap", memory(limits.swap)),
        ("limits.cpu", text(limits.cpu)),
        ("limits.cpus", text(limits.cpus.as_ref())),
        ("limits.tasks", text(limits.tasks)),
        ("limits.time", text(limits.time)),
        ("limits.open_files", text(limits.open_files)),
        ("limits.locked_memory", memory(limits.locked_memory.map(MemoryLimit::Absolute))),
        ("limits.oom_policy", Value::from(oom_policy(limits.oom_policy))),
        ("gpu.access", Value::from(gpu.access)),
        ("gpu.exclusive", Value::from(gpu.exclusive)),
        ("gpu.memory", memory(gpu.memory)),
        ("queue.priority", Value::from(queue.priority)),
        ("queue.group", text(queue.group.as_ref())),
        ("queue.after", after(queue.after.as_ref())),
        ("restart.delay", Value::from(restart.delay.to_string())),
        ("restart.burst", Value::from(restart.burst)),
        ("restart.interval", Value::from(restart.interval.to_string())),
        ("restart.on_reboot", Value::from(on_reboot(restart.on_reboot))),
        ("restart.rerun_at_boot", Value::from(restart.rerun_at_boot)),
        ("stop.signal", Value::from(stop.signal.as_str())),
        ("stop.grace", Value::from(stop.grace.to_string())),
        ("health.notify", Value::from(health.notify)),
        ("health.watchdog", text(health.watchdog)),
        ("health.stall_after", text(health.stall_after)),
        ("health.start_timeout", text(health.start_timeout)),
        ("thermal.max_celsius", thermal.max_celsius.map_or(Value::Null, Value::from)),
        ("thermal.freeze", thermal.freeze.map_or(Value::Null, Value::from)),
        ("power.mode", power_mode(power.mode.as_ref())),
        ("power.clocks", Value::from(power.clocks.as_str())),
        ("sandbox.profile", Value::from(profile(*sandbox))),
        ("policy.environment", patterns(policy.environment.as_deref())),
        ("policy.config", policy.config.map_or(Value::Null, Value::from)),
    ];
    all.drain(..).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn patterns(patterns: Option<&[VariablePattern]>) -> Value {
    let names = |patterns: &[VariablePattern]| {
        Value::from(patterns.iter().map(VariablePattern::as_str).collect::<Vec<_>>())
    };
    patterns.map_or(Value::Null, names)
}

const fn oom_policy(policy: OomPolicy) -> &'static str {
    match policy {
        OomPolicy::Continue => "continue",
        OomPolicy::Stop => "stop",
        OomPolicy::Kill => "kill",
    }
}

const fn on_reboot(policy: OnReboot) -> &'static str {
    match policy {
        OnReboot::Resume => "resume",
        OnReboot::Requeue => "requeue",
        OnReboot::Hold => "hold",
    }
}

const fn profile(profile: SandboxProfile) -> &'static str {
    match profile {
        SandboxProfile::Default => "default",
        SandboxProfile::Strict => "strict",
        SandboxProfile::Trusted => "trusted",
    }
}

fn power_mode(mode: Option<&PowerMode>) -> Value {
    match mode {
        None => Value::Null,
        Some(PowerMode::Number(number)) => Value::from(*number),
        Some(PowerMode::Name(name)) => Value::from(name.as_str()),
    }
}

fn after(after: Option<&After>) -> Value {
    let ids = |ids: &[bij_core::ExperimentId]| {
        Value::from(ids.iter().map(bij_core::ExperimentId::as_str).collect::<Vec<_>>())
    };
    match after {
        None => Value::Null,
        Some(After::All(all)) => ids(all),
        Some(After::Any(any)) => Value::from(Map::from_iter([("any".to_owned(), ids(any))])),
    }
}
