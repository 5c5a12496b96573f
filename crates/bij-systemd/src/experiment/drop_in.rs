//! The drop-in that a definition is rendered into: `10-experiment.conf`.
//!
//! The name sorts before `50-*.conf` of `systemctl set-property` and before an operator's
//! `override.conf`, so that both override the definition. Settings that the definition omits come from the
//! template. The experiment's environment variables are not in the drop-in, because every user can read a unit,
//! and its hooks, which run as root, would get them.
//!
//! A change of the rendering must increment [`RENDERING`](bij_core::spec::RENDERING), which is
//! part of every stamp, so that units are rendered anew after an upgrade.

mod quote;
mod sandbox;

use std::fmt::Write;
use std::hash::Hasher as _;
use std::path::Path;

use bij_core::spec::{ExperimentSpec, OomPolicy};
use bij_core::{Bytes, ExperimentId, Layout, Limit, MemoryLimit, Percent};
use fnv::FnvHasher;

use crate::RuntimeScope;
use quote::{assignment, line, path, path_word, word};

pub use sandbox::MANAGER_NOTIFY_SOCKET;

/// The sources of a drop-in.
#[derive(Clone, Copy, Debug)]
pub struct DropIn<'a> {
    /// The parsed definition of the experiment.
    pub spec: &'a ExperimentSpec,
    /// The definition's file, for a comment. It is not set as `SourcePath=`, because systemd would then ask for
    /// a reload after a change of the file, and a reload does not render.
    pub source: &'a str,
    /// The stamp of all sources, which the start hook compares.
    pub stamp: &'a str,
    /// The paths of bij's files on this machine.
    pub layout: &'a Layout,
    /// The manager that will read the drop-in.
    pub scope: RuntimeScope,
    /// The settings with which a unit can use this machine's GPU: the device policy, and the groups that own
    /// the device nodes. Empty if there is no known GPU.
    pub gpu: &'a [(&'a str, String)],
    /// The version of the systemd that will read the drop-in.
    pub systemd: SystemdVersion,
}

impl DropIn<'_> {
    /// Renders the text of the drop-in.
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
        unit.set("ExecStart", &exec_start(&environment, &self.spec.command));
        // The hooks run as root with this environment, so it must not contain the experiment's variables. The
        // launcher reads these from a file.
        unit.set("Environment", &assignment("BIJ_STAMP", self.stamp));
        self.identity(&mut unit);
        self.limits(&mut unit);
        self.lifecycle(&mut unit);
        sandbox::render(self, &mut unit);
        sandbox::route_messages(self, &mut unit);
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

    /// Returns `true` if systemd allocates a user for each start.
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
                // The UID is unknown before the first process runs, so the environment file cannot be owned by
                // the user and is mounted into the namespace instead (systemd.exec(5), `BindReadOnlyPaths=`). The
                // dash is for the hooks, which get this mount too: `start` runs before the file exists.
                let sealed = self.layout.sealed_environment(&self.spec.id);
                let mounted = self.layout.mounted_environment();
                let paths = format!("-{}:{}", sealed.display(), mounted.display());
                unit.set("BindReadOnlyPaths", &path(&paths));
                unit.set("User", &dynamic_user(&self.spec.id));
            }
            (RuntimeScope::User, _) => {}
        }
        if !self.is_dynamic() || self.systemd.can_umask_dynamic_users() {
            unit.set("UMask", "0077");
        }
        // The hooks run in this directory too. Without the dash a missing directory would fail the condition,
        // and systemd would skip the start silently. `bij-hook start` checks the directory instead.
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
        // An empty value means no quota.
        let quota = limits.cpu.map(|limit| match limit {
            Limit::Max => String::new(),
            Limit::At(quota) => format_percent(quota.percent()),
        });
        unit.set_if("CPUQuota", quota);
        if let Some(cpus) = &limits.cpus {
            // `AllowedCPUs` works only with cgroup v2; `CPUAffinity` can be widened by the process itself.
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

    fn lifecycle(&self, unit: &mut UnitFile) {
        let ExperimentSpec { health, stop, restart, .. } = self.spec;
        // The template has another type, so that a refused start fails at once.
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

/// A unit file under construction.
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

    /// Appends a setting; `value` must be quoted as its directive requires.
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

/// Replaces control characters, which could end the line of a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn memory_limit(limit: MemoryLimit) -> String {
    match limit {
        MemoryLimit::Absolute(Limit::Max) => "infinity".to_owned(),
        MemoryLimit::Absolute(Limit::At(bytes)) => format_bytes(bytes),
        MemoryLimit::Share(share) => format_percent(share),
    }
}

/// Formats a size without rounding, in the largest unit that divides it: `8G`, `1536M`, `1000`.
fn format_bytes(bytes: Bytes) -> String {
    let (mut value, mut suffix) = (bytes.get(), "");
    for larger in ["K", "M", "G", "T", "P", "E"] {
        if value == 0 || value % 1024 != 0 {
            break;
        }
        (value, suffix) = (value / 1024, larger);
    }
    format!("{value}{suffix}")
}

/// Formats a share with at most one decimal, rounded down: systemd before 247 accepts no more, and ignores a
/// limit that it does not accept.
fn format_percent(share: Percent) -> String {
    match share.permyriad() / 10 {
        0 => "0.1%".to_owned(),
        tenths if tenths % 10 == 0 => format!("{}%", tenths / 10),
        tenths => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

/// The version of the systemd that will read a drop-in, such as `252`.
///
/// systemd ignores directives that it does not know, so these need no version check. The checks here are for
/// directives that an older systemd accepts and then handles wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemdVersion(pub u32);

impl SystemdVersion {
    /// The oldest supported version: that of JetPack 5, which is Ubuntu 20.04's.
    pub const OLDEST: Self = Self(245);

    /// Returns `true` if the manager survives a process of `Type=exec` that dies before its program is executed.
    ///
    /// Before 249 the manager then loses an event source if `ExecStopPost=` runs next, spins on it and
    /// stops answering (seen on 247; <https://github.com/systemd/systemd/pull/20030>).
    pub(crate) const fn survives_failed_exec(self) -> bool {
        self.0 >= 249
    }

    /// Returns `true` if a unit with `DynamicUser=` may have `UMask=0077`.
    ///
    /// 247 creates the parents of the state directory in the unit's mount namespace with that umask, and the
    /// unit's process cannot enter them (200/CHDIR). 252 does not; 250 was not tried.
    pub(crate) const fn can_umask_dynamic_users(self) -> bool {
        self.0 >= 251
    }
}

/// The launcher, which adds the experiment's environment to the unit's and executes the command.
pub(crate) const LAUNCHER: &str = "/usr/libexec/brain-in-jar/bij-exec";

/// Returns the value of `ExecStart=` that passes exactly `command` to the process, with the variables of the
/// file `environment`.
///
/// The prefix `:` (systemd 244) switches off `$` expansion. Every argument is quoted, so that a lone `;` and an
/// empty text are arguments (systemd.service(5), "Command lines").
fn exec_start(environment: &Path, command: &[String]) -> String {
    let environment = environment.to_string_lossy();
    let words =
        [&environment, "--"].into_iter().chain(command.iter().map(String::as_str)).map(word);
    std::iter::once(format!(":{LAUNCHER}")).chain(words).collect::<Vec<_>>().join(" ")
}

/// Maximum length of a user name (`UT_NAMESIZE`, less the NUL).
const LONGEST: usize = 31;

/// Returns the name of the dynamic user that an experiment without a `user` runs as.
///
/// By default systemd names a dynamic user by the part before the `@`, so all instances of a template would
/// share one user, and could read each other's state and kill each other.
///
/// The name contains the id if it is a valid user name. Otherwise it is a hash with another prefix, so that it
/// cannot be the name of another experiment's user.
fn dynamic_user(id: &ExperimentId) -> String {
    let name = format!("bij-{id}");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.len() <= LONGEST && name.bytes().all(plain) {
        return name;
    }
    let mut hasher = FnvHasher::default();
    hasher.write(id.as_str().as_bytes());
    format!("bij_{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests;
