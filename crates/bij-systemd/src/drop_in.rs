//! The drop-in that makes a definition a unit: `10-experiment.conf`.
//!
//! The name sorts before `50-*.conf` of `systemctl set-property` and before an operator's
//! `override.conf`, so that both stay stronger than the definition. What the definition leaves
//! open is left to the template. Nothing of the experiment's environment is in it: whatever is in a
//! unit everybody may read, and its hooks, which run as root, get.
//!
//! A change of what is rendered raises [`RENDERING`](bij_core::definition::RENDERING), which is
//! part of every stamp: so units are rendered anew after an upgrade.

mod command;
mod notify;
mod own_user;
mod quote;
mod sandbox;

pub(crate) use command::LAUNCHER;

use std::fmt::Write;

use bij_core::definition::{ExperimentSpec, OomPolicy};
use bij_core::{Bytes, Layout, Limit, MemoryLimit, Percent};

use crate::{RuntimeScope, SystemdVersion};
use own_user::own_user;
use quote::{assignment, line, path, path_word};

pub use notify::MANAGER_NOTIFY_SOCKET;

/// Everything that a drop-in is made of.
#[derive(Clone, Copy, Debug)]
pub struct DropIn<'a> {
    /// The definition.
    pub spec: &'a ExperimentSpec,
    /// The file it was read from, for people. It is no `SourcePath=`: systemd would say to reload when the
    /// file has changed, and a reload changes nothing.
    pub source: &'a str,
    /// The stamp of everything it was made from, for `begin` to compare.
    pub stamp: &'a str,
    /// Where things lie.
    pub layout: &'a Layout,
    /// For which manager.
    pub scope: RuntimeScope,
    /// What a unit needs to use the GPU of this machine: the device policy, and the groups that own the
    /// nodes. Empty if it has none that is known.
    pub gpu: &'a [(&'a str, String)],
    /// Which systemd is to read it.
    pub systemd: SystemdVersion,
}

impl DropIn<'_> {
    /// The text of the drop-in.
    pub fn render(&self) -> String {
        let mut unit = UnitFile::default();
        unit.comment(&format!("Rendered by bij-hook from {}", one_line(self.source)));
        unit.comment("and written anew by the next start after a change.");
        unit.comment(
            "Change the definition, or use `systemctl edit` and `systemctl set-property`.",
        );
        self.unit_section(&mut unit);
        unit.section("Service");
        unit.set("ExecStart", "");
        let environment = if self.is_dynamic() {
            self.layout.mounted_environment()
        } else {
            self.layout.environment(&self.spec.id)
        };
        unit.set("ExecStart", &command::exec_start(&environment, &self.spec.command));
        // The hooks run as root with this environment: no variable of the experiment may be in it.
        // Those are in the file that the launcher reads.
        unit.set("Environment", &assignment("BIJ_STAMP", self.stamp));
        self.identity(&mut unit);
        self.limits(&mut unit);
        self.life(&mut unit);
        sandbox::render(self, &mut unit);
        notify::render(self, &mut unit);
        unit.text
    }

    fn unit_section(&self, unit: &mut UnitFile) {
        let restart = &self.spec.restart;
        unit.section("Unit");
        if let Some(description) = &self.spec.description {
            unit.set("Description", &line(description));
        }
        unit.set("StartLimitIntervalSec", &restart.interval.to_string());
        unit.set("StartLimitBurst", &restart.burst.to_string());
    }

    /// Whether systemd allocates a user for each start.
    fn is_dynamic(&self) -> bool {
        self.scope == RuntimeScope::System && self.spec.user.is_none()
    }

    fn identity(&self, unit: &mut UnitFile) {
        match (self.scope, &self.spec.user) {
            (RuntimeScope::System, Some(user)) => {
                unit.set("DynamicUser", "no");
                unit.set("User", &line(user));
            }
            (RuntimeScope::System, None) => {
                unit.set("DynamicUser", "yes");
                // The user's number is not known before its first process runs, so its environment is not
                // given to the user but to the mount namespace (systemd.exec(5), `BindReadOnlyPaths=`). The
                // dash is for the hooks, which have this mount too: `start` runs before the file is there.
                let sealed = self.layout.sealed_environment(&self.spec.id);
                let mounted = self.layout.mounted_environment();
                let paths = format!("-{}:{}", sealed.display(), mounted.display());
                unit.set("BindReadOnlyPaths", &path(&paths));
                unit.set("User", &own_user(&self.spec.id));
            }
            (RuntimeScope::User, _) => {}
        }
        if !self.is_dynamic() || self.systemd.makes_ways_for_its_users() {
            unit.set("UMask", "0077");
        }
        // The hooks run in this directory as well: were it an error that it is missing, systemd
        // would take that for a "no" and skip the start without a word. `bij-hook start` looks instead.
        match (&self.spec.directory, self.scope) {
            (Some(directory), _) => {
                unit.set("WorkingDirectory", &format!("-{}", path(directory.as_str())));
            }
            (None, RuntimeScope::User) => {
                let state = self.layout.experiment_state(&self.spec.id);
                unit.set("WorkingDirectory", &format!("-{}", path(&state.to_string_lossy())));
            }
            (None, RuntimeScope::System) => {}
        }
    }

    fn limits(&self, unit: &mut UnitFile) {
        let limits = &self.spec.limits;
        unit.set_if("MemoryMax", limits.memory.map(memory_limit));
        unit.set_if("MemorySwapMax", limits.swap.map(memory_limit));
        // An empty value is systemd's way to say that there is no quota.
        let quota = limits.cpu.map(|limit| match limit {
            Limit::Max => String::new(),
            Limit::At(quota) => percent(quota.percent()),
        });
        unit.set_if("CPUQuota", quota);
        if let Some(cpus) = &limits.cpus {
            // The first holds on cgroup v2 only, the second can be widened by the process itself.
            unit.set("AllowedCPUs", &cpus.to_string());
            unit.set("CPUAffinity", "");
            unit.set("CPUAffinity", &cpus.to_string());
        }
        unit.set_if("TasksMax", limits.tasks.map(|limit| limit.to_string()));
        unit.set_if("RuntimeMaxSec", limits.time.map(|limit| limit.to_string()));
        unit.set_if("LimitNOFILE", limits.open_files.map(|limit| limit.to_string()));
        let locked = limits.locked_memory.map(MemoryLimit::Absolute);
        unit.set_if("LimitMEMLOCK", locked.map(memory_limit));
        unit.set(
            "OOMPolicy",
            match limits.oom_policy {
                OomPolicy::Continue => "continue",
                OomPolicy::Stop => "stop",
                OomPolicy::Kill => "kill",
            },
        );
    }

    fn life(&self, unit: &mut UnitFile) {
        let ExperimentSpec { health, stop, restart, .. } = self.spec;
        // The template's own type is another, so that a start that is refused fails at once.
        let until_executed = if self.systemd.survives_failed_exec() { "exec" } else { "simple" };
        unit.set("Type", if health.notify { "notify" } else { until_executed });
        unit.set_if("WatchdogSec", health.watchdog.map(|span| span.to_string()));
        unit.set_if("TimeoutStartSec", health.start_timeout.map(|limit| limit.to_string()));
        unit.set("KillSignal", &line(&stop.signal));
        unit.set("TimeoutStopSec", &stop.grace.to_string());
        unit.set("Restart", "on-failure");
        unit.set("RestartSec", &restart.delay.to_string());
    }
}

/// A unit file in the making.
#[derive(Default)]
struct UnitFile {
    text: String,
}

impl UnitFile {
    fn comment(&mut self, text: &str) {
        self.push(format_args!("# {text}"));
    }

    fn section(&mut self, name: &str) {
        self.push(format_args!("\n[{name}]"));
    }

    /// `value` is quoted as its directive wants it.
    fn set(&mut self, directive: &str, value: &str) {
        self.push(format_args!("{directive}={value}"));
    }

    fn set_if(&mut self, directive: &str, value: Option<String>) {
        if let Some(value) = value {
            self.set(directive, &value);
        }
    }

    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to a String does not fail");
    }
}

/// The text without what could end the line of a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn memory_limit(limit: MemoryLimit) -> String {
    match limit {
        MemoryLimit::Absolute(Limit::Max) => "infinity".to_owned(),
        MemoryLimit::Absolute(Limit::At(bytes)) => exact(bytes),
        MemoryLimit::Share(share) => percent(share),
    }
}

/// A size without rounding, in the largest unit that divides it: `8G`, `1536M`, `1000`.
fn exact(bytes: Bytes) -> String {
    let (mut value, mut suffix) = (bytes.get(), "");
    for larger in ["K", "M", "G", "T", "P", "E"] {
        if value == 0 || value % 1024 != 0 {
            break;
        }
        (value, suffix) = (value / 1024, larger);
    }
    format!("{value}{suffix}")
}

/// A share with at most one decimal, rounded down: systemd before 247 takes no more, and a limit
/// that it does not take is no limit.
fn percent(share: Percent) -> String {
    match share.permyriad() / 10 {
        0 => "0.1%".to_owned(),
        tenths if tenths % 10 == 0 => format!("{}%", tenths / 10),
        tenths => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests;
