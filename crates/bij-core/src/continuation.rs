//! Which run a start belongs to.

use crate::{BootId, RunNumber, StartKind};

/// The runs of an experiment that a start may belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCandidates {
    /// The run of the newest attempt, unless that run has ended.
    pub newest: Option<NewestRun>,
    /// The admitted runs without an attempt since their admission, each with the boot of its admission; in
    /// starting order.
    pub starting: Vec<(RunNumber, BootId)>,
    /// The first waiting run in starting order; held runs do not count.
    pub waiting: Option<RunNumber>,
    /// The highest number of all its runs, ended runs included.
    pub highest: Option<RunNumber>,
}

/// The run of an experiment's newest attempt, while that run has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestRun {
    /// The number of the run.
    pub number: RunNumber,
    /// The boot of its newest attempt.
    pub boot: BootId,
    /// Whether a reboot, the end of the user's service manager or heat ended that attempt.
    pub interrupted: bool,
    /// Whether the run is still in the running state; `false` if it was requeued since.
    pub running: bool,
}

/// The run that a start belongs to, and what the start reveals about another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The run that the start belongs to.
    pub run: RunNumber,
    /// A run that must have used up its restarts, because another run starts now.
    pub gave_up: Option<RunNumber>,
}

impl Continuation {
    /// Decides which run a start in `boot` belongs to.
    ///
    /// A restart by the supervisor continues the running run. Otherwise a run that a coordinator admitted in
    /// this boot comes first. Without one, a run interrupted by a reboot, a power cut or heat continues. A
    /// fresh start in the boot of a crashed attempt means that systemd did not restart it, because the run had
    /// used up its restarts. Then the first queued run starts, or a new run if none is queued.
    pub fn decide(candidates: &RunCandidates, start: StartKind, boot: BootId) -> Self {
        let RunCandidates { newest, starting, waiting, highest } = candidates;
        let running = newest.filter(|newest| newest.running);
        let other_than = |run| running.map(|newest| newest.number).filter(|number| *number != run);
        let continued = |run| Self { run, gave_up: None };
        if let (StartKind::Restart, Some(newest)) = (start, running) {
            return continued(newest.number);
        }
        if let Some((run, _)) = starting.iter().find(|(_, admitted)| *admitted == boot) {
            return Self { run: *run, gave_up: other_than(*run) };
        }
        if let (StartKind::Restart, Some(newest)) = (start, newest) {
            return continued(newest.number);
        }
        if let Some(newest) = running.filter(|newest| newest.boot != boot || newest.interrupted) {
            return continued(newest.number);
        }
        // A run admitted in an earlier boot waits again, ahead of the other waiting runs.
        let stale = starting.first().map(|(run, _)| *run);
        let new = RunNumber(highest.map_or(1, |highest| highest.0 + 1));
        let run = stale.or(*waiting).unwrap_or(new);
        Self { run, gave_up: other_than(run) }
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

    /// The first run has had an attempt in this boot and is running; the third has the highest number.
    fn first_is_running() -> RunCandidates {
        let newest = NewestRun { number: FIRST, boot: HERE, interrupted: false, running: true };
        RunCandidates { newest: Some(newest), highest: Some(THIRD), ..RunCandidates::default() }
    }

    fn first_is_requeued() -> RunCandidates {
        let mut candidates = first_is_running();
        candidates.newest.as_mut().unwrap().running = false;
        candidates
    }

    fn run(candidates: &RunCandidates, start: StartKind, boot: BootId) -> (u32, Option<u32>) {
        let Continuation { run, gave_up } = Continuation::decide(candidates, start, boot);
        (run.0, gave_up.map(|number| number.0))
    }

    #[test]
    fn a_restart_continues_the_running_run_before_any_other() {
        for boot in [HERE, THERE] {
            let all = RunCandidates {
                starting: vec![(SECOND, boot)],
                waiting: Some(THIRD),
                ..first_is_running()
            };
            assert_eq!(run(&all, StartKind::Restart, boot), (1, None));
        }
        assert_eq!(run(&first_is_requeued(), StartKind::Restart, HERE), (1, None));
    }

    #[test]
    fn a_run_admitted_in_this_boot_comes_before_all_but_a_restart() {
        let admitted = vec![(SECOND, HERE)];
        let both = RunCandidates {
            starting: admitted.clone(),
            waiting: Some(THIRD),
            ..first_is_running()
        };
        assert_eq!(run(&both, StartKind::Fresh, HERE), (2, Some(1)), "another one gave up");
        let queued = RunCandidates { starting: admitted, ..first_is_requeued() };
        for start in [StartKind::Fresh, StartKind::Restart] {
            assert_eq!(run(&queued, start, HERE), (2, None), "a requeued run has not given up");
        }
        let itself = RunCandidates { starting: vec![(FIRST, HERE)], ..first_is_requeued() };
        assert_eq!(run(&itself, StartKind::Fresh, HERE), (1, None));
    }

    #[test]
    fn a_run_interrupted_by_a_reboot_or_power_cut_continues() {
        let waiting = RunCandidates { waiting: Some(THIRD), ..first_is_running() };
        assert_eq!(run(&waiting, StartKind::Fresh, THERE), (1, None));
        let mut interrupted = waiting;
        interrupted.newest.as_mut().unwrap().interrupted = true;
        assert_eq!(run(&interrupted, StartKind::Fresh, HERE), (1, None));
    }

    #[test]
    fn a_fresh_start_after_a_crash_is_the_next_run_and_the_last_run_gave_up() {
        let next = RunCandidates { waiting: Some(SECOND), ..first_is_running() };
        assert_eq!(run(&next, StartKind::Fresh, HERE), (2, Some(1)));
        assert_eq!(
            run(&first_is_running(), StartKind::Fresh, HERE),
            (4, Some(1)),
            "none waits: a new one"
        );
    }

    #[test]
    fn a_requeued_run_starts_like_any_waiting_run() {
        let first = RunCandidates { waiting: Some(FIRST), ..first_is_requeued() };
        assert_eq!(run(&first, StartKind::Fresh, HERE), (1, None));
        let held = first_is_requeued();
        assert_eq!(run(&held, StartKind::Fresh, THERE), (4, None), "a held run does not continue");
    }

    #[test]
    fn a_run_admitted_in_another_boot_comes_before_the_waiting_runs() {
        let stale = RunCandidates {
            starting: vec![(SECOND, THERE), (FIRST, THERE)],
            waiting: Some(THIRD),
            ..RunCandidates::default()
        };
        assert_eq!(run(&stale, StartKind::Fresh, HERE), (2, None));
    }

    #[test]
    fn an_ended_run_is_never_continued_and_no_number_is_used_twice() {
        let over = RunCandidates { highest: Some(THIRD), ..RunCandidates::default() };
        for start in [StartKind::Fresh, StartKind::Restart] {
            assert_eq!(run(&over, start, HERE), (4, None));
            assert_eq!(run(&RunCandidates::default(), start, HERE), (1, None));
        }
    }
}
