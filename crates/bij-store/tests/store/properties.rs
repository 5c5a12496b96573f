//! For any sequence of events, the database, alone or with its spool, has the same history as the model.

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

/// One event of a sequence.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Open(Opening),
    Close(Box<Closing>),
    /// The process is replaced by another one.
    Restart,
    /// The database is locked, or unlocked if it was.
    ToggleLock,
    ApplySpool,
    /// Another boot closes the open attempts.
    Boot(u8),
    Submit(Vec<Submission>),
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

/// Openings of so few attempts that many steps are about the same one. The number decides the experiment,
/// but not the boot.
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

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => opening().prop_map(Step::Open),
        6 => (opening(), evidence())
            .prop_map(|(opening, evidence)| Step::Close(Box::new(fixture::end(&opening, evidence)))),
        1 => Just(Step::Restart),
        1 => Just(Step::ToggleLock),
        1 => Just(Step::ApplySpool),
        1 => (1_u8..=3).prop_map(Step::Boot),
        3 => submissions().prop_map(Step::Submit),
        5 => prop::collection::vec(change(), 1..4).prop_map(Step::Change),
    ]
}

fn other_boots(ledger: &mut impl Ledger, boot: BootId, now: Timestamp) -> Vec<Attempt> {
    close_other_boots(ledger, boot, now, |_| RecoveredEnd::default()).unwrap()
}

/// The whole content of a ledger and its queue, except for the events.
#[derive(Debug, PartialEq)]
pub(crate) struct LedgerContent {
    attempts: Vec<Attempt>,
    open: Vec<Attempt>,
    tallies: BTreeMap<ExperimentId, Tally>,
    queue: Queue,
    pub(crate) runs: Vec<Option<RunState>>,
}

pub(crate) fn content(ledger: &(impl Ledger + RunQueue)) -> LedgerContent {
    let mut queue = ledger.load().unwrap();
    queue.runs.sort_by(|a, b| a.order().cmp(&b.order()));
    let runs = ["a", "b#2", "c#9"];
    let state = |text: &str| ledger.run_state(&text.parse().unwrap()).unwrap();
    LedgerContent {
        attempts: ledger.attempts(&AttemptQuery::default()).unwrap(),
        open: ledger.attempts(&AttemptQuery { open: true, ..Default::default() }).unwrap(),
        tallies: ledger.tallies().unwrap(),
        queue,
        runs: runs.map(state).into(),
    }
}

pub(crate) fn events(queue: &impl RunQueue) -> Vec<Event> {
    queue.events(0, usize::MAX).unwrap()
}

fn robust(directory: &Path) -> RobustLedger {
    RobustLedger::new(directory.join("state.db"), directory.join("spool"))
        .with_busy_timeout(Duration::ZERO)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_store_and_its_spool_have_the_same_content_as_the_model(
        steps in prop::collection::vec(step(), 1..30)
    ) {
        // In memory where possible: no step is about the disk.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = directory.path().join("store.db");
        let mut model = MemoryLedger::default();
        let mut store = Store::open(&path).unwrap();
        drop(Store::open(directory.path().join("state.db")).unwrap());
        let mut ledger = robust(directory.path());
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
                    // The spool cannot know that the locked database has the record already.
                    let outcome = ledger.close(closing).unwrap();
                    prop_assert!(outcome == expected || lock.is_some());
                }
                Step::Restart => {
                    store = Store::open(&path).unwrap();
                    ledger = robust(directory.path());
                }
                Step::ToggleLock => {
                    lock = match lock {
                        None => Some(Lock::hold(&directory.path().join("state.db"))),
                        Some(lock) => { Lock::release(lock); None }
                    };
                }
                Step::ApplySpool => {
                    prop_assert!(ledger.apply_spool().is_ok() || lock.is_some());
                }
                Step::Boot(number) => {
                    let boot = fixture::boot(*number);
                    let now = fixture::at(9000);
                    let expected = other_boots(&mut model, boot, now);
                    prop_assert_eq!(&other_boots(&mut store, boot, now), &expected);
                    prop_assert_eq!(&other_boots(&mut ledger, boot, now), &expected);
                }
                // A locked database refuses, and changes nothing.
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
            let expected = content(&model);
            prop_assert_eq!(&content(&store), &expected, "the store after {:?}", step);
            prop_assert_eq!(&content(&ledger), &expected, "with its spool, after {:?}", step);
        }
        drop(lock);
        ledger.apply_spool().unwrap();
        let store = Store::open(directory.path().join("state.db")).unwrap();
        prop_assert_eq!(&content(&store), &content(&model));
        prop_assert_eq!(&events(&store), &events(&model));
    }
}
