//! Memory limits, enforced by a cgroup where one can be made, and by the watcher everywhere.

mod support;

use std::process::Command;

use bij_core::spec::OomPolicy;
use bij_core::{Bytes, Cause, Exit, Limit, MemoryLimit, PeakSource, ServiceResult};
use bij_local::{Backend, SupervisionEnd};
use support::{World, once, script};

const MIB: u64 = 1 << 20;

/// Allocates memory in steps and keeps it.
const GROW: &str = "exec perl -e 'my @a; for (1..400) { push @a, \"x\" x 1048576; \
     select undef, undef, undef, 0.005 } sleep 60'";

fn limited(text: &str, mib: u64) -> bij_core::spec::ExperimentSpec {
    let mut spec = once("x", text);
    spec.limits.memory = Some(MemoryLimit::Absolute(Limit::At(Bytes::new(mib * MIB))));
    spec.limits.swap = Some(MemoryLimit::Absolute(Limit::At(Bytes::new(0))));
    spec
}

#[expect(clippy::print_stderr, reason = "shows whether a cgroup or the watcher was tested")]
fn print_line(text: &str) {
    eprintln!("{text}");
}

/// Returns whether a cgroup enforced the memory limit. Otherwise prints that the test covered the
/// watcher, to which `Backend::Auto` falls back.
fn cgroup_holds(world: &World, evidence: &bij_core::Evidence) -> bool {
    let holds = evidence.memory_peak_source == Some(PeakSource::Kernel);
    if !holds {
        let notes = evidence.notes.join("; ");
        // Shown with `--no-capture`, and in the output of a failure.
        print_line(&format!(
            "no cgroup with memory ({:?}): tested the watcher: {notes}",
            world.backend
        ));
    }
    holds
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_kills_an_attempt_above_its_limit_and_notes_that_it_only_samples() {
    let world = World::with_backend(Backend::Watcher);
    let story = world.run(limited(GROW, 64)).await;
    let end = story.end();
    let evidence = &end.evidence;
    assert_eq!(end.cause, Cause::OomKill, "{evidence:?}");
    assert_eq!(evidence.service_result, Some(ServiceResult::OomKill));
    assert_eq!(evidence.exit, Some(Exit::Signal(9)));
    assert_eq!(evidence.oom_kills, Some(1));
    assert_eq!(evidence.memory_peak_source, Some(PeakSource::Sampled));
    assert_eq!(evidence.memory_max, Some(Limit::At(Bytes::new(64 * MIB))));
    let peak = evidence.memory_peak.unwrap().get() / MIB;
    assert!((60..=90).contains(&peak), "{peak} MiB");
    assert!(evidence.notes.iter().any(|note| note.contains("watcher")), "{:?}", evidence.notes);
    assert!(evidence.cpu_usage_nsec.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_for_memory_is_proved_with_and_without_a_cgroup() {
    let world = World::with_backend(Backend::Auto);
    let story = world.run(limited(GROW, 64)).await;
    let end = story.end();
    assert_eq!(end.cause, Cause::OomKill, "{:?}", end.evidence);
    assert_eq!(end.evidence.oom_kills, Some(1));
    if cgroup_holds(&world, &end.evidence) {
        let peak = end.evidence.memory_peak.unwrap();
        assert_eq!(peak, Bytes::new(64 * MIB), "the kernel lets nothing pass");
        let line = end.evidence.kernel_line.as_deref().unwrap_or("oom-kill: not readable");
        assert!(line.starts_with("oom-kill:"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_below_its_limit_is_not_killed() {
    for backend in [Backend::Watcher, Backend::Auto] {
        let world = World::with_backend(backend);
        let text = "perl -e 'my $x = \"x\" x (40 * 1048576); sleep 1'";
        let story = world.run(limited(text, 128)).await;
        let end = story.end();
        assert_eq!(end.cause, Cause::Success, "{backend:?}: {:?}", end.evidence);
        let peak = end.evidence.memory_peak.unwrap().get() / MIB;
        assert!((38..=128).contains(&peak), "{backend:?}: {peak} MiB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_the_whole_group_counts() {
    let world = World::with_backend(Backend::Watcher);
    let child = "perl -e 'my $x = \"x\" x (20 * 1048576); sleep 60' &";
    let text = format!("{}wait", format!("{child}\n").repeat(5));
    let story = world.run(limited(&text, 64)).await;
    assert_eq!(story.end().cause, Cause::OomKill, "{:?}", story.end().evidence);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_processes_share_counts_once() {
    let world = World::with_backend(Backend::Watcher);
    // One process fills 40 MiB and forks four times: resident memory sums up to 200 MiB, but only
    // 40 MiB are used.
    let text = "exec perl -e 'my $x = \"x\" x (20 * 1048576); for (1..4) { if (!fork) { sleep 1; \
                exit 0 } } sleep 2'";
    let story = world.run(limited(text, 96)).await;
    assert_eq!(story.end().cause, Cause::Success, "{:?}", story.end().evidence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_child_under_a_parent_that_ends_well_is_a_success_whose_evidence_says_so() {
    let world = World::with_backend(Backend::Auto);
    let story = world.run(limited(&format!("({GROW}); exit 0"), 64)).await;
    let end = story.end();
    if cgroup_holds(&world, &end.evidence) {
        assert_eq!(end.cause, Cause::Success, "{:?}", end.evidence);
        assert_eq!(end.evidence.oom_kills, Some(1));
        assert!(end.evidence.notes.iter().any(|note| note.contains("killed for memory")));
        assert_eq!(story.ending(), &SupervisionEnd::Success);
    } else {
        assert_eq!(end.cause, Cause::OomKill, "the watcher kills the whole group");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_outlives_a_killed_child_is_handled_by_the_oom_policy() {
    for (policy, cause) in
        [(OomPolicy::Stop, Cause::OomKill), (OomPolicy::Continue, Cause::Success)]
    {
        let world = World::with_backend(Backend::Auto);
        let mut spec = limited(&format!("({GROW}); sleep 3; exit 0"), 64);
        spec.limits.oom_policy = policy;
        let story = world.run(spec).await;
        let end = story.end();
        if cgroup_holds(&world, &end.evidence) {
            assert_eq!(end.cause, cause, "{policy:?}: {:?}", end.evidence);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_knows_of_a_kill_for_memory() {
    for backend in [Backend::Watcher, Backend::Auto] {
        let world = World::with_backend(backend);
        let text =
            format!("if [ $BIJ_ATTEMPT = 1 ]; then {GROW}; fi; echo $BIJ_CRASHES $BIJ_LAST_CAUSE");
        let mut spec = limited(&text, 64);
        spec.restart = script("x", "").restart;
        let story = world.run(spec).await;
        assert_eq!(story.printed(), ["1 oom-kill"], "{backend:?}");
        assert_eq!(story.causes(), [Cause::OomKill, Cause::Success]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cgroup_is_left_behind() {
    let world = World::with_backend(Backend::Auto);
    let story = world.run(limited("cat /proc/self/cgroup", 64)).await;
    let name = story.printed().into_iter().find(|line| line.contains("/bij-x-")).map(str::to_owned);
    let Some(name) = name else {
        assert!(!cgroup_holds(&world, &story.end().evidence));
        return;
    };
    let name = name.rsplit('/').next().unwrap().to_owned();
    let gone = || {
        let found = Command::new("find").args(["/sys/fs/cgroup", "-name", &name]).output().unwrap();
        found.stdout.is_empty()
    };
    support::until("the cgroup is removed", gone).await;
}
