//! Facts of the machine that drop-ins depend on: its users, its version of systemd, and its GPU.
//!
//! GPU drivers load during the boot, after the first rendering of drop-ins, and their device numbers change with each
//! boot. So the settings of a unit with `[gpu] access` are part of its stamp: a start that finds other settings renders
//! the unit again.

use std::fs;
use std::hash::Hasher as _;
use std::path::Path;
use std::sync::OnceLock;

use bij_core::port::FoundDefinition;
use bij_core::spec::ExperimentSpec;
use bij_host::HostContext;
use bij_jetson::Hardware;
use bij_systemd::experiment::SystemdVersion;
use fnv::FnvHasher;

/// Facts of one machine, each read at its first use.
#[derive(Debug, Default)]
pub(super) struct RenderFacts {
    users: OnceLock<String>,
    gpu: OnceLock<GpuSettings>,
    systemd: OnceLock<SystemdVersion>,
}

impl RenderFacts {
    /// Returns the stamp of a unit, which depends on its definition, on the GPU if the unit may use it, and on whether
    /// its user is known.
    pub(super) fn stamp(&self, host: &HostContext, found: &FoundDefinition) -> String {
        let mut stamp = found.stamp.clone();
        if may_use_gpu(host, &found.spec) {
            stamp.push_str(&self.gpu(host).stamp());
        }
        if self.lacks_user(host, &found.spec) {
            stamp.push_str(NO_USER);
        }
        stamp
    }

    pub(super) fn gpu(&self, host: &HostContext) -> &GpuSettings {
        self.gpu.get_or_init(|| GpuSettings::find(host))
    }

    pub(super) fn systemd(&self, host: &HostContext) -> SystemdVersion {
        *self.systemd.get_or_init(|| systemd_version(host.root()))
    }

    /// Returns whether the user of a definition is missing from this machine's own files. Directory services are not
    /// asked, because they are not up yet at boot.
    pub(super) fn lacks_user(&self, host: &HostContext, spec: &ExperimentSpec) -> bool {
        let Some(user) = &spec.user else { return false };
        let users = || fs::read_to_string(host.root().join("etc/passwd")).unwrap_or_default();
        user.parse::<u32>().is_err() && !has_entry(self.users.get_or_init(users), user)
    }
}

/// Marks an unknown user in a stamp; hexadecimal, as every stamp is.
const NO_USER: &str = "0";

/// Returns the version of systemd, from the file name of its library. The library lies in `usr/lib/systemd`, or for some
/// versions on Debian and Ubuntu in a directory of the architecture.
fn systemd_version(root: &Path) -> SystemdVersion {
    let usual = ["usr/lib", "usr/lib64", "lib"].map(|name| root.join(name));
    let of_architecture = fs::read_dir(&usual[0]).into_iter().flatten().flatten();
    let of_architecture = of_architecture
        .filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"))
        .map(|entry| entry.path());
    let directories = usual.iter().cloned().chain(of_architecture);
    let entries = directories.filter_map(|path| fs::read_dir(path.join("systemd")).ok());
    let names = entries.flatten().flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| {
        let version = name.to_str()?.strip_prefix("libsystemd-shared-")?;
        version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    numbers.max().map_or(SystemdVersion::OLDEST, SystemdVersion)
}

/// Returns whether a file such as passwd(5) has a line for this name.
fn has_entry(file: &str, name: &str) -> bool {
    file.lines().any(|line| line.split(':').next() == Some(name))
}

/// The unit settings that give access to this machine's GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuSettings(Vec<(&'static str, String)>);

impl GpuSettings {
    /// Finds the GPU of a machine.
    pub(crate) fn find(host: &HostContext) -> Self {
        // Without /proc no GPU can be found; an experiment that needs one then fails by itself.
        let machine = Hardware::open(host.root()).ok();
        let policy = machine.and_then(|machine| machine.gpu_policy().ok());
        Self(policy.map(|policy| policy.settings()).unwrap_or_default())
    }

    /// Returns the settings as names and values of systemd; empty without a known GPU.
    pub(crate) fn as_slice(&self) -> &[(&'static str, String)] {
        &self.0
    }

    /// Returns 16 hexadecimal digits that change whenever the settings do.
    pub(crate) fn stamp(&self) -> String {
        let mut hasher = FnvHasher::default();
        for (directive, value) in &self.0 {
            hasher.write(directive.as_bytes());
            hasher.write(b"=");
            hasher.write(value.as_bytes());
            hasher.write(b"\n");
        }
        format!("{:016x}", hasher.finish())
    }
}

/// Returns whether a unit gets access to the GPU. A user's manager cannot grant rights that the user lacks.
pub(crate) fn may_use_gpu(host: &HostContext, spec: &ExperimentSpec) -> bool {
    spec.gpu.access && !host.is_user()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestMachine;

    #[test]
    fn the_version_of_systemd_is_read_from_the_name_of_its_library() {
        let machine = TestMachine::new();
        let version = || systemd_version(machine.host.root());
        assert_eq!(version(), SystemdVersion::OLDEST);
        machine.write("lib/systemd/libsystemd-shared-247.so", "");
        assert_eq!(version(), SystemdVersion(247));
        machine.write("usr/lib/systemd/libsystemd-shared-249.11-0ubuntu3.so", "");
        machine.write("usr/lib/systemd/systemd", "");
        assert_eq!(version(), SystemdVersion(249));
        machine.write("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so", "");
        assert_eq!(version(), SystemdVersion(252));
    }
}
