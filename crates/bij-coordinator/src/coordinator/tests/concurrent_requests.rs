//! Requests of several clients at the same time.

use std::future::{Future, pending};

use bij_core::TimeSpan;
use bij_core::request::Submit;
use bij_sim::Script;
use futures_util::FutureExt;

use super::machine::*;
use crate::{Clock, Coordinator, Gone, Handle, Now, SubmitRequest, serve};

/// It stands still.
struct Still(Now);

impl Clock for Still {
    fn now(&self) -> Now {
        self.0
    }

    fn sleep(&self, _: TimeSpan) -> impl Future<Output = ()> + Send {
        pending()
    }
}

fn request(name: &str) -> SubmitRequest {
    SubmitRequest::new("alice", [Submit::new(id(name))])
}

#[tokio::test]
async fn many_ask_at_once_and_each_gets_its_own_answer() {
    let machine = Machine::new(2);
    machine.define("a", Script::runs());
    let clock = Still(machine.now());
    let ledger = machine.ledger.clone();
    let (handle, inbox) = Handle::<Lab>::new();
    let asking = async {
        let submissions = (0..200).map(|_| handle.submit(request("a")));
        let answers = futures_util::future::join_all(submissions).await;
        let mut numbers: Vec<u32> =
            answers.into_iter().map(|answer| answer.unwrap().unwrap()[0].run.0).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
        let refused = handle.submit(request("nobody")).await.unwrap();
        assert_eq!(refused.unwrap_err().to_string(), "nobody cannot be run");
        let queue = handle.ask(Coordinator::queue).await.unwrap();
        assert_eq!(queue.len(), 200);
        drop(handle);
    };
    let (coordinator, ()) = tokio::join!(serve(machine.coordinator, inbox, &clock), asking);
    assert_eq!(coordinator.status().waiting + coordinator.status().running, 200);
    assert_eq!(bij_core::port::RunQueue::load(&ledger).unwrap().runs.len(), 200);
}

#[tokio::test]
async fn a_client_that_hangs_up_in_mid_call_disturbs_no_other() {
    let machine = Machine::new(1);
    machine.define("a", Script::runs());
    let clock = Still(machine.now());
    let (handle, inbox) = Handle::<Lab>::new();
    let asking = async {
        // Asked for, and the answer not waited for.
        let mut call = Box::pin(handle.submit(request("a")));
        assert!((&mut call).now_or_never().is_none());
        drop(call);
        let queue = handle.ask(Coordinator::queue).await.unwrap();
        assert_eq!(queue.len(), 1);
        drop(handle);
    };
    tokio::join!(serve(machine.coordinator, inbox, &clock), asking);
}

#[tokio::test]
async fn a_coordinator_that_has_ended_says_so() {
    let (handle, inbox) = Handle::<Lab>::new();
    drop(inbox);
    assert_eq!(handle.ask(|_, _| ()).await, Err(Gone));
    assert_eq!(handle.unit_changed(id("a")).await, Err(Gone));
}
