//! Which run a start belongs to.

use crate::{BootId, RunNumber, StartKind};

/// What a start must know of its experiment's runs to find its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The run of the newest attempt, unless it is over.
    pub newest: Option<NewestRun>,
    /// The runs that were let start and have not begun since, each with the boot it was let start
    /// in; in starting order.
    pub starting: Vec<(RunNumber, BootId)>,
    /// The first in starting order of those that wait and that nobody holds.
    pub waiting: Option<RunNumber>,
    /// The highest number of all its runs, those that are over included.
    pub highest: Option<RunNumber>,
}

/// The run of an experiment's newest attempt, which is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestRun {
    /// Its number.
    pub number: RunNumber,
    /// The boot of its newest attempt.
    pub boot: BootId,
    /// Whether a reboot or heat ended that attempt.
    pub interrupted: bool,
    /// Whether it is still what that attempt made it: running. One that was put back into the queue
    /// since is not.
    pub running: bool,
}

/// Where a start goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The run it belongs to.
    pub run: RunNumber,
    /// A run that thereby turns out to have given up.
    pub gave_up: Option<RunNumber>,
}

impl Continuation {
    /// Decides for a start in `boot`.
    ///
    /// What the supervisor brings back carries on what was there. Otherwise the word of a
    /// coordinator, who has let a run start in this boot, goes before all. Without one, a run that
    /// a reboot, a power cut or heat has interrupted goes on; a fresh start in the boot in which the last
    /// attempt crashed means that systemd did not bring it back: the run had used up its restarts.
    /// Then the queue is asked, and a run that it does not have is a new one.
    pub fn decide(standing: &Standing, start: StartKind, boot: BootId) -> Self {
        let Standing { newest, starting, waiting, highest } = standing;
        let running = newest.filter(|newest| newest.running);
        let others_than = |run| running.map(|newest| newest.number).filter(|number| *number != run);
        let goes_on = |run| Self { run, gave_up: None };
        if let (StartKind::Restart, Some(newest)) = (start, running) {
            return goes_on(newest.number);
        }
        if let Some((run, _)) = starting.iter().find(|(_, admitted)| *admitted == boot) {
            return Self { run: *run, gave_up: others_than(*run) };
        }
        if let (StartKind::Restart, Some(newest)) = (start, newest) {
            return goes_on(newest.number);
        }
        if let Some(newest) = running.filter(|newest| newest.boot != boot || newest.interrupted) {
            return goes_on(newest.number);
        }
        // What was let start in a boot that is over waits like any other, and was ahead of them.
        let stale = starting.first().map(|(run, _)| *run);
        let new = RunNumber(highest.map_or(1, |highest| highest.0 + 1));
        let run = stale.or(*waiting).unwrap_or(new);
        Self { run, gave_up: others_than(run) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: BootId = BootId::from_bytes([1; 16]);
    const THERE: BootId = BootId::from_bytes([2; 16]);
    const FIRST: RunNumber = RunNumber(1);
    const SECOND: RunNumber = RunNumber(2);
    const THIRD: RunNumber = RunNumber(3);

    /// The first run has lived in this boot and is open, and the third is the newest.
    fn lived() -> Standing {
        let newest = NewestRun { number: FIRST, boot: HERE, interrupted: false, running: true };
        Standing { newest: Some(newest), highest: Some(THIRD), ..Standing::default() }
    }

    fn put_back() -> Standing {
        let mut standing = lived();
        standing.newest.as_mut().unwrap().running = false;
        standing
    }

    fn run(standing: &Standing, start: StartKind, boot: BootId) -> (u32, Option<u32>) {
        let Continuation { run, gave_up } = Continuation::decide(standing, start, boot);
        (run.0, gave_up.map(|number| number.0))
    }

    #[test]
    fn a_restart_carries_on_whatever_else_waits() {
        for boot in [HERE, THERE] {
            let all = Standing { starting: vec![(SECOND, boot)], waiting: Some(THIRD), ..lived() };
            assert_eq!(run(&all, StartKind::Restart, boot), (1, None));
        }
        assert_eq!(run(&put_back(), StartKind::Restart, HERE), (1, None));
    }

    #[test]
    fn what_was_let_start_in_this_boot_goes_before_all_but_a_restart() {
        let admitted = vec![(SECOND, HERE)];
        let both = Standing { starting: admitted.clone(), waiting: Some(THIRD), ..lived() };
        assert_eq!(run(&both, StartKind::Fresh, HERE), (2, Some(1)), "another one gave up");
        let queued = Standing { starting: admitted, ..put_back() };
        for start in [StartKind::Fresh, StartKind::Restart] {
            assert_eq!(run(&queued, start, HERE), (2, None), "what waits again did not give up");
        }
        let itself = Standing { starting: vec![(FIRST, HERE)], ..put_back() };
        assert_eq!(run(&itself, StartKind::Fresh, HERE), (1, None));
    }

    #[test]
    fn a_run_that_a_reboot_or_power_cut_interrupted_goes_on() {
        let waiting = Standing { waiting: Some(THIRD), ..lived() };
        assert_eq!(run(&waiting, StartKind::Fresh, THERE), (1, None));
        let mut interrupted = waiting;
        interrupted.newest.as_mut().unwrap().interrupted = true;
        assert_eq!(run(&interrupted, StartKind::Fresh, HERE), (1, None));
    }

    #[test]
    fn a_fresh_start_after_a_crash_is_the_next_run_and_the_last_one_gave_up() {
        let next = Standing { waiting: Some(SECOND), ..lived() };
        assert_eq!(run(&next, StartKind::Fresh, HERE), (2, Some(1)));
        assert_eq!(run(&lived(), StartKind::Fresh, HERE), (4, Some(1)), "none waits: a new one");
    }

    #[test]
    fn a_run_that_was_put_back_is_one_of_those_that_wait() {
        let first = Standing { waiting: Some(FIRST), ..put_back() };
        assert_eq!(run(&first, StartKind::Fresh, HERE), (1, None));
        let held = put_back();
        assert_eq!(run(&held, StartKind::Fresh, THERE), (4, None), "what is held does not go on");
    }

    #[test]
    fn what_was_let_start_in_another_boot_is_the_first_of_those_that_wait() {
        let stale = Standing {
            starting: vec![(SECOND, THERE), (FIRST, THERE)],
            waiting: Some(THIRD),
            ..Standing::default()
        };
        assert_eq!(run(&stale, StartKind::Fresh, HERE), (2, None));
    }

    #[test]
    fn a_run_that_is_over_is_never_carried_on_and_no_number_is_used_twice() {
        let over = Standing { highest: Some(THIRD), ..Standing::default() };
        for start in [StartKind::Fresh, StartKind::Restart] {
            assert_eq!(run(&over, start, HERE), (4, None));
            assert_eq!(run(&Standing::default(), start, HERE), (1, None));
        }
    }
}
