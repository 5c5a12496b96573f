//! The keys of a definition: one table, from which files are parsed and written, `bij show` prints settings, and the
//! schema and the reference of the manual are made.

use bij_core::spec::{After, ExperimentSpec};
use serde_json::Value as Json;

use crate::document::ValueNode;
use crate::fault::{ParseFault, ParseFaults};
use crate::field::Field;
use crate::kind::{self, Schema};

/// One key of a definition.
pub(crate) struct SpecKey {
    pub(crate) field: Field<ExperimentSpec>,
    /// Whether extras may set it for one run.
    pub(crate) is_extra: bool,
    /// Returns its value for people and programs; null if there is none.
    pub(crate) show: fn(&ExperimentSpec) -> Json,
    /// Returns its value as it is written into a file.
    pub(crate) write: fn(&ExperimentSpec) -> Json,
    /// Copies its value from one definition to another.
    pub(crate) copy: fn(&ExperimentSpec, &mut ExperimentSpec),
    pub(crate) schema: Schema,
    /// Its meaning, in one line.
    pub(crate) meaning: &'static str,
}

impl SpecKey {
    /// Lets extras set the key for one run.
    const fn extra(mut self) -> Self {
        self.is_extra = true;
        self
    }
}

/// Creates the key of a field of [`ExperimentSpec`], with the kind of its value, the name of systemd's own setting,
/// an example and the meaning. A key that is not stored under its own name, or whose value is checked against other
/// settings, says so.
macro_rules! key {
    ($name:ident, $($rest:tt)*) => { key!(@ "", stringify!($name), [$name], $($rest)*) };
    ($table:ident.$name:ident in $field:ident, $($rest:tt)*) => {
        key!(@ stringify!($table), stringify!($name), [$field], $($rest)*)
    };
    ($table:ident.$name:ident, $($rest:tt)*) => {
        key!(@ stringify!($table), stringify!($name), [$table.$name], $($rest)*)
    };
    (@ $table:expr, $name:expr, [$($field:ident).+], $kind:expr, $systemd:expr, $example:expr, $meaning:expr $(, $check:expr)? $(,)?) => {
        SpecKey {
            field: Field {
                table: $table,
                name: $name,
                systemd: $systemd,
                example: $example,
                read: |node, spec| {
                    spec.$($field).+ = ($kind.read)(node)?;
                    $($check(node, spec)?;)?
                    Ok(())
                },
            },
            is_extra: false,
            show: |spec| ($kind.show)(&spec.$($field).+),
            write: |spec| ($kind.write)(&spec.$($field).+),
            copy: |from, to| to.$($field).+.clone_from(&from.$($field).+),
            schema: $kind.schema,
            meaning: $meaning,
        }
    };
}

/// Every key, in the order of the manual.
#[rustfmt::skip]
pub(crate) const KEYS: &[SpecKey] = &[
    key!(description, kind::LINE, "Description", r#""Amnesiac, total""#,
        "A description for people, in one line."),
    key!(command, kind::COMMAND, "ExecStart", r#"["/usr/bin/python3", "run.py"]"#,
        "Program and arguments. The program is an absolute path, or a name that is searched for in the \
         experiment's `PATH`. `{config}` is replaced by `config`; `{{config}}` is the literal text."),
    key!(config, kind::VARIABLE, "", r#""/opt/brain/configs/amnesiac_001.json""#,
        "A path or text that bij passes to the command uninterpreted, also as $BIJ_CONFIG.").extra(),
    key!(directory, kind::DIRECTORY, "WorkingDirectory", r#""/opt/brain""#,
        "The working directory; the experiment's state directory if absent."),
    key!(user, kind::USER, "User", r#""brain""#,
        "The user to run as, by name or number; a dynamic user, bij-ID, if absent."),
    key!(environment, kind::ENVIRONMENT, "Environment", r#"{ HF_HOME = "/var/cache/hf" }"#,
        "Variables to add to the environment. Variables that systemd or bij sets are not allowed.").extra(),
    key!(writable, kind::PATHS, "ReadWritePaths", r#"["/opt/brain/logs"]"#,
        "Paths to write to, beside the experiment's state."),

    key!(limits.memory, kind::MEMORY, "MemoryMax", r#""8G""#,
        "MemoryMax=, and the claim that admission counts.").extra(),
    key!(limits.swap, kind::SWAP, "MemorySwapMax", r#""0""#,
        "MemorySwapMax=; 0 is none.").extra(),
    key!(limits.cpu, kind::CPU_QUOTA, "CPUQuota", r#""100%""#,
        "CPUQuota=: 100% is one whole processor.").extra(),
    key!(limits.cpus, kind::CPU_SET, "AllowedCPUs", r#""0-7""#,
        "The processors to run on: AllowedCPUs= and CPUAffinity=.").extra(),
    key!(limits.tasks, kind::TASKS, "TasksMax", "512",
        "TasksMax=: processes and threads.").extra(),
    key!(limits.time, kind::SPAN_LIMIT, "RuntimeMaxSec", r#""12h""#,
        "RuntimeMaxSec=: the longest duration of an attempt.").extra(),
    key!(limits.open_files, kind::OPEN_FILES, "LimitNOFILE", "65536",
        "LimitNOFILE=: file descriptors of one process; 65536 if absent."),
    key!(limits.locked_memory, kind::LOCKED_MEMORY, "LimitMEMLOCK", r#""1G""#,
        "LimitMEMLOCK=: memory that one process may lock (`ulimit -l`); 0 is none."),
    key!(limits.oom_policy, kind::OOM_POLICY, "OOMPolicy", r#""stop""#,
        "OOMPolicy=: what happens to the other processes after an OOM kill."),

    key!(gpu.access, kind::FLAG, "DeviceAllow", "true",
        "Whether the experiment may use the GPU: its device nodes are found at each start."),
    key!(gpu.exclusive, kind::FLAG, "", "false",
        "Whether no other experiment may use the GPU at the same time."),
    key!(gpu.memory, kind::MEMORY, "", r#""6G""#,
        "The GPU memory that the experiment claims; guarded if the GPU shares the machine's memory."),

    key!(queue.priority, kind::PRIORITY, "", "0",
        "The priority; runs with a higher priority start first."),
    key!(queue.group, kind::GROUP, "", r#""default""#,
        "The group whose slots the experiment uses."),
    key!(queue.after, kind::AFTER, "After", r#"["calibrate"]"#,
        "The experiments that must have succeeded before: all of a list, or `{ any = [...] }` for one of them.",
        not_after_itself),

    key!(restart.delay, kind::SPAN_OR_ZERO, "RestartSec", r#""5s""#,
        "RestartSec=: the delay before a restart."),
    key!(restart.burst, kind::BURST, "StartLimitBurst", "3",
        "StartLimitBurst=: the most starts within the interval, the first start included."),
    key!(restart.interval, kind::SPAN_LIMIT_OR_ZERO, "StartLimitIntervalSec", r#""5min""#,
        "StartLimitIntervalSec=; 0 for no limit."),
    key!(restart.on_reboot, kind::ON_REBOOT, "", r#""resume""#,
        "What a reboot does to an unfinished run."),
    key!(restart.rerun_at_boot, kind::FLAG, "", "false",
        "Whether an enabled experiment that has succeeded runs again at boot."),

    key!(stop.signal, kind::SIGNAL, "KillSignal", r#""SIGTERM""#,
        "KillSignal=, by name with or without SIG, or by number."),
    key!(stop.grace, kind::SPAN, "TimeoutStopSec", r#""90s""#,
        "TimeoutStopSec=: the time from the request to SIGKILL."),

    key!(health.notify, kind::FLAG, "Type", "false",
        "Type=notify: the experiment reports readiness by READY=1."),
    key!(health.watchdog, kind::OPTIONAL_SPAN, "WatchdogSec", r#""2min""#,
        "WatchdogSec=: the longest time between messages WATCHDOG=1."),
    key!(health.stall_after, kind::OPTIONAL_SPAN, "", r#""10min""#,
        "The time without a new step in $BIJ_PROGRESS after which the experiment counts as stalled."),
    key!(health.start_timeout, kind::SPAN_LIMIT, "TimeoutStartSec", r#""5min""#,
        "TimeoutStartSec=: the time to become ready."),

    key!(thermal.max_celsius, kind::CELSIUS, "", "80",
        "The temperature above which the experiment does not start and is throttled, whatever the machine's own thresholds."),
    key!(thermal.freeze, kind::OPTIONAL_FLAG, "", "true",
        "Whether the experiment may be frozen before it is stopped for heat; by default only without a watchdog."),

    key!(power.mode, kind::POWER_MODE, "", r#""MAXN""#,
        "The power mode that the experiment needs, by name or number of the board's nvpmodel list."),
    key!(power.clocks, kind::CLOCKS, "", r#""max""#,
        "`max`: while the experiment runs, all clocks of the board are fixed at the maximum of the power mode, as by \
         jetson_clocks. `dynamic`: they follow the load."),

    key!(sandbox.profile in sandbox, kind::PROFILE, "", r#""default""#,
        "How strictly the experiment is sandboxed: hardened, hardened further, or by the rights of its user only."),

    key!(policy.environment, kind::PATTERNS, "", r#"["SEED", "WANDB_*"]"#,
        "The variables that members may set: names, or prefixes of names followed by *."),
    key!(policy.config, kind::OPTIONAL_FLAG, "", "false",
        "Whether members may pass another config to the command."),
];

/// The meaning of tables, where their keys do not say it.
pub(crate) const TABLES: &[(&str, &str)] = &[
    ("limits", "Limits that systemd enforces, with systemd's meanings and spellings."),
    ("restart", "The settings of Restart=on-failure."),
    (
        "policy",
        "The extras that members of group bij may add to a run; absent settings are those of coordinator.toml.",
    ),
];

/// Returns the fields of all keys, for [`read_document`](crate::field::read_document).
pub(crate) fn fields() -> Vec<&'static Field<ExperimentSpec>> {
    KEYS.iter().map(|key| &key.field).collect()
}

/// Returns the settings of a definition in the order of the manual, also those at their default: keys with their
/// tables, such as `limits.memory`, and values, which are null for systemd's default or none.
pub fn settings_by_key(spec: &ExperimentSpec) -> Vec<(String, Json)> {
    KEYS.iter().map(|key| (key.field.path(), (key.show)(spec))).collect()
}

/// Checks that an experiment does not wait for itself, which would never end.
fn not_after_itself(node: &ValueNode, spec: &ExperimentSpec) -> Result<(), ParseFaults> {
    let Some(After::All(ids) | After::Any(ids)) = &spec.queue.after else { return Ok(()) };
    if ids.contains(&spec.id) {
        return Err(ParseFault::new(node.at, "an experiment cannot wait for itself").into());
    }
    Ok(())
}
