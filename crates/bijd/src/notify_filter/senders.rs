//! Which experiment's unit a process belongs to, by its control group.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bij_core::ExperimentId;

/// How long an answer is kept: a flood must not cost a look into /proc for each message.
const KEPT: Duration = Duration::from_millis(100);

/// More than any /proc/PID/cgroup holds.
const FILE_MAX: u64 = 64 << 10;

/// Where systemd's own hierarchy lies: of its own on cgroup v1, the only one on v2.
const HIERARCHIES: [&str; 2] = ["sys/fs/cgroup/systemd", "sys/fs/cgroup"];

/// A unit of an experiment, and its control group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    /// The experiment.
    pub(super) id: ExperimentId,
    /// The control group of its unit, as /proc/PID/cgroup names it.
    group: String,
}

/// Looks up control groups below a root directory, which is `/` but in tests.
#[derive(Debug)]
pub(super) struct Senders {
    root: PathBuf,
    /// The control group that PID 1 puts all units into.
    managed: String,
    known: HashMap<i32, Option<Sender>>,
    since: Instant,
}

impl Senders {
    /// Reads below which control group PID 1 keeps its units.
    pub(super) fn new(root: &Path, now: Instant) -> Self {
        let own = control_group(&root.join("proc/1/cgroup")).unwrap_or_default();
        let managed = own.strip_suffix("/init.scope").unwrap_or(&own).trim_end_matches('/');
        let managed = managed.to_owned();
        Self { root: root.to_owned(), managed, known: HashMap::new(), since: now }
    }

    /// The unit that a process belongs to, if it is one of an experiment.
    pub(super) fn find(&mut self, pid: i32, now: Instant) -> Option<Sender> {
        if now.saturating_duration_since(self.since) >= KEPT {
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

    /// A process that is in the unit now: systemd takes the message of one that has gone from any other of
    /// the same unit (`NotifyAccess=all`).
    pub(super) fn process_of(&self, sender: &Sender) -> Option<i32> {
        HIERARCHIES.iter().find_map(|hierarchy| {
            let group = self.root.join(hierarchy).join(sender.group.trim_start_matches('/'));
            let processes = fs::read_to_string(group.join("cgroup.procs")).ok()?;
            processes.lines().find_map(|line| line.parse().ok().filter(|pid| *pid > 0))
        })
    }
}

/// The control group in systemd's hierarchy that a file of the form of /proc/PID/cgroup names
/// (cgroups(7)).
fn control_group(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(FILE_MAX).read_to_string(&mut text).ok()?;
    let of = |hierarchy: &str| {
        let mut rest = text.lines().filter_map(|line| line.split_once(':')).map(|(_, rest)| rest);
        rest.find_map(|rest| rest.strip_prefix(hierarchy)).map(str::to_owned)
    };
    of("name=systemd:").or_else(|| of(":"))
}

/// The experiment's unit that a control group belongs to.
///
/// Every group above a unit's is that of a slice. A user can name groups below the own
/// `user@UID.service`, which is none, after anything; those are not taken for units of the system.
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
    fn a_unit_is_known_by_its_control_group_and_those_below_it() {
        let plain = "/brain.slice/brain-experiment@a.service";
        assert_eq!(id_in(plain, "").as_deref(), Some("a"));
        let below = unit_in(&format!("{plain}/worker/1"), "").unwrap();
        assert_eq!(below.group, plain);
        let nested = "/machine.slice/box/system.slice/brain-experiment@a_1.service";
        assert_eq!(id_in(nested, "/machine.slice/box").as_deref(), Some("a_1"));
    }

    #[test]
    fn nothing_else_is_taken_for_a_unit_of_an_experiment() {
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
            assert_eq!(senders.process_of(&sender), Some(77));
            assert_eq!(senders.find(78, now), None);
            assert_eq!(senders.find(4, now), None, "it has gone");
        }
    }

    #[test]
    fn an_answer_is_kept_for_a_moment_only() {
        let root = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut senders = Senders::new(root.path(), now);
        assert_eq!(senders.find(77, now), None);
        fs::create_dir_all(root.path().join("proc/77")).unwrap();
        let group = "0::/brain.slice/brain-experiment@a.service\n";
        fs::write(root.path().join("proc/77/cgroup"), group).unwrap();
        assert_eq!(senders.find(77, now), None);
        assert!(senders.find(77, now + KEPT).is_some());
    }
}
