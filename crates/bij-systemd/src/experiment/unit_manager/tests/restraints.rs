//! Tests of freezing and of CPU caps.

use std::fs;
use std::time::SystemTime;

use bij_core::{CpuQuota, Limit, Percent};
use tempfile::TempDir;

use super::fake::Freezer;
use super::*;

const BOUND: &str = "run/systemd/system.control/brain-experiment@x.service.d/50-CPUQuota.conf";
const GROUP: &str = "cgroup/brain.slice/brain-experiment@x.service";

#[tokio::test]
async fn freezing_and_thawing_again_changes_nothing() {
    let (units, shared) = units(up()).await;
    assert_eq!(units.set_frozen(&id(), false).await.unwrap(), Outcome::Unchanged);
    assert_eq!(units.set_frozen(&id(), true).await.unwrap(), Outcome::Changed);
    assert!(units.status(&id()).await.unwrap().frozen);
    assert_eq!(units.set_frozen(&id(), true).await.unwrap(), Outcome::Unchanged);
    assert_eq!(units.set_frozen(&id(), false).await.unwrap(), Outcome::Changed);
    assert_eq!(shared.calls(), ["FreezeUnit", "ThawUnit"]);
}

#[tokio::test]
async fn the_error_of_a_machine_without_freezer_names_the_requirements() {
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

/// A manager whose unit has the quota `own`, and a control group with or without `cpu.max`.
async fn manager_with_quota(
    own: Option<&str>,
    cpu_max: bool,
) -> (SystemdUnits, fake::Shared, TempDir) {
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
    let bus = Bus::from_peer(peer, Duration::from_millis(50));
    (SystemdUnits::from_peer(bus, root.path()), shared, root)
}

/// Asserts that no cap remains for the next attempt, and that no reload is due.
fn assert_nothing_is_left(shared: &fake::Shared, root: &TempDir) {
    let text = fs::read_to_string(root.path().join(BOUND)).unwrap();
    assert!(!text.contains("CPUQuota"), "{text}");
    assert!(text.contains("[Service]"), "a file with nothing at all in it would be a mask");
    assert!(!root.path().join("run/brain-in-jar/bounds/brain-experiment@x.service.json").exists());
    assert!(!shared.calls().contains(&"Reload".to_owned()));
}

/// Sets a quota as `systemctl set-property --runtime` does.
fn set_by_operator(shared: &fake::Shared, root: &TempDir, percent: &str) {
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
async fn the_tighter_of_cap_and_quota_applies_and_the_definitions_quota_comes_back() {
    for (own, half, back) in [
        (None, 500_000, None),
        (Some("150%"), 500_000, Some(1_500_000)),
        (Some("20%"), 200_000, Some(200_000)),
    ] {
        let (units, shared, root) = manager_with_quota(own, true).await;
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
async fn a_stop_removes_the_cap_and_an_inactive_unit_gets_none() {
    let (units, shared, root) = manager_with_quota(Some("150%"), true).await;
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
async fn a_cap_without_effect_is_removed_and_reported() {
    let (units, shared, root) = manager_with_quota(None, false).await;
    for _ in 0..2 {
        let error = units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap_err();
        assert!(matches!(error, UnitError::Unsupported(_)), "{error:?}");
        assert_eq!(quota(&shared), None);
        assert_nothing_is_left(&shared, &root);
    }
    assert_eq!(units.status(&id()).await.unwrap().resources.cpu_quota.and_then(Limit::at), None);
}

#[tokio::test]
async fn an_operators_earlier_quota_limits_the_cap_and_comes_back() {
    for (theirs, capped) in [("80%", 500_000), ("30%", 300_000)] {
        let (units, shared, root) = manager_with_quota(Some("150%"), true).await;
        set_by_operator(&shared, &root, theirs);
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
async fn a_quota_that_an_operator_sets_over_a_cap_stays_when_the_cap_is_removed() {
    for theirs in ["200%", ""] {
        let (units, shared, root) = manager_with_quota(Some("150%"), true).await;
        units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
        set_by_operator(&shared, &root, theirs);
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
async fn a_cap_that_another_process_left_behind_is_removed() {
    let (units, shared, root) = manager_with_quota(Some("150%"), true).await;
    units.set_cpu_cap(&id(), Some(Percent::new(50))).await.unwrap();
    let next = SystemdUnits::with_manager(units.manager.unwrap(), root.path());
    assert_eq!(next.set_cpu_cap(&id(), None).await.unwrap(), Outcome::Changed);
    assert_eq!(quota(&shared), Some(1_500_000));
    assert_nothing_is_left(&shared, &root);
}

#[tokio::test]
async fn a_reload_happens_only_where_systemd_lost_the_order_of_drop_ins() {
    let (units, shared, root) = manager_with_quota(None, true).await;
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
async fn a_masked_unit_is_distinguished_from_an_inactive_one() {
    let masked = World { load_state: "masked".into(), ..World::default() };
    assert!(units(masked).await.0.status(&id()).await.unwrap().masked);
    assert!(!units(World::default()).await.0.status(&id()).await.unwrap().masked);
}
