//! How attempts live and die: exit codes, signals, environment, failures of the start.

mod support;

use bij_core::{Cause, Exit, ServiceResult};
use bij_local::{Ending, Event};
use support::{World, once, script};

#[tokio::test(flavor = "multi_thread")]
async fn a_success_is_started_ready_and_recorded() {
    let world = World::new();
    let story = world.run(script("x", "echo hello; echo oops >&2; exit 0")).await;
    assert_eq!(story.ending(), &Ending::Success);
    let mut printed = story.printed();
    printed.sort_unstable();
    assert_eq!(printed, ["hello", "oops"]);
    let end = story.end();
    assert_eq!((end.cause, end.evidence.exit), (Cause::Success, Some(Exit::Code(0))));
    assert!(end.evidence.became_ready);
    let attempts = world.attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].end.as_ref(), Some(end));
    assert!(attempts[0].ready.is_some());
    assert!(matches!(story.0[0], Event::Started { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_signals_are_causes() {
    let world = World::new();
    for (name, text, cause, exit, result) in [
        ("three", "exit 3", Cause::Exit, Exit::Code(3), ServiceResult::ExitCode),
        ("segv", "kill -SEGV $$", Cause::Signal, Exit::Signal(11), ServiceResult::Signal),
        ("kill", "kill -KILL $$", Cause::Signal, Exit::Signal(9), ServiceResult::Signal),
    ] {
        let story = world.run(once(name, &format!("ulimit -c 0; {text}"))).await;
        let end = story.end();
        assert_eq!((end.cause, end.evidence.exit), (cause, Some(exit)), "{name}");
        assert_eq!(end.evidence.service_result, Some(result), "{name}");
        assert!(matches!(story.ending(), Ending::GaveUp { .. }), "{name}");
    }
}
