//! The recorder's thread.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bij_coordinator::Clock as _;
use bij_core::TimeSpan;
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::Recorder;
use crate::coordinator::SystemClock;

/// What happens together is looked at together: a hundred submissions are a hundred events.
const SETTLES_WITHIN: TimeSpan = TimeSpan::from_micros(20_000);

/// How long the end of the program waits for the last look, which a sensor may hold up.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

/// Records on a thread of its own until the sender of `newest`, which is the loop, is gone.
pub(in crate::coordinator) fn spawn(
    recorder: Recorder,
    newest: watch::Receiver<u64>,
) -> io::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new()
        .name("record".to_owned())
        .spawn(move || runtime.block_on(record(recorder, newest)))
}

/// Waits for the end of the record, unless a sensor holds it up: then the last minute is lost.
pub(in crate::coordinator) fn join(thread: JoinHandle<()>) {
    let begun = Instant::now();
    while !thread.is_finished() {
        if begun.elapsed() > LEAVES_WITHIN {
            log::warn!("a sensor does not answer; what was sampled last is not kept");
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    if thread.join().is_err() {
        log::error!("the record of the board has panicked");
    }
}

/// Looks whenever it is time, and at every change. The first of them says that the loop has made the
/// database what it should be.
async fn record(mut recorder: Recorder, mut newest: watch::Receiver<u64>) {
    let clock = SystemClock;
    loop {
        let due = recorder.due_in(clock.now());
        let time = async {
            match due {
                Some(span) => clock.sleep(span).await,
                None => std::future::pending().await,
            }
        };
        // Both lose nothing when the other one wins: a change stays one, and time passes anyway.
        tokio::select! {
            changed = newest.changed() => match changed {
                Ok(()) => clock.sleep(SETTLES_WITHIN).await,
                Err(_) => return recorder.leave(),
            },
            () = time => {}
        }
        recorder.look(clock.now());
    }
}
