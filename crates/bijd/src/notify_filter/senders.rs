//! Finds the experiment's unit of a process by its control group.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bij_core::ExperimentId;

/// How long an answer is cached, so that a flood does not read /proc for each message.
const CACHE_TIME: Duration = Duration::from_millis(100);

/// Largest /proc/PID/cgroup that is read, in bytes.
const FILE_MAX: u64 = 64 << 10;

/// Directories of systemd's own hierarchy: a separate one on cgroup v1, the only one on v2.
const HIERARCHIES: [&str; 2] = ["sys/fs/cgroup/systemd", "sys/fs/cgroup"];

/// A unit of an experiment, and its control group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    /// The experiment of the unit.
    pub(super) id: ExperimentId,
    /// The control group of its unit, as /proc/PID/cgroup names it.
    group: String,
}

/// Looks up control groups below a root directory, which is `/` except in tests.
#[derive(Debug)]
pub(super) struct Senders {
    root: PathBuf,
    /// The control group above all units of PID 1.
    managed: String,
    known: HashMap<i32, Option<Sender>>,
    since: Instant,
}

impl Senders {
    /// Returns an empty cache, after reading the control group of PID 1.
    pub(super) fn new(root: &Path, now: Instant) -> Self {
        let own = control_group(&root.join("proc/1/cgroup")).unwrap_or_default();
        let managed = own.strip_suffix("/init.scope").unwrap_or(&own).trim_end_matches('/');
        let managed = managed.to_owned();
        Self { root: root.to_owned(), managed, known: HashMap::new(), since: now }
    }

    /// Returns the unit of a process, if it is an experiment's.
    pub(super) fn find(&mut self, pid: i32, now: Instant) -> Option<Sender> {
        if now.saturating_duration_since(self.since) >= CACHE_TIME {
            self.known.clear();
            self.since = now;
        }
        let (root, managed) = (&self.root, &self.managed);
        let found = self.known.entry(pid).or_insert_with(|| {
            let group = control_group(&root.join(format!("proc/{pid}/cgroup")))?;
            unit_in(&group, managed)
        });
        found.clone()
    }

    /// Returns a process that is in the unit now. systemd accepts the message of an exited process from any other
    /// process of the unit (`NotifyAccess=all`).
    pub(super) fn find_process(&self, sender: &Sender) -> Option<i32> {
        HIERARCHIES.iter().find_map(|hierarchy| {
            let group = self.root.join(hierarchy).join(sender.group.trim_start_matches('/'));
            let processes = fs::read_to_string(group.join("cgroup.procs")).ok()?;
            processes.lines().find_map(|line| line.parse().ok().filter(|pid| *pid > 0))
        })
    }
}

/// Returns the control group in systemd's hierarchy from a file such as /proc/PID/cgroup (cgroups(7)).
fn control_group(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(FILE_MAX).read_to_string(&mut text).ok()?;
    let group_in = |hierarchy: &str| {
        let mut rest = text.lines().filter_map(|line| line.split_once(':')).map(|(_, rest)| rest);
        rest.find_map(|rest| rest.strip_prefix(hierarchy)).map(str::to_owned)
    };
    group_in("name=systemd:").or_else(|| group_in(":"))
}

/// Returns the experiment's unit that a control group belongs to.
///
/// Every group above a unit's is a slice. `user@UID.service` is none, so groups below it, which the user can name freely,
/// are not taken for units of the system.
fn unit_in(group: &str, managed: &str) -> Option<Sender> {
    let below = group.strip_prefix(managed)?.strip_prefix('/')?;
    let mut end = group.len() - below.len();
    for name in below.split('/') {
        end += name.len();
        if name.strip_suffix(".slice").is_none() {
            let id = ExperimentId::from_unit_name(name)?;
            return Some(Sender { id, group: group[..end].to_owned() });
        }
        end += "/".len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_in(group: &str, managed: &str) -> Option<String> {
        unit_in(group, managed).map(|sender| sender.id.to_string())
    }

    #[test]
    fn a_unit_is_found_by_its_control_group_and_groups_below() {
        let plain = "/brain.slice/brain-experiment@a.service";
        assert_eq!(id_in(plain, "").as_deref(), Some("a"));
        let below = unit_in(&format!("{plain}/worker/1"), "").unwrap();
        assert_eq!(below.group, plain);
        let nested = "/machine.slice/box/system.slice/brain-experiment@a_1.service";
        assert_eq!(id_in(nested, "/machine.slice/box").as_deref(), Some("a_1"));
    }

    #[test]
    fn other_control_groups_belong_to_no_experiment() {
        for group in [
            "/",
            "",
            "/init.scope",
            "/system.slice/cron.service",
            "/user.slice/user-1000.slice/user@1000.service/brain.slice/brain-experiment@a.service",
            "/user.slice/user-1000.slice/session-3.scope/brain-experiment@a.service",
            "/brain.slice/brain-experiment@.service",
            "/brain.slice/brain-experiment@a.service.d",
            "/brain.slice/brain-experiment@a.scope",
        ] {
            assert_eq!(id_in(group, ""), None, "{group}");
        }
        assert_eq!(id_in("/other/brain.slice/brain-experiment@a.service", "/box"), None);
    }

    #[test]
    fn processes_are_looked_up_on_both_cgroup_versions() {
        let unit = "/brain.slice/brain-experiment@a.service";
        let versions = [
            ("0::", "sys/fs/cgroup"),
            ("12:pids:/x\n1:name=systemd:", "sys/fs/cgroup/systemd"),
            ("1:name=systemd:", "sys/fs/cgroup/systemd"),
        ];
        for (prefix, hierarchy) in versions {
            let root = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = root.path().join(path.trim_start_matches('/'));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            };
            write("proc/1/cgroup", &format!("{prefix}/init.scope\n0::/elsewhere\n"));
            write("proc/77/cgroup", &format!("{prefix}{unit}\n0::/elsewhere\n"));
            write("proc/78/cgroup", &format!("{prefix}/system.slice/cron.service\n"));
            write(&format!("{hierarchy}{unit}/cgroup.procs"), "77\n79\n");
            let now = Instant::now();
            let mut senders = Senders::new(root.path(), now);
            let sender = senders.find(77, now).unwrap();
            assert_eq!(sender.id.as_str(), "a");
            assert_eq!(senders.find_process(&sender), Some(77));
            assert_eq!(senders.find(78, now), None);
            assert_eq!(senders.find(4, now), None, "it has exited");
        }
    }

    #[test]
    fn an_answer_is_cached_only_briefly() {
        let root = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut senders = Senders::new(root.path(), now);
        assert_eq!(senders.find(77, now), None);
        fs::create_dir_all(root.path().join("proc/77")).unwrap();
        let group = "0::/brain.slice/brain-experiment@a.service\n";
        fs::write(root.path().join("proc/77/cgroup"), group).unwrap();
        assert_eq!(senders.find(77, now), None);
        assert!(senders.find(77, now + CACHE_TIME).is_some());
    }
}
