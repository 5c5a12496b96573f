use std::fs;
use std::path::Path;

use bij_core::{Bytes, Limit, Percent};

use crate::{CgroupPath, CgroupReading, CgroupRoot, Membership};

const UNIT: &str = "brain.slice/brain-experiment@x.service";

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn unit_path() -> CgroupPath {
    format!("/{UNIT}").parse().unwrap()
}

#[test]
fn all_counters_of_version_2_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("cgroup.controllers", "cpu memory pids\n")]);
    write(
        &dir.path().join(UNIT),
        &[
            ("memory.current", "41930752\n"),
            ("memory.peak", "41943040\n"),
            ("memory.max", "41943040\n"),
            ("memory.events", "low 0\nhigh 0\nmax 25\noom 1\noom_kill 1\n"),
            ("memory.pressure", "some avg10=3.50 avg60=0.00 avg300=0.00 total=9\n"),
            ("cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"),
            ("cpu.max", "200000 100000\n"),
            ("cgroup.procs", "7\n"),
            ("inner/cgroup.procs", "8\n"),
        ],
    );
    let group = CgroupRoot::open(dir.path()).unwrap().at(&unit_path());
    let CgroupReading { resources, oom_kills, memory_limit_hits } = group.read();
    assert_eq!((oom_kills, memory_limit_hits), (Some(1), Some(25)));
    assert_eq!(resources.memory_current, Some(Bytes::new(41_930_752)));
    assert_eq!(resources.memory_peak, Some(Bytes::new(41_943_040)));
    assert_eq!(resources.memory_max, Some(Limit::At(Bytes::new(41_943_040))));
    assert_eq!(resources.cpu_usage_nsec, Some(1_500_000));
    assert_eq!(resources.cpu_quota, Some(Limit::At("200%".parse().unwrap())));
    assert_eq!(resources.memory_pressure, Some(Percent::from_permyriad(350)));
    let mut processes = group.processes();
    processes.sort_unstable();
    assert_eq!(processes, [7, 8]);
}

#[test]
fn counters_that_an_old_kernel_lacks_are_none() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("cgroup.controllers", "memory\n")]);
    // Linux 5.15 as NVIDIA configures it: no memory.peak, no cpu.max, no pressure.
    write(
        &dir.path().join(UNIT),
        &[("memory.current", "1\n"), ("memory.events", "max 0\noom_kill 0\n")],
    );
    let reading = CgroupRoot::open(dir.path()).unwrap().at(&unit_path()).read();
    assert_eq!(reading.oom_kills, Some(0));
    assert_eq!(reading.resources.memory_peak, None);
    assert_eq!(reading.resources.cpu_quota, None);
    assert_eq!(reading.resources.memory_pressure, None);
}

#[test]
fn version_1_is_read_from_each_controller() {
    let dir = tempfile::tempdir().unwrap();
    let file = |controller: &str, name: &str| format!("{controller}/{UNIT}/{name}");
    write(
        dir.path(),
        &[
            (&file("memory", "memory.usage_in_bytes"), "4096\n"),
            (&file("memory", "memory.max_usage_in_bytes"), "8192\n"),
            (&file("memory", "memory.limit_in_bytes"), "9223372036854771712\n"),
            (&file("memory", "memory.failcnt"), "4\n"),
            (
                &file("memory", "memory.oom_control"),
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            ),
            (&file("cpu,cpuacct", "cpuacct.usage"), "777\n"),
            (&file("cpu,cpuacct", "cpu.cfs_quota_us"), "-1\n"),
            (&file("cpu,cpuacct", "cpu.cfs_period_us"), "100000\n"),
            (&file("unified", "memory.pressure"), "some avg10=0.00 avg60=0 avg300=0 total=0\n"),
        ],
    );
    let root = CgroupRoot::open(dir.path()).unwrap();
    let reading = root.at(&unit_path()).read();
    assert_eq!(reading.oom_kills, Some(2));
    assert_eq!(reading.memory_limit_hits, Some(4));
    assert_eq!(reading.resources.memory_peak, Some(Bytes::new(8192)));
    assert_eq!(reading.resources.memory_max, Some(Limit::Max));
    assert_eq!(reading.resources.cpu_usage_nsec, Some(777));
    assert_eq!(reading.resources.cpu_quota, Some(Limit::Max));
    assert_eq!(reading.resources.memory_pressure, Some(Percent::new(0)));

    // By the lines of /proc/PID/cgroup, only the controllers in them are read.
    let own = Membership::parse(&format!("4:memory:/{UNIT}\n2:cpu,cpuacct:/\n0::/\n"));
    let reading = root.for_membership(&own).read();
    assert_eq!(reading.oom_kills, Some(2));
    assert_eq!(reading.resources.cpu_usage_nsec, None);
}

#[test]
fn a_missing_group_has_no_counters() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("cgroup.controllers", "memory\n")]);
    let group = CgroupRoot::open(dir.path()).unwrap().at(&unit_path());
    assert!(!group.exists());
    assert_eq!(group.read(), CgroupReading::default());
    assert!(group.processes().is_empty());
}
