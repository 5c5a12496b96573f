//! Checks of the kernel: control groups, pressure, swap, the clock.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bij_core::Bytes;

use super::Check;

/// Controllers without which a limit of a definition has no effect.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// The first second of 2026: a clock before it was never set.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// Checks the kernel of the machine below `root`.
pub(super) fn checks(root: &Path) -> Vec<Check> {
    vec![cgroups(root), pressure(root), swap(root), clock(SystemTime::now(), has_rtc(root))]
}

fn cgroups(root: &Path) -> Check {
    const NAME: &str = "control-groups";
    let group = root.join("sys/fs/cgroup");
    let Ok(listed) = fs::read_to_string(group.join("cgroup.controllers")) else {
        let is_missing = |name: &&str| !group.join(name).is_dir();
        return match missing(is_missing) {
            None => Check::warning(
                NAME,
                "version 1: experiments cannot be frozen, and memory pressure per experiment is not known",
                "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line, then reboot",
            ),
            Some(names) => without(&names),
        };
    };
    let listed: Vec<&str> = listed.split_whitespace().collect();
    match missing(|name| !listed.contains(name)) {
        None => Check::ok(NAME, "version 2"),
        Some(names) => without(&names),
    }
}

fn missing(is_missing: impl Fn(&&str) -> bool) -> Option<String> {
    let names: Vec<&str> = CONTROLLERS.into_iter().filter(|name| is_missing(name)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn without(names: &str) -> Check {
    let remedy = if names.contains("memory") {
        "add cgroup_enable=memory to the kernel's command line, then reboot".to_owned()
    } else {
        format!("take a kernel that has {names}")
    };
    Check::failure("control-groups", format!("limits have no effect without {names}"), remedy)
}

fn pressure(root: &Path) -> Check {
    const NAME: &str = "pressure";
    if root.join("proc/pressure/memory").exists() {
        return Check::ok(NAME, "the kernel reports stalls (PSI)");
    }
    Check::warning(
        NAME,
        "the kernel does not report stalls (PSI), so the queue cannot wait for them to end",
        "add psi=1 to the kernel's command line, then reboot",
    )
}

fn swap(root: &Path) -> Check {
    const NAME: &str = "swap";
    let text = fs::read_to_string(root.join("proc/swaps")).unwrap_or_default();
    let areas: Vec<(&str, u64)> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?, fields.nth(1)?.parse().ok()?))
        })
        .collect();
    if areas.is_empty() {
        return Check::warning(
            NAME,
            "none: a peak of memory ends an experiment at once",
            "sudo fallocate -l 16G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile",
        );
    }
    let total = Bytes::new(areas.iter().map(|(_, kilobytes)| kilobytes * 1024).sum());
    let is_zram = areas.iter().all(|(name, _)| name.starts_with("/dev/zram"));
    Check::ok(NAME, format!("{total}{}", if is_zram { ", in compressed memory" } else { "" }))
}

fn has_rtc(root: &Path) -> bool {
    root.join("sys/class/rtc/rtc0").exists()
}

fn clock(now: SystemTime, has_rtc: bool) -> Check {
    const NAME: &str = "clock";
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since_epoch < EARLIEST {
        return Check::failure(
            NAME,
            "the time of day was never set",
            "sudo timedatectl set-ntp true; or sudo timedatectl set-time 'YYYY-MM-DD HH:MM:SS'",
        );
    }
    if has_rtc {
        return Check::ok(NAME, "set, and kept while the machine is off");
    }
    Check::warning(
        NAME,
        "nothing keeps the time while the machine is off, so records of a boot may have wrong times until it is set",
        "sudo timedatectl set-ntp true",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_missing_controller_is_a_failure_in_both_versions() {
        let v2 = tree(&[("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")]);
        assert_eq!(cgroups(v2.path()), Check::ok("control-groups", "version 2"));
        let partly = tree(&[("sys/fs/cgroup/cgroup.controllers", "cpu pids\n")]);
        let check = cgroups(partly.path());
        assert_eq!(check.verdict, Verdict::Failure);
        assert!(check.remedy.unwrap().contains("cgroup_enable=memory"));
        let v1 = tree(&[
            ("sys/fs/cgroup/cpu/tasks", ""),
            ("sys/fs/cgroup/memory/tasks", ""),
            ("sys/fs/cgroup/pids/tasks", ""),
        ]);
        assert_eq!(cgroups(v1.path()).verdict, Verdict::Warning);
        assert_eq!(cgroups(tree(&[]).path()).verdict, Verdict::Failure);
    }

    #[test]
    fn swap_is_added_up() {
        let two = "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1048576 0 5\n\
                   /dev/zram1 partition 1048576 0 5\n";
        let root = tree(&[("proc/swaps", two)]);
        assert_eq!(swap(root.path()).message, "2.0G, in compressed memory");
        let none = tree(&[("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")]);
        assert_eq!(swap(none.path()).verdict, Verdict::Warning);
    }

    #[test]
    fn a_clock_that_was_never_set_is_a_failure() {
        assert_eq!(clock(SystemTime::UNIX_EPOCH, true).verdict, Verdict::Failure);
        let set = SystemTime::UNIX_EPOCH + EARLIEST;
        assert_eq!(clock(set, true).verdict, Verdict::Ok);
        assert_eq!(clock(set, false).verdict, Verdict::Warning);
    }
}
