//! Drives a coordinator: requests, results and time wake it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use bij_core::TimeSpan;
use futures_util::future::{Either, select};

use crate::coordinator::Finished;
use crate::handle::{Inbox, Message};
use crate::{Coordinator, Now, Ports};

/// A source of time.
pub trait Clock {
    /// Returns the readings of the clocks.
    fn now(&self) -> Now;

    /// Waits for this time span.
    fn sleep(&self, span: TimeSpan) -> impl Future<Output = ()> + Send;
}

/// Number of requests handled between two ticks.
const REQUESTS_PER_TICK: usize = 256;
/// Longest sleep when nothing is due: a day, well within the range of every clock.
const MAX_SLEEP: TimeSpan = TimeSpan::from_secs(86_400);

/// Event that has woken the coordinator.
enum Wake {
    /// Number of received requests; 0 when every handle has been dropped.
    Requests(usize),
    Finished(Finished),
    Time,
}

/// Runs a coordinator until the last handle is dropped, and returns it.
///
/// Calls to the store block, so it needs a thread and a runtime of its own that run nothing else. Requests
/// gather meanwhile, and submissions that have gathered share a transaction. Dropping the future stops the
/// coordinator between two steps, as if it had been killed: nothing is lost.
pub async fn serve<P: Ports>(
    mut coordinator: Coordinator<P>,
    mut inbox: Inbox<P>,
    clock: &impl Clock,
) -> Coordinator<P> {
    let mut messages = Vec::new();
    loop {
        let now = clock.now();
        coordinator.tick(now).await;
        let newest = coordinator.newest_event();
        inbox.newest.send_if_modified(|published| std::mem::replace(published, newest) != newest);
        let target = coordinator.power_target();
        inbox.power_target.send_if_modified(|published| {
            let has_changed = *published != target;
            *published = target;
            has_changed
        });
        let running_experiments = coordinator.running_experiments();
        inbox.running_experiments.send_if_modified(|published| {
            let has_changed = **published != running_experiments;
            if has_changed {
                *published = Arc::new(running_experiments);
            }
            has_changed
        });
        let due = coordinator.next_tick_due();
        let wait = due.map_or(MAX_SLEEP, |due| (due - now.uptime).min(MAX_SLEEP));
        match next(&mut coordinator, &mut inbox, &mut messages, clock, wait).await {
            Wake::Requests(0) => return coordinator,
            Wake::Requests(_) => answer(&mut coordinator, messages.drain(..), clock.now()),
            Wake::Finished(finished) => coordinator.finish(finished, clock.now()),
            Wake::Time => {}
        }
    }
}

/// Waits for the next event. All three waits are cancel-safe: `recv_many` takes either nothing or all that it
/// returns, operations under way stay so, and time passes anyway.
async fn next<P: Ports>(
    coordinator: &mut Coordinator<P>,
    inbox: &mut Inbox<P>,
    messages: &mut Vec<Message<P>>,
    clock: &impl Clock,
    wait: TimeSpan,
) -> Wake {
    let asked = pin!(inbox.receiver.recv_many(messages, REQUESTS_PER_TICK));
    let finished = pin!(coordinator.next_finished());
    let time = pin!(clock.sleep(wait));
    match select(finished, select(asked, time)).await {
        Either::Left((finished, _)) => Wake::Finished(finished),
        Either::Right((Either::Left((count, _)), _)) => Wake::Requests(count),
        Either::Right((Either::Right(((), _)), _)) => Wake::Time,
    }
}

/// Carries requests out in order; adjacent submissions share one transaction.
fn answer<P: Ports>(
    coordinator: &mut Coordinator<P>,
    messages: impl Iterator<Item = Message<P>>,
    now: Now,
) {
    let mut requests = Vec::new();
    let mut callers = Vec::new();
    let submit_gathered =
        |coordinator: &mut Coordinator<P>, requests: &mut Vec<_>, callers: &mut Vec<_>| {
            let answers = coordinator.submit_together(std::mem::take(requests), now);
            for (caller, answer) in callers.drain(..).zip(answers) {
                let caller: tokio::sync::oneshot::Sender<_> = caller;
                // A caller that no longer waits finds its runs in the queue.
                let _ = caller.send(answer);
            }
        };
    for message in messages {
        match message {
            Message::Submit(request, caller) => {
                requests.push(request);
                callers.push(caller);
            }
            Message::Work(work) => {
                submit_gathered(coordinator, &mut requests, &mut callers);
                work(coordinator, now);
            }
        }
    }
    submit_gathered(coordinator, &mut requests, &mut callers);
}
