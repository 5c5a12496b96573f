//! The keys of `coordinator.toml`.

use bij_core::CoordinatorSettings;

use super::{Runner, groups};
use crate::document::ValueNode;
use crate::fault::ParseFaults;
use crate::field::{Field, put};
use crate::value;

/// The settings while they are parsed. The runner exists as soon as one of its keys is read.
#[derive(Default)]
pub(super) struct SettingsDraft {
    pub(super) runner: Option<Runner>,
    pub(super) coordinator: CoordinatorSettings,
}

type ReadSetting = fn(&ValueNode, &mut SettingsDraft) -> Result<(), ParseFaults>;

const fn runner(
    name: &'static str,
    systemd: &'static str,
    example: &'static str,
    read: ReadSetting,
) -> Field<SettingsDraft> {
    Field { table: "runner", name, systemd, example, read }
}

const fn coordinator(
    name: &'static str,
    example: &'static str,
    read: ReadSetting,
) -> Field<SettingsDraft> {
    Field { table: "coordinator", name, systemd: "", example, read }
}

pub(super) const FIELDS: &[Field<SettingsDraft>] = &[
    runner("command", "ExecStart", r#"["/usr/bin/python3", "-m", "runner", "{config}"]"#, {
        |node, draft| {
            draft.runner.get_or_insert_default().command = value::command(node)?;
            Ok(())
        }
    }),
    runner("config_directory", "", r#""/home/user/brain-in-jar/experiments/configs""#, {
        |node, draft| {
            put(&mut draft.runner.get_or_insert_default().config_directory, value::directory(node))
        }
    }),
    runner("directory", "WorkingDirectory", r#""/home/user/brain-in-jar""#, |node, draft| {
        put(&mut draft.runner.get_or_insert_default().directory, value::directory(node))
    }),
    runner("user", "User", r#""brain""#, |node, draft| {
        put(&mut draft.runner.get_or_insert_default().user, value::user(node))
    }),
    runner("environment", "Environment", r#"{ HF_HOME = "/var/cache/hf" }"#, |node, draft| {
        draft.runner.get_or_insert_default().environment = value::environment(node)?;
        Ok(())
    }),
    runner("writable", "ReadWritePaths", r#"["/home/user/brain-in-jar/logs"]"#, |node, draft| {
        draft.runner.get_or_insert_default().writable = value::paths(node)?;
        Ok(())
    }),
    coordinator("max_concurrent", "4", |node, draft| {
        put(&mut draft.coordinator.max_concurrent, value::count(node))
    }),
    coordinator("total_memory", r#""80%""#, |node, draft| {
        put(&mut draft.coordinator.total_memory, value::memory(node))
    }),
    coordinator("reserve_memory", r#""5%""#, |node, draft| {
        put(&mut draft.coordinator.reserve_memory, value::reserve(node))
    }),
    coordinator("max_pressure", r#""20%""#, |node, draft| {
        put(&mut draft.coordinator.max_pressure, value::share(node))
    }),
    coordinator("max_bypass", "8", |node, draft| {
        put(&mut draft.coordinator.max_bypass, value::count_or_zero(node))
    }),
    coordinator("boot_grace", r#""30s""#, |node, draft| {
        put(&mut draft.coordinator.boot_grace, value::span_or_zero(node))
    }),
    coordinator("health_check_interval", r#""30s""#, |node, draft| {
        put(&mut draft.coordinator.health_check_interval, value::span(node))
    }),
    coordinator("gpu_memory_grace", r#""10s""#, |node, draft| {
        put(&mut draft.coordinator.gpu_memory_grace, value::span_or_zero(node))
    }),
    coordinator("temperature_check_interval", r#""5s""#, |node, draft| {
        put(&mut draft.coordinator.temperature_check_interval, value::span(node))
    }),
    coordinator("throttle_celsius", "75", |node, draft| {
        put(&mut draft.coordinator.throttle_celsius, value::celsius(node))
    }),
    coordinator("critical_celsius", "85", |node, draft| {
        put(&mut draft.coordinator.critical_celsius, value::celsius(node))
    }),
    coordinator("cap_gpu", "true", |node, draft| {
        put(&mut draft.coordinator.cap_gpu, value::flag(node))
    }),
    Field {
        table: "power",
        name: "restore",
        systemd: "",
        example: "true",
        read: |node, draft| put(&mut draft.coordinator.restore_power_mode, value::flag(node)),
    },
    Field {
        table: "policy",
        name: "environment",
        systemd: "",
        example: r#"["SEED", "WANDB_*"]"#,
        read: |node, draft| {
            draft.coordinator.policy.environment = Some(value::patterns(node)?);
            Ok(())
        },
    },
    Field {
        table: "policy",
        name: "config",
        systemd: "",
        example: "false",
        read: |node, draft| put(&mut draft.coordinator.policy.config, value::flag(node).map(Some)),
    },
    Field {
        table: "",
        name: "groups",
        systemd: "",
        example: "{ night = { slots = 2 } }",
        read: |node, draft| {
            draft.coordinator.groups = groups::read(node)?;
            Ok(())
        },
    },
];
