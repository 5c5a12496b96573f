//! The loop around the loop: requests, outcomes and time wake a coordinator.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use bij_core::TimeSpan;
use futures_util::future::{Either, select};

use crate::coordinator::Finished;
use crate::handle::{Inbox, Message};
use crate::{Coordinator, Now, Ports};

/// Tells the time and waits for it.
pub trait Clock {
    /// What the clocks show.
    fn now(&self) -> Now;

    /// Waits for so long.
    fn sleep(&self, span: TimeSpan) -> impl Future<Output = ()> + Send;
}

/// So many requests are taken up between two ticks.
const AT_ONCE: usize = 256;
/// The longest sleep where nothing is due: a day, so that no clock's limits are met.
const LONGEST: TimeSpan = TimeSpan::from_secs(86_400);

/// What has woken the coordinator.
enum Wake {
    /// So many requests are there; with none, nobody will ask any more.
    Asked(usize),
    Finished(Finished),
    Time,
}

/// Runs a coordinator until the last handle is gone, and gives it back.
///
/// Calls to the store block, so it wants a thread of its own, with a runtime of its own that runs
/// nothing else: requests gather meanwhile, and submissions that have gathered share a transaction.
/// Dropped, it stops between two steps, as if it had been killed: nothing is lost.
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
        inbox.newest.send_if_modified(|told| std::mem::replace(told, newest) != newest);
        let wish = coordinator.power_wish();
        inbox.power_wish.send_if_modified(|told| {
            let is_news = *told != wish;
            *told = wish;
            is_news
        });
        let lives = coordinator.lives();
        inbox.lives.send_if_modified(|told| {
            let is_news = **told != lives;
            if is_news {
                *told = Arc::new(lives);
            }
            is_news
        });
        let due = coordinator.next_look().map_or(LONGEST.as_micros(), |due| {
            due.as_micros().saturating_sub(now.uptime.as_micros()).min(LONGEST.as_micros())
        });
        match next(&mut coordinator, &mut inbox, &mut messages, clock, due).await {
            Wake::Asked(0) => return coordinator,
            Wake::Asked(_) => answer(&mut coordinator, messages.drain(..), clock.now()),
            Wake::Finished(finished) => coordinator.finish(finished, clock.now()),
            Wake::Time => {}
        }
    }
}

/// Waits for the first of all that may happen. Each of them loses nothing when another one wins:
/// `recv_many` takes either nothing or all it returns, what is under way stays so, and time passes
/// anyway.
async fn next<P: Ports>(
    coordinator: &mut Coordinator<P>,
    inbox: &mut Inbox<P>,
    messages: &mut Vec<Message<P>>,
    clock: &impl Clock,
    due: u64,
) -> Wake {
    let asked = pin!(inbox.receiver.recv_many(messages, AT_ONCE));
    let finished = pin!(coordinator.next_finished());
    let time = pin!(clock.sleep(TimeSpan::from_micros(due)));
    match select(finished, select(asked, time)).await {
        Either::Left((finished, _)) => Wake::Finished(finished),
        Either::Right((Either::Left((count, _)), _)) => Wake::Asked(count),
        Either::Right((Either::Right(((), _)), _)) => Wake::Time,
    }
}

/// Does what is asked, in order; submissions that follow each other are taken in together.
fn answer<P: Ports>(
    coordinator: &mut Coordinator<P>,
    messages: impl Iterator<Item = Message<P>>,
    now: Now,
) {
    let mut requests = Vec::new();
    let mut callers = Vec::new();
    let take_in =
        |coordinator: &mut Coordinator<P>, requests: &mut Vec<_>, callers: &mut Vec<_>| {
            let answers = coordinator.submit_together(std::mem::take(requests), now);
            for (caller, answer) in callers.drain(..).zip(answers) {
                let caller: tokio::sync::oneshot::Sender<_> = caller;
                // Who has hung up meanwhile finds the runs in the queue.
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
                take_in(coordinator, &mut requests, &mut callers);
                work(coordinator, now);
            }
        }
    }
    take_in(coordinator, &mut requests, &mut callers);
}
