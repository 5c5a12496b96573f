//! Rendering of definitions and extras as TOML.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use bij_core::spec::{
    AbsolutePath, After, ExperimentSpec, ExtrasPolicy, GpuSpec, HealthSpec, LimitsSpec,
    PowerModeRef, PowerSpec, QueueSpec, RestartSpec, StopSpec, ThermalSpec,
};
use bij_core::{Bytes, Limit, MemoryLimit};

use crate::fields::{CLOCKS, ON_REBOOT, OOM_POLICIES, PROFILES};
use crate::overlay::{LimitOverlay, SpecOverlay};
use crate::template;

/// Renders a definition as a file that parses back the same. Defaults are left out.
pub fn to_toml(spec: &ExperimentSpec) -> String {
    let ExperimentSpec {
        id: _, // given by the file name
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
    let mut toml = Toml::default();
    toml.text("description", description.as_deref());
    toml.list("command", command.iter().map(|argument| template::escape(argument)));
    toml.text("config", config.as_deref());
    toml.text("directory", directory.as_ref().map(AbsolutePath::as_str));
    toml.text("user", user.as_deref());
    if !writable.is_empty() {
        toml.list("writable", writable.iter().map(|path| path.as_str().to_owned()));
    }
    toml.environment(environment);
    toml.limits(limits);
    toml.gpu(gpu);
    toml.queue(queue);
    toml.restart(restart);
    toml.stop(stop);
    toml.health(health);
    let ThermalSpec { max_celsius, freeze } = thermal;
    toml.table("thermal", |toml| {
        toml.bare("max_celsius", *max_celsius);
        toml.bare("freeze", *freeze);
    });
    let PowerSpec { mode, clocks } = power;
    toml.table("power", |toml| {
        match mode {
            None => {}
            Some(PowerModeRef::Number(number)) => toml.bare("mode", Some(number)),
            Some(PowerModeRef::Name(name)) => toml.text("mode", Some(name)),
        }
        toml.word("clocks", clocks, &CLOCKS);
    });
    toml.table("sandbox", |toml| toml.word("profile", sandbox, &PROFILES));
    let ExtrasPolicy { environment, config } = policy;
    toml.table("policy", |toml| {
        if let Some(patterns) = environment {
            toml.list("environment", patterns.iter().map(ToString::to_string));
        }
        toml.bare("config", *config);
    });
    toml.0
}

impl SpecOverlay {
    /// Renders the extras as a file that parses back the same.
    pub fn to_toml(&self) -> String {
        let Self { config, environment, limits } = self;
        let LimitOverlay { memory, swap, cpu, cpus, tasks, time } = limits;
        let mut toml = Toml::default();
        toml.text("config", config.as_deref());
        toml.environment(environment);
        toml.table("limits", |toml| {
            toml.quoted("memory", memory.map(exact));
            toml.quoted("swap", swap.map(exact));
            toml.quoted("cpu", *cpu);
            toml.quoted("cpus", cpus.as_ref());
            toml.quoted("tasks", *tasks);
            toml.quoted("time", *time);
        });
        toml.0
    }
}

/// Renders a memory limit to the byte; its `Display` rounds, as systemctl's output does.
fn exact(limit: MemoryLimit) -> String {
    let MemoryLimit::Absolute(Limit::At(bytes)) = limit else { return limit.to_string() };
    exact_bytes(bytes)
}

fn exact_bytes(bytes: Bytes) -> String {
    const UNITS: [(&str, u32); 6] =
        [("E", 60), ("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let count = bytes.get();
    if count == 0 {
        return "0".to_owned();
    }
    let whole = UNITS.iter().find(|(_, shift)| count.trailing_zeros() >= *shift);
    match whole {
        Some((unit, shift)) => format!("{}{unit}", count >> shift),
        None => format!("{count}B"),
    }
}

/// A writer of a TOML document.
#[derive(Default)]
struct Toml(String);

impl Toml {
    /// Writes a table unless it is empty.
    fn table(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        if !inner.0.is_empty() {
            let _ = write!(self.0, "\n[{name}]\n{}", inner.0);
        }
    }

    fn line(&mut self, key: &str, value: impl fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn bare(&mut self, key: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.line(key, value);
        }
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        self.bare(key, value.map(basic_string));
    }

    fn quoted(&mut self, key: &str, value: Option<impl fmt::Display>) {
        self.bare(key, value.map(|value| basic_string(&value.to_string())));
    }

    fn flag(&mut self, key: &str, flag: bool) {
        self.bare(key, flag.then_some(true));
    }

    fn word<T: PartialEq + Default>(&mut self, key: &str, value: &T, words: &[(&str, T)]) {
        if *value != T::default() {
            let word = words.iter().find(|(_, known)| known == value).map(|(word, _)| *word);
            self.text(key, word);
        }
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = String>) {
        let items: Vec<_> = items.map(|item| basic_string(&item)).collect();
        self.line(key, format_args!("[{}]", items.join(", ")));
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>) {
        self.table("environment", |toml| {
            for (name, value) in environment {
                toml.text(name, Some(value));
            }
        });
    }

    fn limits(&mut self, limits: &LimitsSpec) {
        let LimitsSpec {
            memory,
            swap,
            cpu,
            cpus,
            tasks,
            time,
            open_files,
            locked_memory,
            oom_policy,
        } = limits;
        self.table("limits", |toml| {
            toml.quoted("memory", memory.map(exact));
            toml.quoted("swap", swap.map(exact));
            toml.quoted("cpu", *cpu);
            toml.quoted("cpus", cpus.as_ref());
            toml.quoted("tasks", *tasks);
            toml.quoted("time", *time);
            toml.quoted("open_files", *open_files);
            toml.quoted(
                "locked_memory",
                locked_memory.map(|limit| exact(MemoryLimit::Absolute(limit))),
            );
            toml.word("oom_policy", oom_policy, &OOM_POLICIES);
        });
    }

    fn gpu(&mut self, gpu: &GpuSpec) {
        let GpuSpec { access, exclusive, memory } = gpu;
        self.table("gpu", |toml| {
            toml.flag("access", *access);
            toml.flag("exclusive", *exclusive);
            toml.quoted("memory", memory.map(exact));
        });
    }

    fn queue(&mut self, queue: &QueueSpec) {
        let QueueSpec { priority, group, after } = queue;
        self.table("queue", |toml| {
            toml.bare("priority", (*priority != 0).then_some(priority));
            toml.text("group", group.as_deref());
            let quote = |ids: &[bij_core::ExperimentId]| {
                let ids: Vec<_> = ids.iter().map(|id| basic_string(id.as_str())).collect();
                ids.join(", ")
            };
            match after {
                None => {}
                Some(After::All(ids)) => toml.line("after", format_args!("[{}]", quote(ids))),
                Some(After::Any(ids)) => {
                    toml.line("after", format_args!("{{ any = [{}] }}", quote(ids)));
                }
            }
        });
    }

    fn restart(&mut self, restart: &RestartSpec) {
        let RestartSpec { delay, burst, interval, on_reboot, rerun_at_boot } = restart;
        let usual = RestartSpec::default();
        self.table("restart", |toml| {
            toml.quoted("delay", (*delay != usual.delay).then_some(delay));
            toml.bare("burst", (*burst != usual.burst).then_some(burst));
            toml.quoted("interval", (*interval != usual.interval).then_some(interval));
            toml.word("on_reboot", on_reboot, &ON_REBOOT);
            toml.flag("rerun_at_boot", *rerun_at_boot);
        });
    }

    fn stop(&mut self, stop: &StopSpec) {
        let StopSpec { signal, grace } = stop;
        let usual = StopSpec::default();
        self.table("stop", |toml| {
            toml.text("signal", (*signal != usual.signal).then_some(signal));
            toml.quoted("grace", (*grace != usual.grace).then_some(grace));
        });
    }

    fn health(&mut self, health: &HealthSpec) {
        let HealthSpec { notify, watchdog, stall_after, start_timeout } = health;
        self.table("health", |toml| {
            toml.flag("notify", *notify);
            toml.quoted("watchdog", *watchdog);
            toml.quoted("stall_after", *stall_after);
            toml.quoted("start_timeout", *start_timeout);
        });
    }
}

/// Renders a TOML basic string, with quotes, backslashes and control characters escaped.
fn basic_string(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => string.extend(['\\', c]),
            '\n' => string.push_str("\\n"),
            '\t' => string.push_str("\\t"),
            '\r' => string.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(string, "\\u{:04X}", u32::from(c));
            }
            c => string.push(c),
        }
    }
    string.push('"');
    string
}
