//! Parses the text of the kernel's files.
//!
//! Sources: the kernel's `admin-guide/cgroup-v2.rst` and `admin-guide/cgroup-v1/memory.rst`.

use bij_core::{Bytes, CpuQuota, Limit, Percent};

/// Parses a single number, the content of most files.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns the value of a key in `key value` lines: `memory.events`, `cpu.stat`, `memory.oom_control`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| number(value)).flatten()
    })
}

/// Parses `memory.max`: a number of bytes, or `max`.
pub(crate) fn memory_max(text: &str) -> Option<Limit<Bytes>> {
    match text.trim() {
        "max" => Some(Limit::Max),
        bytes => number(bytes).map(|bytes| Limit::At(Bytes::new(bytes))),
    }
}

/// Version 1 writes "no limit" as the largest signed number, rounded down to a page; pages have up to
/// 64 KiB.
const V1_NO_LIMIT: u64 = i64::MAX as u64 & !0xffff;

/// Parses `memory.limit_in_bytes`.
pub(crate) fn v1_memory_limit(text: &str) -> Option<Limit<Bytes>> {
    number(text).map(|bytes| match bytes {
        V1_NO_LIMIT.. => Limit::Max,
        bytes => Limit::At(Bytes::new(bytes)),
    })
}

/// Parses `cpu.max`: `QUOTA PERIOD` in microseconds; the quota may be `max`.
pub(crate) fn cpu_max(text: &str) -> Option<Limit<CpuQuota>> {
    let (quota, period) = text.trim().split_once(' ')?;
    match quota {
        "max" => Some(Limit::Max),
        quota => quota_per_second(number(quota)?, number(period)?).map(Limit::At),
    }
}

/// Parses `cpu.cfs_quota_us` and, if there is a quota, `cpu.cfs_period_us`. A negative quota is no limit.
pub(crate) fn v1_cpu_quota(
    quota: &str,
    period: impl FnOnce() -> Option<String>,
) -> Option<Limit<CpuQuota>> {
    let quota: i64 = quota.trim().parse().ok()?;
    match u64::try_from(quota) {
        Err(_) => Some(Limit::Max),
        Ok(quota) => quota_per_second(quota, number(&period()?)?).map(Limit::At),
    }
}

fn quota_per_second(quota_micros: u64, period_micros: u64) -> Option<CpuQuota> {
    let per_second = u128::from(quota_micros) * 1_000_000 / u128::from(period_micros.max(1));
    u64::try_from(per_second).ok().and_then(CpuQuota::from_micros_per_sec)
}

/// Parses `some avg10` of a pressure file: `some avg10=0.12 avg60=… avg300=… total=…`.
pub(crate) fn pressure(text: &str) -> Option<Percent> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let share = some.split(' ').find_map(|field| field.strip_prefix("avg10="))?;
    format!("{share}%").parse().ok()
}

/// Parses the process ids of `cgroup.procs`.
///
/// A process of another PID namespace reads as 0 and is left out, because it cannot be addressed.
pub(crate) fn processes(text: &str) -> impl Iterator<Item = u32> + '_ {
    text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| *pid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_found_by_their_whole_name() {
        let events = "low 0\nhigh 0\nmax 17\noom 1\noom_kill 3\noom_group_kill 2\n";
        assert_eq!(keyed(events, "oom_kill"), Some(3));
        assert_eq!(keyed(events, "max"), Some(17));
        assert_eq!(keyed(events, "kill"), None);
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
        assert_eq!(keyed(v1, "oom_kill"), Some(1));
        assert_eq!(
            keyed("oom_kill_disable 0\nunder_oom 0\n", "oom_kill"),
            None,
            "before Linux 4.13"
        );
    }

    #[test]
    fn no_limit_has_three_spellings() {
        assert_eq!(memory_max("max\n"), Some(Limit::Max));
        assert_eq!(memory_max("41943040\n"), Some(Limit::At(Bytes::new(41_943_040))));
        assert_eq!(v1_memory_limit("9223372036854771712\n"), Some(Limit::Max), "4 KiB pages");
        assert_eq!(v1_memory_limit("9223372036854710272\n"), Some(Limit::Max), "64 KiB pages");
        assert_eq!(v1_memory_limit("8589934592"), Some(Limit::At(Bytes::new(8 << 30))));
        assert_eq!(memory_max(""), None);
    }

    #[test]
    fn quotas_are_processor_time_per_second() {
        let half = Some(Limit::At("50%".parse().unwrap()));
        assert_eq!(cpu_max("50000 100000\n"), half);
        assert_eq!(cpu_max("max 100000\n"), Some(Limit::Max));
        assert_eq!(v1_cpu_quota("50000\n", || Some("100000\n".to_owned())), half);
        assert_eq!(v1_cpu_quota("-1\n", || None), Some(Limit::Max));
        assert_eq!(cpu_max("50000"), None);
    }

    #[test]
    fn pressure_is_some_avg10() {
        let text = "some avg10=12.34 avg60=1.00 avg300=0.10 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(pressure(text), Some(Percent::from_permyriad(1_234)));
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn processes_of_another_namespace_are_left_out() {
        assert_eq!(processes("12\n0\n34\n").collect::<Vec<_>>(), [12, 34]);
    }
}
