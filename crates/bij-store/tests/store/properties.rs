//! Whatever happens in whatever order: the database, alone or with its spool, tells the same
//! history as the model.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bij_core::port::{AttemptQuery, Closing, Ledger, Opening};
use bij_core::{
    Attempt, BootId, Evidence, ExperimentId, LastWords, OrderKind, StartKind, Tally, Timestamp,
    close_other_boots,
};
use bij_sim::MemoryLedger;
use bij_sim::contract::ledger_fixture as fixture;
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

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => opening().prop_map(Step::Open),
        6 => (opening(), evidence())
            .prop_map(|(opening, evidence)| Step::Close(Box::new(fixture::end(&opening, evidence)))),
        1 => Just(Step::Die),
        1 => Just(Step::Lock),
        1 => Just(Step::TakeIn),
        1 => (1_u8..=3).prop_map(Step::Boot),
    ]
}

fn other_boots(ledger: &mut impl Ledger, boot: BootId, now: Timestamp) -> Vec<Attempt> {
    close_other_boots(ledger, boot, now, |_| LastWords::default()).unwrap()
}

type Told = (Vec<Attempt>, Vec<Attempt>, BTreeMap<ExperimentId, Tally>);

/// Everything that a ledger tells.
fn told(ledger: &impl Ledger) -> Told {
    let attempts = ledger.attempts(&AttemptQuery::default()).unwrap();
    let open = ledger.attempts(&AttemptQuery { open: true, ..Default::default() }).unwrap();
    (attempts, open, ledger.tallies().unwrap())
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
            }
            let expected = told(&model);
            prop_assert_eq!(&told(&store), &expected, "the store after {:?}", step);
            prop_assert_eq!(&told(&ledger), &expected, "with its spool, after {:?}", step);
        }
        drop(lock);
        ledger.take_in().unwrap();
        let taken_in = Store::open(&place.path().join("state.db")).unwrap();
        prop_assert_eq!(&told(&taken_in), &told(&model));
    }
}
