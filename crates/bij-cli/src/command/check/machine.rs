//! What can be wrong with a definition on this machine, though it reads well.

use std::path::{Component, Path, PathBuf};

use bij_core::Obstacle;
use bij_core::definition::{Clocks, ExperimentSpec, SandboxProfile};
use bij_core::port::Found;
use bij_definitions::HostView;
use bij_jetson::{GpuKind, GpuPolicy, JetsonClocks, PowerConf, Root, WhyNot};

use crate::context::Context;
use crate::view::Finding;

/// What was found; problems keep the experiment from starting.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

/// Looks at what the definition names: program, directory, user, config, writable paths.
pub(crate) fn look(context: &Context, found: &Found) -> Findings {
    let Found { spec, source, .. } = found;
    let path = context.scope.program_path();
    let view = host_view(&path);
    let finding = |key: &str, message: String| Finding::of_file(source, key, message);
    let obstacles = view.obstacles(spec).into_iter();
    let mut findings = Findings {
        problems: obstacles.map(|obstacle| finding(obstacle.key(), obstacle.to_string())).collect(),
        warnings: view
            .unknown_to_env(spec)
            .map(|unknown| finding("command", unknown.to_string()))
            .into_iter()
            .collect(),
    };
    // A config may be any text; one that looks like a path is meant as one.
    if let Some(config) = &spec.config
        && config.starts_with('/')
        && !config.contains('\n')
        && is_missing(Path::new(config))
    {
        let message = format!("there is no file {config}: write it, or mend the path");
        findings.problems.push(finding("config", message));
    }
    findings
}

/// This machine as an experiment finds it, with programs looked for in `path`.
fn host_view(path: &str) -> HostView<'_> {
    HostView { root: Path::new("/"), path: Some(path), hidden: &[] }
}

/// Returns whether nothing but the contents of a program keeps an experiment from running.
pub(super) fn is_only_of_contents(context: &Context, found: &Found) -> bool {
    let path = context.scope.program_path();
    let view = host_view(&path);
    let obstacles = view.obstacles(&found.spec);
    !obstacles.is_empty() && obstacles.iter().all(Obstacle::is_in_file_contents)
}

/// System directories: an experiment that may write one of them can change what root runs or reads. The
/// first path covers all others.
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

/// Below `/run` and `/var` only these trees are the system's; the rest belongs to services and users.
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

/// What the definition opens that the operator may not have meant to.
pub(crate) fn look_for_openness(found: &Found) -> Vec<Finding> {
    let ExperimentSpec { user, writable, sandbox, .. } = &found.spec;
    let finding = |key: &str, message: String| Finding::of_file(&found.source, key, message);
    let mut findings = Vec::new();
    if user.as_deref().is_some_and(is_root) {
        let message = "the experiment runs as root: what it runs, and every file that it loads, can do \
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
            "profile trusted takes the sandbox away, and {name} is a user that others share: the \
             experiment reads and writes whatever {name} may; leave one of the two out"
        );
        findings.push(finding("sandbox.profile", message));
    }
    findings
}

fn is_root(user: &str) -> bool {
    matches!(user, "root" | "0")
}

/// The path without `.`, `..` and doubled slashes, as they stand.
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

/// `[gpu] access` on a machine below this root where there is nothing to be given.
pub(super) fn look_for_gpu(found: &Found, root: &Path) -> Option<Finding> {
    if !found.spec.gpu.access {
        return None;
    }
    let why = match GpuPolicy::find(&Root::new(root)) {
        Ok(policy) if policy.kind != GpuKind::None => return None,
        Ok(_) => "its unit is given none".to_owned(),
        Err(why) => format!("the kernel's list of drivers: {why}"),
    };
    let message = format!("no GPU device was found on this machine ({why})");
    Some(Finding::of_file(&found.source, "gpu.access", message))
}

/// `[power]` on a machine below this root that cannot be as it is wanted.
pub(super) fn look_for_power(found: &Found, root: &Path) -> Vec<Finding> {
    let (power, root) = (&found.spec.power, Root::new(root));
    let mut findings = Vec::new();
    let mut warn = |key: &str, message: String| {
        findings.push(Finding::of_file(&found.source, key, message));
    };
    if let Some(mode) = &power.mode {
        match PowerConf::read(&root) {
            Ok(conf) if conf.find(&mode.to_string()).is_none() => {
                let names: Vec<_> = conf.modes.iter().map(|mode| mode.name.as_str()).collect();
                let names = names.join(", ");
                warn("power.mode", format!("this board has no power mode {mode}; it has {names}"));
            }
            Err(WhyNot::Absent) => {
                let message = "this machine has no power modes: what is wanted is passed over";
                warn("power.mode", message.to_owned());
            }
            Err(why @ WhyNot::Unparsable(_)) => {
                let message = format!("no power mode is known: /etc/nvpmodel.conf is {why}");
                warn("power.mode", message);
            }
            Ok(_) | Err(_) => {}
        }
    }
    if power.clocks == Clocks::Max && !JetsonClocks::below(&root, "").is_installed() {
        let message = "this machine has no jetson_clocks: its clocks stay as they are";
        warn("power.clocks", message.to_owned());
    }
    findings
}

/// Whether nothing is there. What the caller may not see is not judged.
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
        let found = Found { spec, source, stamp, warnings: Vec::new() };
        look_for_openness(&found).into_iter().filter_map(|finding| finding.key).collect()
    }

    #[test]
    fn what_opens_the_machine_is_warned_about() {
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
        for (path, is_told) in [
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
            let told = keys(|spec| spec.writable = vec![path.parse().unwrap()]);
            assert_eq!(!told.is_empty(), is_told, "{path}");
        }
    }
}
