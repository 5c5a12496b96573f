//! The recorder's thread.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bij_coordinator::Clock as _;
use bij_core::TimeSpan;
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::BoardRecorder;
use crate::coordinator::SystemClock;

/// How long to wait for further events, because a hundred submissions are a hundred events.
const SETTLE_TIME: TimeSpan = TimeSpan::from_millis(20);

/// How long the program waits at its end for the last reading, which a sensor may block.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Records on its own thread until the sender of `newest`, the loop, is dropped.
pub(in crate::coordinator) fn spawn(
    recorder: BoardRecorder,
    newest: watch::Receiver<u64>,
) -> io::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new()
        .name("record".to_owned())
        .spawn(move || runtime.block_on(record(recorder, newest)))
}

/// Waits for the end of the record. If a sensor blocks it for too long, the last minute is lost.
pub(in crate::coordinator) fn join(thread: JoinHandle<()>) {
    let begun = Instant::now();
    while !thread.is_finished() {
        if begun.elapsed() > EXIT_TIMEOUT {
            log::warn!("a sensor does not answer; the last readings of the board are lost");
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    if thread.join().is_err() {
        log::error!("the thread that records the board has panicked");
    }
}

/// Records whenever a reading is due, and at every event. After the first event the loop has migrated the database.
async fn record(mut recorder: BoardRecorder, mut newest: watch::Receiver<u64>) {
    let clock = SystemClock;
    loop {
        let due = recorder.due_in(clock.now());
        let time = async {
            match due {
                Some(span) => clock.sleep(span).await,
                None => std::future::pending().await,
            }
        };
        // Cancel-safe: an event is not lost, and the time is computed again.
        tokio::select! {
            changed = newest.changed() => match changed {
                Ok(()) => clock.sleep(SETTLE_TIME).await,
                Err(_) => return recorder.finish(),
            },
            () = time => {}
        }
        recorder.record(clock.now());
    }
}
