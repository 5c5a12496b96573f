//! Freezing, and bounds on processor time.

use std::fs;
use std::time::SystemTime;

use bij_core::{CpuQuota, Limit};
use tempfile::TempDir;

use super::fake::Freezer;
use super::*;

const BOUND: &str = "run/systemd/system.control/brain-experiment@x.service.d/50-CPUQuota.conf";
const GROUP: &str = "cgroup/brain.slice/brain-experiment@x.service";

#[tokio::test]
async fn what_is_frozen_is_thawed_and_nothing_is_asked_twice() {
    let (units, shared) = units(up()).await;
    assert_eq!(units.set_frozen(&id(), false).await.unwrap(), Outcome::Unchanged);
    assert_eq!(units.set_frozen(&id(), true).await.unwrap(), Outcome::Changed);
    assert!(units.status(&id()).await.unwrap().frozen);
    assert_eq!(units.set_frozen(&id(), true).await.unwrap(), Outcome::Unchanged);
    assert_eq!(units.set_frozen(&id(), false).await.unwrap(), Outcome::Changed);
    assert_eq!(shared.calls(), ["FreezeUnit", "ThawUnit"]);
}

#[tokio::test]
async fn what_cannot_be_frozen_says_what_that_takes() {
    for freezer in [Freezer::TooOld, Freezer::NoKernel] {
        let (units, _) = units(World { freezer, ..up() }).await;
        for _ in 0..2 {
            let error = units.set_frozen(&id(), true).await.unwrap_err();
            assert!(matches!(error, UnitError::Unsupported(_)), "{error:?}");
            assert_eq!(error.to_string(), "freezing takes systemd 246 and cgroup v2");
        }
        assert_eq!(units.set_frozen(&id(), false).await.unwrap(), Outcome::Unchanged);
    }
    let (units, shared) = units(World::default()).await;
    assert_eq!(units.set_frozen(&id(), true).await.unwrap(), Outcome::Unchanged, "it is down");
    assert!(shared.calls().is_empty());
}

/// A manager whose unit has a quota of its own, if any, and a control group with `cpu.max`, or not.
async fn bounded(own: Option<&str>, cpu_max: bool) -> (SystemdUnits, fake::Shared, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let quota = own.map(|own| format!("[Service]\nCPUQuota={own}\n")).unwrap_or_default();
    let drop_in = put("10-experiment.conf", &quota);
    put("cgroup/cgroup.controllers", "cpu memory\n");
    put(&format!("{GROUP}/cpu.stat"), "usage_usec 1500\n");
    if cpu_max {
        put(&format!("{GROUP}/cpu.max"), "max 100000\n");
    }
    let quota = own.map_or(u64::MAX, |own| own.parse::<CpuQuota>().unwrap().micros_per_sec());
    let runtime_property = root.path().join(BOUND);
    let world = World { quota, drop_ins: vec![drop_in], runtime_property, ..up() };
    let (peer, shared) = manager(world).await;
    let bus = Bus::over(peer, Duration::from_millis(50));
    (SystemdUnits::over(bus, root.path()), shared, root)
}

/// Nothing that the next life would be bound by, or a reload be due for.
fn assert_nothing_is_left(shared: &fake::Shared, root: &TempDir) {
    let text = fs::read_to_string(root.path().join(BOUND)).unwrap();
    assert!(!text.contains("CPUQuota"), "{text}");
    assert!(text.contains("[Service]"), "a file with nothing at all in it would be a mask");
    assert!(!root.path().join("run/brain-in-jar/bounds/brain-experiment@x.service.json").exists());
    assert!(!shared.calls().contains(&"Reload".to_owned()));
}

/// As `systemctl set-property --runtime` does it.
fn set_by_somebody(shared: &fake::Shared, root: &TempDir, percent: &str) {
    let file = root.path().join(BOUND);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("[Service]\nCPUQuota={percent}\n")).unwrap();
    let file = file.to_string_lossy().into_owned();
    shared.change(|world| {
        world.quota = percent.parse::<CpuQuota>().map_or(u64::MAX, CpuQuota::micros_per_sec);
        world.read_at = SystemTime::now();
        if !world.drop_ins.contains(&file) {
            world.drop_ins.push(file);
        }
    });
}

fn quota(shared: &fake::Shared) -> Option<u64> {
    shared.change(|world| (world.quota != u64::MAX).then_some(world.quota))
}

#[tokio::test]
async fn a_bound_is_the_tighter_one_and_what_the_definition_says_comes_back() {
    for (own, half, back) in [
        (None, 500_000, None),
        (Some("150%"), 500_000, Some(1_500_000)),
        (Some("20%"), 200_000, Some(200_000)),
    ] {
        let (units, shared, root) = bounded(own, true).await;
        let cap = Some(Percent::new(50));
        assert_eq!(units.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Unchanged);
        assert_eq!(units.set_cpu_cap(&id(), cap).await.unwrap(), Outcome::Changed);
        assert_eq!(quota(&shared), Some(half), "{own:?}");
        assert_eq!(units.set_cpu_cap(&id(), cap).await.unwrap(), Outcome::Unchanged);
        assert_eq!(units.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Changed);
        assert_eq!(quota(&shared), back, "{own:?}");
        assert_nothing_is_left(&shared, &root);
        assert_eq!(units.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Unchanged);
    }
}

#[tokio::test]
async fn a_stop_lifts_the_bound_and_what_is_down_gets_none() {
    let (units, shared, root) = bounded(Some("150%"), true).await;
    shared.change(|world| world.after = "inactive");
    units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
    assert_eq!(units.stop(&id()).await.unwrap(), Outcome::Changed);
    assert_eq!(quota(&shared), Some(1_500_000));
    assert_nothing_is_left(&shared, &root);
    let down = units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
    assert_eq!(down, Outcome::Unchanged);
    assert_nothing_is_left(&shared, &root);
}

#[tokio::test]
async fn a_bound_without_effect_is_taken_back_and_said() {
    let (units, shared, root) = bounded(None, false).await;
    for _ in 0..2 {
        let error = units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap_err();
        assert!(matches!(error, UnitError::Unsupported(_)), "{error:?}");
        assert_eq!(quota(&shared), None);
        assert_nothing_is_left(&shared, &root);
    }
    assert_eq!(units.status(&id()).await.unwrap().resources.cpu_quota.and_then(Limit::at), None);
}

#[tokio::test]
async fn what_somebody_has_set_before_is_in_force_again_and_bounds_the_bound() {
    for (theirs, capped) in [("80%", 500_000), ("30%", 300_000)] {
        let (units, shared, root) = bounded(Some("150%"), true).await;
        set_by_somebody(&shared, &root, theirs);
        let before = quota(&shared);
        for cap in [50, 70, 50] {
            units.set_cpu_cap(&id(), Some(Percent::new(cap))).await.unwrap();
        }
        assert_eq!(quota(&shared), Some(capped));
        units.set_cpu_cap(&id(), None).await.unwrap();
        assert_eq!(quota(&shared), before);
        let text = fs::read_to_string(root.path().join(BOUND)).unwrap();
        assert!(text.contains(&format!("CPUQuota={theirs}")), "{text}");
        assert_eq!(units.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Unchanged);
    }
}

#[tokio::test]
async fn what_somebody_sets_under_a_bound_stays_when_that_is_lifted() {
    for theirs in ["200%", ""] {
        let (units, shared, root) = bounded(Some("150%"), true).await;
        units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
        set_by_somebody(&shared, &root, theirs);
        let set = quota(&shared);
        assert_eq!(units.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Unchanged);
        assert_eq!(quota(&shared), set, "{theirs:?}");
        units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
        assert_eq!(quota(&shared), Some(500_000));
        assert_eq!(units.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Changed);
        assert_eq!(quota(&shared), set, "{theirs:?}");
    }
}

#[tokio::test]
async fn a_bound_that_another_left_behind_is_known_and_lifted() {
    let (units, shared, root) = bounded(Some("150%"), true).await;
    units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
    let next = SystemdUnits::over(units.bus, root.path());
    assert_eq!(next.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Changed);
    assert_eq!(quota(&shared), Some(1_500_000));
    assert_nothing_is_left(&shared, &root);
}

#[tokio::test]
async fn files_are_read_again_only_where_systemd_lost_their_order() {
    let (units, shared, root) = bounded(None, true).await;
    let own = root.path().join("override.conf");
    fs::write(&own, "[Service]\nCPUWeight=50\n").unwrap();
    let own = own.to_string_lossy().into_owned();
    shared.change(|world| {
        world.drop_ins.push(own);
        world.read_at = SystemTime::now();
    });
    for _ in 0..2 {
        units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
        units.set_cpu_cap(&id(), None).await.unwrap();
        assert_eq!(quota(&shared), None);
    }
    let reloads = shared.calls().iter().filter(|call| *call == "Reload").count();
    assert_eq!(reloads, 1, "then it knows");
}

#[tokio::test]
async fn a_masked_unit_is_told_from_one_that_is_merely_down() {
    let masked = World { load_state: "masked".into(), ..World::default() };
    assert!(units(masked).await.0.status(&id()).await.unwrap().masked);
    assert!(!units(World::default()).await.0.status(&id()).await.unwrap().masked);
}
