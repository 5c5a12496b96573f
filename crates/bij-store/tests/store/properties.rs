//! Whatever happens in whatever order: the database, alone or with its spool, tells the same
//! history as the model.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bij_core::port::{AttemptQuery, Change, Closing, Ledger, LedgerError, Opening, RunQueue};
use bij_core::queue::{Event, Group, GroupName, Pause, Queue, Submission, Terms};
use bij_core::{
    Attempt, BootId, Evidence, ExperimentId, OrderKind, RecoveredEnd, RunState, StartKind, Tally,
    Timestamp, close_other_boots,
};
use bij_sim::MemoryLedger;
use bij_sim::contract::{ledger_fixture as fixture, run_queue_fixture as queue};
use bij_store::{RobustLedger, Store};
use proptest::prelude::*;

use crate::lock::Lock;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Open(Opening),
    Close(Box<Closing>),
    /// The process dies and another one goes on.
    Die,
    /// Somebody begins, or ends, to keep the database locked.
    Lock,
    /// What is set aside is taken in, as far as possible.
    TakeIn,
    /// Another boot closes what is open.
    Boot(u8),
    /// Runs are taken in.
    Submit(Vec<Submission>),
    /// The queue is changed.
    Change(Vec<Change>),
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let plain = prop_oneof![
        Just(fixture::success()),
        Just(fixture::oom_kill()),
        Just(fixture::segfault()),
        Just(fixture::exit(1)),
        Just(fixture::exit(75)),
        Just(fixture::exit(78)),
        Just(fixture::ordered(OrderKind::Stop)),
        Just(fixture::ordered(OrderKind::Shutdown)),
    ];
    (plain, prop::option::of(0_u64..50)).prop_map(|(evidence, checkpoint)| match checkpoint {
        Some(step) => fixture::with_checkpoint(step, evidence),
        None => evidence,
    })
}

/// Few enough attempts that many steps speak of the same one; which experiment's one is follows
/// from its number, which boot it lives in does not.
fn opening() -> impl Strategy<Value = Opening> {
    (1_u8..=2, 1_u32..=9, -7200_i64..7200, any::<bool>()).prop_map(|(boot, number, at, asked)| {
        let name = ["a", "b", "c"][usize::try_from(number % 3).unwrap()];
        let start = if asked { StartKind::Fresh } else { StartKind::Restart };
        Opening { start, at: fixture::at(at), ..fixture::fresh(name, boot, number) }
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c"])
}

fn submissions() -> impl Strategy<Value = Vec<Submission>> {
    let one = (name(), -1..=1, any::<bool>()).prop_map(|(name, priority, held)| Submission {
        terms: Terms { priority, ..Terms::default() },
        held: held.then(|| "bob".to_owned()),
        ..queue::submission(name)
    });
    prop::collection::vec(one, 0..4)
}

fn change() -> impl Strategy<Value = Change> {
    let run = (name(), 1_u32..6).prop_map(|(name, number)| format!("{name}#{number}"));
    (run, 0..9_i64, -3..20_i64).prop_map(|(run, what, number)| {
        let by = || "bob".to_owned();
        let id = || queue::run(&run);
        let times = u32::try_from(what).unwrap();
        let name = GroupName::default();
        match what {
            0 => queue::put_back(&run),
            1 => queue::hold(&run),
            2 => queue::let_start(&run, if number < 8 { 1 } else { 2 }),
            3 => queue::cancel(&run),
            4 => queue::move_to(&run, number),
            5 => {
                let priority = i32::try_from(number % 3).unwrap();
                let terms = Box::new(Terms { priority, ..Terms::default() });
                Change::Edit { run: id(), terms, by: by() }
            }
            6 => Change::Bypassed { run: id(), times },
            7 if number < 8 => Change::RemoveGroup { name, by: by() },
            7 => {
                let slots = u32::try_from(number).ok();
                Change::SetGroup { group: Group { name, slots, paused: None }, by: by() }
            }
            _ => {
                let pause = Pause { by: by(), since: fixture::at(number) };
                Change::Pause { pause: (number % 2 == 0).then_some(pause), by: by() }
            }
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => opening().prop_map(Step::Open),
        6 => (opening(), evidence())
            .prop_map(|(opening, evidence)| Step::Close(Box::new(fixture::end(&opening, evidence)))),
        1 => Just(Step::Die),
        1 => Just(Step::Lock),
        1 => Just(Step::TakeIn),
        1 => (1_u8..=3).prop_map(Step::Boot),
        3 => submissions().prop_map(Step::Submit),
        5 => prop::collection::vec(change(), 1..4).prop_map(Step::Change),
    ]
}

fn other_boots(ledger: &mut impl Ledger, boot: BootId, now: Timestamp) -> Vec<Attempt> {
    close_other_boots(ledger, boot, now, |_| RecoveredEnd::default()).unwrap()
}

/// Everything that a ledger and its queue tell, but for the events.
#[derive(Debug, PartialEq)]
struct Told {
    attempts: Vec<Attempt>,
    open: Vec<Attempt>,
    tallies: BTreeMap<ExperimentId, Tally>,
    queue: Queue,
    runs: Vec<Option<RunState>>,
}

fn told(ledger: &(impl Ledger + RunQueue)) -> Told {
    let mut queue = ledger.load().unwrap();
    queue.runs.sort_by(|a, b| a.order().cmp(&b.order()));
    let asked = ["a", "b#2", "c#9"];
    let state = |text: &str| ledger.run_state(&text.parse().unwrap()).unwrap();
    Told {
        attempts: ledger.attempts(&AttemptQuery::default()).unwrap(),
        open: ledger.attempts(&AttemptQuery { open: true, ..Default::default() }).unwrap(),
        tallies: ledger.tallies().unwrap(),
        queue,
        runs: asked.map(state).into(),
    }
}

fn events(queue: &impl RunQueue) -> Vec<Event> {
    queue.events(0, usize::MAX).unwrap()
}

fn robust(directory: &Path) -> RobustLedger {
    RobustLedger::new(directory.join("state.db"), directory.join("spool"))
        .with_patience(Duration::ZERO)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_store_and_its_spool_tell_what_the_model_tells(
        steps in prop::collection::vec(step(), 1..30)
    ) {
        // Kept in memory where that can be had: no step here is about the disk.
        let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = place.path().join("store.db");
        let mut model = MemoryLedger::default();
        let mut store = Store::open(&path).unwrap();
        drop(Store::open(&place.path().join("state.db")).unwrap());
        let mut ledger = robust(place.path());
        let mut lock = None;
        for step in steps {
            match &step {
                Step::Open(opening) => {
                    let expected = model.open(opening).unwrap();
                    prop_assert_eq!(&store.open(opening).unwrap(), &expected);
                    prop_assert_eq!(&ledger.open(opening).unwrap(), &expected);
                }
                Step::Close(closing) => {
                    let expected = model.close(closing).unwrap();
                    prop_assert_eq!(store.close(closing).unwrap(), expected);
                    // What is set aside cannot know that the database has it already.
                    let outcome = ledger.close(closing).unwrap();
                    prop_assert!(outcome == expected || lock.is_some());
                }
                Step::Die => {
                    store = Store::open(&path).unwrap();
                    ledger = robust(place.path());
                }
                Step::Lock => {
                    lock = match lock {
                        None => Some(Lock::hold(&place.path().join("state.db"))),
                        Some(lock) => { Lock::release(lock); None }
                    };
                }
                Step::TakeIn => {
                    prop_assert!(ledger.take_in().is_ok() || lock.is_some());
                }
                Step::Boot(number) => {
                    let boot = fixture::boot(*number);
                    let now = fixture::at(9000);
                    let expected = other_boots(&mut model, boot, now);
                    prop_assert_eq!(&other_boots(&mut store, boot, now), &expected);
                    prop_assert_eq!(&other_boots(&mut ledger, boot, now), &expected);
                }
                // What is locked refuses, and changes nothing.
                Step::Submit(all) if lock.is_some() => {
                    let refused = ledger.submit(all, fixture::at(1));
                    prop_assert!(matches!(refused, Err(LedgerError::Busy(_))), "{refused:?}");
                }
                Step::Change(all) if lock.is_some() => {
                    let refused = ledger.change(all, fixture::at(1));
                    prop_assert!(matches!(refused, Err(LedgerError::Busy(_))), "{refused:?}");
                }
                Step::Submit(all) => {
                    let expected = model.submit(all, fixture::at(1)).unwrap();
                    prop_assert_eq!(&store.submit(all, fixture::at(1)).unwrap(), &expected);
                    prop_assert_eq!(&ledger.submit(all, fixture::at(1)).unwrap(), &expected);
                }
                Step::Change(all) => {
                    let expected = model.change(all, fixture::at(1)).unwrap();
                    prop_assert_eq!(&store.change(all, fixture::at(1)).unwrap(), &expected);
                    prop_assert_eq!(&ledger.change(all, fixture::at(1)).unwrap(), &expected);
                }
            }
            prop_assert_eq!(&events(&store), &events(&model), "after {:?}", step);
            let expected = told(&model);
            prop_assert_eq!(&told(&store), &expected, "the store after {:?}", step);
            prop_assert_eq!(&told(&ledger), &expected, "with its spool, after {:?}", step);
        }
        drop(lock);
        ledger.take_in().unwrap();
        let taken_in = Store::open(&place.path().join("state.db")).unwrap();
        prop_assert_eq!(&told(&taken_in), &told(&model));
        prop_assert_eq!(&events(&taken_in), &events(&model));
    }
}
