//! Durability of a commit.

use bij_core::port::Change;
use bij_core::queue::{Origin, QueueState, Submission};

/// When a commit reaches the disk. A flush of the log includes all earlier commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before the call returns.
    Now,
    /// With the next flushed commit, or when the kernel writes the file back. A kill loses nothing.
    Later,
}

impl Flush {
    /// Returns [`Flush::Later`] if all runs come from starts outside of the queue: the write that follows,
    /// of the attempt or of the refusal, is flushed.
    pub(crate) fn for_submissions(submissions: &[Submission]) -> Self {
        Self::later_if(submissions.iter().all(|run| run.origin == Origin::Start))
    }

    /// Returns [`Flush::Later`] if all changes let runs start: after a power cut, the next boot puts such
    /// runs back to waiting, where they also are without the change.
    pub(crate) fn for_changes(changes: &[Change]) -> Self {
        let is_start = |change: &Change| {
            matches!(change, Change::State { state: QueueState::Starting { .. }, .. })
        };
        Self::later_if(changes.iter().all(is_start))
    }

    /// The value of `PRAGMA synchronous` (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
    pub(crate) const fn synchronous(self) -> &'static str {
        match self {
            Self::Now => "FULL",
            Self::Later => "NORMAL",
        }
    }

    const fn later_if(condition: bool) -> Self {
        if condition { Self::Later } else { Self::Now }
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
    fn submissions_and_requested_changes_are_flushed() {
        assert_eq!(Flush::for_submissions(&[queue::submission("x")]), Flush::Now);
        assert_eq!(Flush::for_submissions(&[started(), queue::submission("x")]), Flush::Now);
        let pause = Change::Pause { pause: None, by: String::new() };
        assert_eq!(Flush::for_changes(&[pause]), Flush::Now);
    }

    #[test]
    fn the_write_after_an_admitted_start_is_flushed_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(&directory.path().join("state.db")).unwrap();
        let run = store.submit(&[started()], fixture::at(0)).unwrap().remove(0);
        let changes = [starting(&run)];
        assert_eq!(Flush::for_changes(&changes), Flush::Later);
        store.change(&changes, fixture::at(1)).unwrap();
        let level = |store: &mut Store| -> i64 {
            let pragma = "PRAGMA synchronous";
            store.connection().query_row(pragma, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(level(&mut store), 2, "FULL");
        let unknown_run = Change::State {
            run: "y#1".parse().unwrap(),
            from: None,
            state: QueueState::Starting { boot: fixture::boot(1) },
            why: String::new(),
        };
        store.change(&[unknown_run], fixture::at(2)).unwrap();
        assert_eq!(level(&mut store), 2, "also where nothing was changed");
    }
}
