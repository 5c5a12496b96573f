//! Tests of `kill`.

use super::*;

fn leaving(sub_state: &str) -> World {
    World { active_state: "deactivating".into(), sub_state: sub_state.into(), ..World::default() }
}

#[tokio::test(start_paused = true)]
async fn a_kill_waits_for_the_hook_that_records_the_end() {
    for state in ["stop-sigterm", "stop-post"] {
        let (units, shared) = units(leaving(state)).await;
        units.kill(&id()).await.unwrap();
        assert_eq!(shared.calls(), ["KillUnit main", "KillUnit all"], "{state}");
        assert_eq!(shared.change(|world| world.active_state.clone()), "failed", "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_waits_only_so_long_for_a_hook_that_does_not_end() {
    let (units, shared) = units(World { hook_stays: u32::MAX, ..leaving("stop-post") }).await;
    units.kill(&id()).await.unwrap();
    assert_eq!(shared.calls(), ["KillUnit main", "KillUnit all", "a hook was killed"]);
}

#[tokio::test(start_paused = true)]
async fn an_inactive_unit_is_not_killed() {
    let (units, shared) = units(World::default()).await;
    units.kill(&id()).await.unwrap();
    assert_eq!(shared.calls(), ["KillUnit main"]);
}
