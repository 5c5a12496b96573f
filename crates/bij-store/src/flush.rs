//! When a commit reaches the disk.

use bij_core::port::Change;
use bij_core::queue::{Origin, QueueState, Submission};

/// When a commit reaches the disk. The log is one file: what is flushed takes all before it along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before the call returns.
    Now,
    /// With the next commit that is flushed, or when the kernel gets to it. A process that is killed
    /// loses nothing.
    Later,
}

impl Flush {
    /// A start from elsewhere is either let in, and then its attempt is flushed, or turned away, and
    /// then the event of that is.
    pub(crate) fn of_submissions(submissions: &[Submission]) -> Self {
        Self::later_if(submissions.iter().all(|run| run.origin == Origin::Start))
    }

    /// A start that a power cut comes before has to be asked for again, and a run that another boot
    /// let start is put back: without this change it waits as well.
    pub(crate) fn of_changes(changes: &[Change]) -> Self {
        let lets_start = |change: &Change| {
            matches!(change, Change::State { state: QueueState::Starting { .. }, .. })
        };
        Self::later_if(changes.iter().all(lets_start))
    }

    /// The value of `PRAGMA synchronous` (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
    pub(crate) const fn synchronous(self) -> &'static str {
        match self {
            Self::Now => "FULL",
            Self::Later => "NORMAL",
        }
    }

    const fn later_if(whether: bool) -> Self {
        if whether { Self::Later } else { Self::Now }
    }
}

#[cfg(test)]
mod tests {
    use bij_core::port::RunQueue as _;
    use bij_core::queue::QueuedRun;
    use bij_sim::contract::{ledger_fixture as fixture, run_queue_fixture as queue};

    use super::*;
    use crate::Store;

    fn started() -> Submission {
        Submission { origin: Origin::Start, ..queue::submission("x") }
    }

    fn starting(run: &QueuedRun) -> Change {
        let state = QueueState::Starting { boot: fixture::boot(1) };
        Change::State { run: run.run.clone(), from: None, state, why: String::new() }
    }

    #[test]
    fn a_submission_is_flushed_and_so_is_all_that_somebody_asked_for() {
        assert_eq!(Flush::of_submissions(&[queue::submission("x")]), Flush::Now);
        assert_eq!(Flush::of_submissions(&[started(), queue::submission("x")]), Flush::Now);
        let pause = Change::Pause { pause: None, by: String::new() };
        assert_eq!(Flush::of_changes(&[pause]), Flush::Now);
    }

    #[test]
    fn after_a_start_that_was_let_in_the_next_write_is_flushed_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(&directory.path().join("state.db")).unwrap();
        let run = store.submit(&[started()], fixture::at(0)).unwrap().remove(0);
        let changes = [starting(&run)];
        assert_eq!(Flush::of_changes(&changes), Flush::Later);
        store.change(&changes, fixture::at(1)).unwrap();
        let level = |store: &mut Store| -> i64 {
            let pragma = "PRAGMA synchronous";
            store.connection().query_row(pragma, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(level(&mut store), 2, "FULL");
        let nobodys = Change::State {
            run: "y#1".parse().unwrap(),
            from: None,
            state: QueueState::Starting { boot: fixture::boot(1) },
            why: String::new(),
        };
        store.change(&[nobodys], fixture::at(2)).unwrap();
        assert_eq!(level(&mut store), 2, "also where nothing was changed");
    }
}
