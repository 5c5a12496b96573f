//! The keys of a definition. `schema.json` lists the same keys; a test compares them.

use bij_core::spec::{Clocks, ExperimentSpec, OnReboot, OomPolicy, SandboxProfile};

use crate::document::ValueNode;
use crate::fault::{ParseFault, ParseFaults};
use crate::field::Field;
use crate::value;

type ReadKey = fn(&ValueNode, &mut ExperimentSpec) -> Result<(), ParseFaults>;

/// The words of `[limits] oom_policy`.
pub(crate) const OOM_POLICIES: [(&str, OomPolicy); 3] =
    [("stop", OomPolicy::Stop), ("continue", OomPolicy::Continue), ("kill", OomPolicy::Kill)];

/// The words of `[restart] on_reboot`.
pub(crate) const ON_REBOOT: [(&str, OnReboot); 3] =
    [("resume", OnReboot::Resume), ("requeue", OnReboot::Requeue), ("hold", OnReboot::Hold)];

/// The words of `[power] clocks`.
pub(crate) const CLOCKS: [(&str, Clocks); 2] =
    [(Clocks::Dynamic.as_str(), Clocks::Dynamic), (Clocks::Max.as_str(), Clocks::Max)];

/// The words of `[sandbox] profile`.
pub(crate) const PROFILES: [(&str, SandboxProfile); 3] = [
    ("default", SandboxProfile::Default),
    ("strict", SandboxProfile::Strict),
    ("trusted", SandboxProfile::Trusted),
];

const fn field(
    table: &'static str,
    name: &'static str,
    systemd: &'static str,
    example: &'static str,
    read: ReadKey,
) -> Field<ExperimentSpec> {
    Field { table, name, systemd, example, read }
}

/// Stores a parsed value.
pub(crate) fn put<T>(
    slot: &mut T,
    value: Result<impl Into<T>, ParseFault>,
) -> Result<(), ParseFaults> {
    *slot = value?.into();
    Ok(())
}

/// Every key, in the order of the manual.
pub(crate) const FIELDS: &[Field<ExperimentSpec>] = &[
    field("", "description", "Description", r#""Amnesiac, total""#, |node, spec| {
        put(&mut spec.description, value::description(node))
    }),
    field("", "command", "ExecStart", r#"["/usr/bin/python3", "run.py"]"#, |node, spec| {
        spec.command = value::command(node)?;
        Ok(())
    }),
    field("", "config", "", r#""/opt/brain/configs/amnesiac_001.json""#, |node, spec| {
        put(&mut spec.config, value::environment_value(node).map(ToOwned::to_owned))
    }),
    field("", "directory", "WorkingDirectory", r#""/opt/brain""#, |node, spec| {
        put(&mut spec.directory, value::directory(node))
    }),
    field("", "user", "User", r#""brain""#, |node, spec| put(&mut spec.user, value::user(node))),
    field("", "environment", "Environment", r#"{ HF_HOME = "/var/cache/hf" }"#, |node, spec| {
        spec.environment = value::environment(node)?;
        Ok(())
    }),
    field("", "writable", "ReadWritePaths", r#"["/opt/brain/logs"]"#, |node, spec| {
        spec.writable = value::paths(node)?;
        Ok(())
    }),
    field("limits", "memory", "MemoryMax", r#""8G""#, |node, spec| {
        put(&mut spec.limits.memory, value::memory(node))
    }),
    field("limits", "swap", "MemorySwapMax", r#""0""#, |node, spec| {
        put(&mut spec.limits.swap, value::swap(node))
    }),
    field("limits", "cpu", "CPUQuota", r#""100%""#, |node, spec| {
        put(&mut spec.limits.cpu, value::cpu_quota(node))
    }),
    field("limits", "cpus", "AllowedCPUs", r#""0-7""#, |node, spec| {
        put(&mut spec.limits.cpus, value::cpu_set(node))
    }),
    field("limits", "tasks", "TasksMax", "512", |node, spec| {
        put(&mut spec.limits.tasks, value::tasks(node))
    }),
    field("limits", "time", "RuntimeMaxSec", r#""12h""#, |node, spec| {
        put(&mut spec.limits.time, value::span_limit(node))
    }),
    field("limits", "open_files", "LimitNOFILE", "65536", |node, spec| {
        put(&mut spec.limits.open_files, value::open_files(node))
    }),
    field("limits", "locked_memory", "LimitMEMLOCK", r#""1G""#, |node, spec| {
        put(&mut spec.limits.locked_memory, value::locked_memory(node))
    }),
    field("limits", "oom_policy", "OOMPolicy", r#""stop""#, |node, spec| {
        put(&mut spec.limits.oom_policy, value::choice(node, &OOM_POLICIES))
    }),
    field("gpu", "access", "DeviceAllow", "true", |node, spec| {
        put(&mut spec.gpu.access, value::flag(node))
    }),
    field("gpu", "exclusive", "", "false", |node, spec| {
        put(&mut spec.gpu.exclusive, value::flag(node))
    }),
    field("gpu", "memory", "", r#""6G""#, |node, spec| {
        put(&mut spec.gpu.memory, value::memory(node))
    }),
    field("queue", "priority", "", "0", |node, spec| {
        put(&mut spec.queue.priority, value::priority(node))
    }),
    field("queue", "group", "", r#""default""#, |node, spec| {
        put(&mut spec.queue.group, value::group(node))
    }),
    field("queue", "after", "After", r#"["calibrate"]"#, |node, spec| {
        spec.queue.after = value::after(node)?;
        crate::definition::not_after_itself(node, spec)
    }),
    field("restart", "delay", "RestartSec", r#""5s""#, |node, spec| {
        put(&mut spec.restart.delay, value::span_or_zero(node))
    }),
    field("restart", "burst", "StartLimitBurst", "3", |node, spec| {
        put(&mut spec.restart.burst, value::burst(node))
    }),
    field("restart", "interval", "StartLimitIntervalSec", r#""5min""#, |node, spec| {
        put(&mut spec.restart.interval, value::span_limit_or_zero(node))
    }),
    field("restart", "on_reboot", "", r#""resume""#, |node, spec| {
        put(&mut spec.restart.on_reboot, value::choice(node, &ON_REBOOT))
    }),
    field("restart", "rerun_at_boot", "", "false", |node, spec| {
        put(&mut spec.restart.rerun_at_boot, value::flag(node))
    }),
    field("stop", "signal", "KillSignal", r#""SIGTERM""#, |node, spec| {
        put(&mut spec.stop.signal, value::signal(node))
    }),
    field("stop", "grace", "TimeoutStopSec", r#""90s""#, |node, spec| {
        put(&mut spec.stop.grace, value::span(node))
    }),
    field("health", "notify", "Type", "false", |node, spec| {
        put(&mut spec.health.notify, value::flag(node))
    }),
    field("health", "watchdog", "WatchdogSec", r#""2min""#, |node, spec| {
        put(&mut spec.health.watchdog, value::span(node))
    }),
    field("health", "stall_after", "", r#""10min""#, |node, spec| {
        put(&mut spec.health.stall_after, value::span(node))
    }),
    field("health", "start_timeout", "TimeoutStartSec", r#""5min""#, |node, spec| {
        put(&mut spec.health.start_timeout, value::span_limit(node))
    }),
    field("thermal", "max_celsius", "", "80", |node, spec| {
        put(&mut spec.thermal.max_celsius, value::celsius(node))
    }),
    field("thermal", "freeze", "", "true", |node, spec| {
        put(&mut spec.thermal.freeze, value::flag(node).map(Some))
    }),
    field("power", "mode", "", r#""MAXN""#, |node, spec| {
        put(&mut spec.power.mode, value::power_mode(node))
    }),
    field("power", "clocks", "", r#""max""#, |node, spec| {
        put(&mut spec.power.clocks, value::choice(node, &CLOCKS))
    }),
    field("sandbox", "profile", "", r#""default""#, |node, spec| {
        put(&mut spec.sandbox, value::choice(node, &PROFILES))
    }),
    field("policy", "environment", "", r#"["SEED", "WANDB_*"]"#, |node, spec| {
        spec.policy.environment = Some(value::patterns(node)?);
        Ok(())
    }),
    field("policy", "config", "", "false", |node, spec| {
        put(&mut spec.policy.config, value::flag(node).map(Some))
    }),
];
