//! Checks a valid definition against this machine.

use std::path::{Component, Path, PathBuf};

use bij_core::port::FoundDefinition;
use bij_core::spec::{Clocks, ExperimentSpec, SandboxProfile};
use bij_core::{Obstacle, error_chain};
use bij_definition::HostView;
use bij_jetson::{GpuKind, Hardware, JetsonClocks, Nvpmodel, WhyNot};

use super::Finding;
use crate::context::Context;

/// Findings about the machine; problems keep the experiment from starting.
#[derive(Debug, Default)]
pub(super) struct HostFindings {
    pub(crate) problems: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

/// Checks the resources that the definition names: program, directory, user, config, writable paths.
pub(super) fn check_resources(context: &Context, found: &FoundDefinition) -> HostFindings {
    let FoundDefinition { spec, source, .. } = found;
    let path = context.scope.program_path();
    let view = host_view(&path);
    let finding = |key: &str, message: String| Finding::about_key(source, key, message);
    let obstacles = view.obstacles(spec).into_iter();
    let mut findings = HostFindings {
        problems: obstacles.map(|obstacle| finding(obstacle.key(), obstacle.to_string())).collect(),
        warnings: view
            .unknown_to_env(spec)
            .map(|unknown| finding("command", unknown.to_string()))
            .into_iter()
            .collect(),
    };
    // A config may be any text; if it looks like a path, it is meant as one.
    if let Some(config) = &spec.config
        && config.starts_with('/')
        && !config.contains('\n')
        && is_missing(Path::new(config))
    {
        let message = format!("there is no file {config}: write it, or correct the path");
        findings.problems.push(finding("config", message));
    }
    findings
}

/// Returns this machine as an experiment sees it, with programs searched in `path`.
fn host_view(path: &str) -> HostView<'_> {
    HostView { root: Path::new("/"), path: Some(path), hidden: &[] }
}

/// Returns whether there are obstacles, and all are in the contents of a program.
pub(super) fn has_only_content_obstacles(context: &Context, found: &FoundDefinition) -> bool {
    let path = context.scope.program_path();
    let view = host_view(&path);
    let obstacles = view.obstacles(&found.spec);
    !obstacles.is_empty() && obstacles.iter().all(Obstacle::is_in_file_contents)
}

/// System directories: an experiment that may write to one of them can change what root runs or reads.
const SYSTEM_DIRECTORIES: [&str; 18] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/efi",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
    "/var/lib",
    "/var/spool/cron",
];

/// System directories with everything below them. `/run` and `/var` are not among them: other directories there
/// belong to services and users.
const SYSTEM_TREES: [&str; 16] = [
    "/boot",
    "/dev",
    "/efi",
    "/etc",
    "/lib",
    "/proc",
    "/root",
    "/run/brain-in-jar",
    "/run/dbus",
    "/run/systemd",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/brain-in-jar",
    "/var/lib/systemd",
    "/var/spool/cron",
];

/// Warns about settings by which an experiment can damage the machine or other users' files.
pub(super) fn check_exposure(found: &FoundDefinition) -> Vec<Finding> {
    let ExperimentSpec { user, writable, sandbox, .. } = &found.spec;
    let finding = |key: &str, message: String| Finding::about_key(&found.source, key, message);
    let mut findings = Vec::new();
    if user.as_deref().is_some_and(is_root) {
        let message = "the experiment runs as root: its programs, and every file that it loads, can do \
                       anything on this machine; leave `user` out for a user of its own";
        findings.push(finding("user", message.to_owned()));
    }
    for path in writable {
        let path = normalized(path.as_str());
        let is_system = SYSTEM_DIRECTORIES.iter().any(|system| path == Path::new(system))
            || SYSTEM_TREES.iter().any(|system| path.starts_with(system));
        if is_system {
            let message = format!(
                "{} is a system directory: an experiment that may write there can change what root \
                 runs; name a directory of its own",
                path.display()
            );
            findings.push(finding("writable", message));
        }
    }
    if *sandbox == SandboxProfile::Trusted
        && let Some(name) = user.as_deref().filter(|name| !is_root(name))
    {
        let message = format!(
            "profile trusted removes the sandbox, and {name} is a shared user: the experiment can \
             read and write every file that {name} can; leave out one of the two"
        );
        findings.push(finding("sandbox.profile", message));
    }
    findings
}

fn is_root(user: &str) -> bool {
    matches!(user, "root" | "0")
}

/// Returns the path without `.`, `..` and repeated slashes; links are not resolved.
fn normalized(path: &str) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// Warns about `[gpu] access` if the machine below `root` has no GPU device.
pub(super) fn check_gpu(found: &FoundDefinition, root: &Path) -> Option<Finding> {
    if !found.spec.gpu.access {
        return None;
    }
    let why = match Hardware::open(root).map(|machine| machine.gpu_policy()) {
        Ok(Ok(policy)) if policy.kind != GpuKind::None => return None,
        Ok(Ok(_)) => "its unit gets none".to_owned(),
        Ok(Err(why)) => format!("the kernel's list of drivers: {why}"),
        Err(error) => error_chain(&error),
    };
    let message = format!("no GPU device was found on this machine ({why})");
    Some(Finding::about_key(&found.source, "gpu.access", message))
}

/// Warns about `[power]` settings that the machine below `root` does not support.
pub(super) fn check_power(found: &FoundDefinition, root: &Path) -> Vec<Finding> {
    let power = &found.spec.power;
    let mut findings = Vec::new();
    let mut warn = |key: &str, message: String| {
        findings.push(Finding::about_key(&found.source, key, message));
    };
    if let Some(mode) = &power.mode {
        match Nvpmodel::below(root).conf() {
            Ok(conf) if conf.find(&mode.to_string()).is_none() => {
                let names: Vec<_> = conf.modes.iter().map(|mode| mode.name.as_str()).collect();
                let names = names.join(", ");
                warn("power.mode", format!("this board has no power mode {mode}; it has {names}"));
            }
            Err(WhyNot::Absent) => {
                let message = "this machine has no power modes: the setting has no effect";
                warn("power.mode", message.to_owned());
            }
            Err(why @ WhyNot::Unparsable(_)) => {
                let message = format!("no power mode is known: /etc/nvpmodel.conf is {why}");
                warn("power.mode", message);
            }
            Ok(_) | Err(_) => {}
        }
    }
    if power.clocks == Clocks::Max && !JetsonClocks::below(root, "").is_installed() {
        let message = "this machine has no jetson_clocks: the setting has no effect";
        warn("power.clocks", message.to_owned());
    }
    findings
}

/// Returns whether there is no such file; `false` if the caller may not know.
fn is_missing(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

#[cfg(test)]
mod tests {
    use bij_core::ExperimentId;

    use super::*;

    fn keys(edit: impl FnOnce(&mut ExperimentSpec)) -> Vec<String> {
        let id = ExperimentId::new("x").unwrap();
        let mut spec = ExperimentSpec::new(id, vec!["/bin/true".to_owned()]);
        edit(&mut spec);
        let (source, stamp) = ("x.toml".to_owned(), String::new());
        let found = FoundDefinition { spec, source, stamp, warnings: Vec::new() };
        check_exposure(&found).into_iter().filter_map(|finding| finding.key).collect()
    }

    #[test]
    fn settings_that_expose_the_machine_cause_a_warning() {
        assert_eq!(keys(|_| ()), [""; 0]);
        for user in ["root", "0"] {
            assert_eq!(keys(|spec| spec.user = Some(user.to_owned())), ["user"]);
        }
        let trusted = |user: Option<&str>| {
            keys(|spec| {
                spec.user = user.map(ToOwned::to_owned);
                spec.sandbox = SandboxProfile::Trusted;
            })
        };
        assert_eq!(trusted(Some("alice")), ["sandbox.profile"]);
        assert_eq!(trusted(None), [""; 0]);
        for (path, is_exposed) in [
            ("/etc", true),
            ("/etc/", true),
            ("/etc/ssh", true),
            ("/", true),
            ("//", true),
            ("/usr/local/bin", true),
            ("/boot/efi", true),
            ("/var", true),
            ("/run", true),
            ("/run/systemd/system", true),
            ("/var/lib/brain-in-jar", true),
            ("/var/lib/brain-in-jar/definitions", true),
            ("/var/lib/models", false),
            ("/run/user/1000", false),
            ("/srv", false),
            ("/opt/brain/logs", false),
            ("/etcetera", false),
            ("/home/alice/etc", false),
        ] {
            let warned = keys(|spec| spec.writable = vec![path.parse().unwrap()]);
            assert_eq!(!warned.is_empty(), is_exposed, "{path}");
        }
    }
}
