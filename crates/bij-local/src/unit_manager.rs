//! [`UnitManager`] and [`UnitRestrainer`] over the experiments that supervisors of this machine run.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bij_cgroup::CgroupRoot;
use bij_core::port::{FindError, Started, UnitError, UnitManager, UnitRestrainer};
use bij_core::{ActiveState, ExperimentId, Layout, Outcome, Percent, SubState, UnitStatus};

use crate::control::Control;
use crate::control_socket::{Answer, ExperimentLock, Request, request};
use crate::recovery;
use crate::resource_guard::{RestraintOutcome, RestraintRequest};
use crate::status::SupervisedState;
use crate::supervisor::{RunError, Supervisor};

const NEEDS_COORDINATOR: &str = "starting an experiment in the background needs a resident \
     coordinator; `bij run` supervises in the foreground";
const NO_BOOT: &str = "nothing starts experiments at boot where there is no systemd";

/// Interval and number of polls in which a start waits until the last supervision has ended.
const LEAVING_POLL_INTERVAL: Duration = Duration::from_millis(10);
const LEAVING_POLLS: usize = 300;

/// The experiments under supervision on this machine, by this process or another.
///
/// Status, stop and restraints go through the control socket of each experiment. Starting needs a
/// supervisor in this process ([`LocalUnits::with_supervisor`]).
#[derive(Clone, Debug)]
pub struct LocalUnits {
    layout: Layout,
    cgroups: Option<CgroupRoot>,
    supervisor: Option<Arc<Supervisor>>,
}

impl LocalUnits {
    /// Returns the experiments below a layout, without the means to start them. `cgroups` is the directory where cgroups
    /// are mounted.
    pub fn new(layout: Layout, cgroups: &Path) -> Self {
        Self { layout, cgroups: CgroupRoot::open(cgroups).ok(), supervisor: None }
    }

    /// Returns the experiments below the layout of `supervisor`, which starts them.
    pub fn with_supervisor(supervisor: Arc<Supervisor>) -> Self {
        let (layout, cgroups) = (supervisor.layout().clone(), supervisor.cgroups().cloned());
        Self { layout, cgroups, supervisor: Some(supervisor) }
    }

    /// Does blocking work on the runtime's blocking threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, UnitError> + Send + 'static,
    ) -> Result<T, UnitError> {
        let layout = self.layout.clone();
        let done = tokio::task::spawn_blocking(move || work(&layout)).await;
        done.unwrap_or_else(|lost| Err(UnitError::Unreachable(lost.into())))
    }

    fn supervisor(&self) -> Result<&Supervisor, UnitError> {
        self.supervisor.as_deref().ok_or(UnitError::Unsupported(NEEDS_COORDINATOR))
    }
}

impl UnitManager for LocalUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        let control = match start_or_find(self.supervisor()?, id).await? {
            Supervision::Begun(control) => control,
            Supervision::Here(control) if control.state().active != ActiveState::Active => control,
            Supervision::Here(_) | Supervision::Elsewhere => return Ok(Started::AlreadyUp),
        };
        let mut watch = control.watch();
        // As a start job of systemd: done when the experiment is up, failed when its first attempt
        // has failed.
        let decided = |state: &SupervisedState| {
            state.became_ready || state.is_down() || state.sub.is_waiting_for_restart()
        };
        let up = match watch.wait_for(decided).await {
            Ok(state) => state.became_ready,
            Err(_) => false,
        };
        if up {
            Ok(Started::Up)
        } else {
            let result = "failed".to_owned();
            Err(UnitError::Job { id: id.clone(), verb: "start", result, reason: None })
        }
    }

    async fn stop(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let (id, cgroups) = (id.clone(), self.cgroups.clone());
        self.blocking(move |layout| match request(layout, &id, &Request::Stop) {
            Ok(Some(Answer::Denied { uid })) => Err(denied(format!("stop {id}"), uid)),
            Ok(Some(Answer::Stopped { changed: true })) => Ok(Outcome::Changed),
            Ok(Some(_)) => Ok(Outcome::Unchanged),
            Ok(None) => kill_unsupervised(layout, cgroups.as_ref(), &id),
            Err(error) => Err(unreachable(&id, error)),
        })
        .await
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        // Without a way to start it again, the experiment must not be stopped.
        self.supervisor()?;
        self.stop(id).await?;
        self.start(id).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let id = id.clone();
        self.blocking(move |layout| match request(layout, &id, &Request::ResetFailed) {
            Ok(Some(Answer::Denied { uid })) => Err(denied(format!("reset {id}"), uid)),
            Ok(Some(Answer::Reset { changed: true })) => Ok(Outcome::Changed),
            Ok(Some(_)) => Ok(Outcome::Unchanged),
            Ok(None) => forget_failure(layout, &id),
            Err(error) => Err(unreachable(&id, error)),
        })
        .await
    }

    async fn set_enabled(&self, _: &ExperimentId, _: bool) -> Result<Outcome, UnitError> {
        Err(UnitError::Unsupported(NO_BOOT))
    }

    async fn status(&self, id: &ExperimentId) -> Result<UnitStatus, UnitError> {
        let id = id.clone();
        self.blocking(move |layout| {
            let state = read_state(layout, &id)?;
            Ok(state.map_or_else(|| UnitStatus::down(id), SupervisedState::into_unit_status))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.blocking(|layout| {
            let mut units = Vec::new();
            for id in SupervisedState::ids(layout) {
                units.extend(read_state(layout, &id)?.map(SupervisedState::into_unit_status));
            }
            Ok(units)
        })
        .await
    }
}

impl UnitRestrainer for LocalUnits {
    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        let id = id.clone();
        self.blocking(move |layout| send_restraint(layout, &id, RestraintRequest::Frozen(frozen)))
            .await
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        let id = id.clone();
        self.blocking(move |layout| send_restraint(layout, &id, RestraintRequest::CpuCap(cap)))
            .await
    }
}

/// Which supervisor runs an experiment after a start.
enum Supervision {
    /// This one, since this start.
    Begun(Control),
    /// This one, since an earlier start.
    Here(Control),
    /// The supervisor of another process.
    Elsewhere,
}

/// Takes an experiment under supervision, or finds its supervisor. Waits while an earlier
/// supervision ends.
async fn start_or_find(
    supervisor: &Supervisor,
    id: &ExperimentId,
) -> Result<Supervision, UnitError> {
    for _ in 0..LEAVING_POLLS {
        match supervisor.start(id) {
            Ok(control) => return Ok(Supervision::Begun(control)),
            Err(RunError::AlreadyRunning { .. }) => {}
            Err(error) => return Err(start_refused(id, error)),
        }
        match supervisor.control(id) {
            Some(control) if control.state().is_down() => {
                tokio::time::sleep(LEAVING_POLL_INTERVAL).await;
            }
            Some(control) => return Ok(Supervision::Here(control)),
            None => return Ok(Supervision::Elsewhere),
        }
    }
    Ok(Supervision::Elsewhere)
}

/// Returns the state of an experiment from its supervisor, else from the state file.
fn read_state(layout: &Layout, id: &ExperimentId) -> Result<Option<SupervisedState>, UnitError> {
    match request(layout, id, &Request::Status) {
        Ok(Some(Answer::Status { state })) => return Ok(Some(*state)),
        Ok(_) => {}
        Err(error) => return Err(unreachable(id, error)),
    }
    let Some(mut state) = SupervisedState::read(layout, id) else { return Ok(None) };
    // A supervisor that holds the lock is about to listen or to end, and the state file is right.
    if !state.is_down() && !ExperimentLock::is_taken(layout, id) {
        state.active = ActiveState::Failed;
        state.sub = SubState::Failed;
        state.main_pid = None;
        state.status_text = Some(
            "its supervisor is gone; the next start records the end of this attempt".to_owned(),
        );
    }
    Ok(Some(state))
}

/// Kills the processes that a killed supervisor has left running.
fn kill_unsupervised(
    layout: &Layout,
    cgroups: Option<&CgroupRoot>,
    id: &ExperimentId,
) -> Result<Outcome, UnitError> {
    let Some(mut state) = SupervisedState::read(layout, id).filter(|state| !state.is_down()) else {
        return Ok(Outcome::Unchanged);
    };
    match ExperimentLock::take(layout, id) {
        Ok(Some(_lock)) => {
            let found = recovery::kill_orphans(cgroups, &mut state);
            // If the file is another user's, the counters are lost, but the processes are gone.
            let _ = state.write(layout);
            Ok(if found { Outcome::Changed } else { Outcome::Unchanged })
        }
        // A new supervisor has just taken the experiment and kills them.
        Ok(None) => Ok(Outcome::Unchanged),
        Err(error) => Err(unreachable(id, error)),
    }
}

/// Forgets the failure of an experiment without a supervisor.
fn forget_failure(layout: &Layout, id: &ExperimentId) -> Result<Outcome, UnitError> {
    let failed =
        SupervisedState::read(layout, id).filter(|state| state.active == ActiveState::Failed);
    if failed.is_none() {
        return Ok(Outcome::Unchanged);
    }
    match SupervisedState::forget(layout, id) {
        Ok(true) => Ok(Outcome::Changed),
        Ok(false) => Ok(Outcome::Unchanged),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(UnitError::Denied { action: format!("reset {id}"), source: source.into() })
        }
        Err(error) => Err(unreachable(id, error)),
    }
}

fn start_refused(id: &ExperimentId, error: RunError) -> UnitError {
    match error {
        RunError::Definition { source: FindError::Missing { id, .. }, .. } => {
            UnitError::NotFound(id)
        }
        RunError::Runtime { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            UnitError::Denied { action: format!("start {id}"), source: source.into() }
        }
        error => UnitError::Refused { action: format!("start {id}"), source: error.into() },
    }
}

fn denied(action: String, uid: u32) -> UnitError {
    let source = format!("its supervisor takes no orders from uid {uid}").into();
    UnitError::Denied { action, source }
}

fn unreachable(id: &ExperimentId, error: io::Error) -> UnitError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return UnitError::Denied {
            action: format!("read the status of {id}"),
            source: error.into(),
        };
    }
    UnitError::Unreachable(error.into())
}

const NO_FREEZER: &str = "the supervisor of this experiment cannot freeze it";
const NO_BANDWIDTH: &str = "the processor time of this experiment cannot be capped: that needs a \
     cgroup of its own, with the cpu controller, and a kernel with CONFIG_CFS_BANDWIDTH";

/// Has the supervisor of an experiment freeze or throttle it. An experiment without a supervisor is down and stays unchanged.
fn send_restraint(
    layout: &Layout,
    id: &ExperimentId,
    restraint: RestraintRequest,
) -> Result<Outcome, UnitError> {
    let (verb, unsupported) = match restraint {
        RestraintRequest::Frozen(true) => ("freeze", NO_FREEZER),
        RestraintRequest::Frozen(false) => ("thaw", NO_FREEZER),
        RestraintRequest::CpuCap(_) => ("cap the processor time of", NO_BANDWIDTH),
    };
    let action = format!("{verb} {id}");
    let outcome = match request(layout, id, &Request::Restrain { request: restraint }) {
        Ok(Some(Answer::Restrained { outcome })) => outcome,
        Ok(Some(Answer::Denied { uid })) => return Err(denied(action, uid)),
        // A supervisor of an older version does not know the request.
        Ok(Some(_)) => RestraintOutcome::Unsupported,
        Ok(None) => RestraintOutcome::Unchanged,
        Err(error) => return Err(unreachable(id, error)),
    };
    match outcome {
        RestraintOutcome::Changed => Ok(Outcome::Changed),
        RestraintOutcome::Unchanged => Ok(Outcome::Unchanged),
        RestraintOutcome::Unsupported => Err(UnitError::Unsupported(unsupported)),
        RestraintOutcome::NotUp => {
            Err(UnitError::Refused { action, source: "it is not up".into() })
        }
        RestraintOutcome::Refused(why) => Err(UnitError::Refused { action, source: why.into() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bij_core::{BootId, Timestamp};

    use super::*;

    #[tokio::test]
    async fn a_stop_without_a_supervisor_counts_in_the_given_cgroup_tree() {
        let tree = tempfile::tempdir().unwrap();
        let group = tree.path().join("cgroup/x");
        fs::create_dir_all(&group).unwrap();
        fs::write(tree.path().join("cgroup/cgroup.controllers"), "memory\n").unwrap();
        fs::write(group.join("cgroup.procs"), "").unwrap();
        fs::write(group.join("memory.max"), "max\n").unwrap();
        fs::write(group.join("memory.events"), "oom_kill 3\n").unwrap();
        let (layout, id) = (Layout::system(tree.path()), ExperimentId::new("x").unwrap());
        fs::create_dir_all(layout.local()).unwrap();
        let boot = BootId::from_bytes([1; 16]);
        let mut state = SupervisedState::new(id.clone(), boot, Timestamp::from_micros(0));
        state.active = ActiveState::Active;
        state.cgroup_procs = vec![group.join("cgroup.procs")];
        state.write(&layout).unwrap();
        let units = LocalUnits::new(layout.clone(), &tree.path().join("cgroup"));
        assert_eq!(units.stop(&id).await.unwrap(), Outcome::Unchanged, "no process was left");
        let counted = SupervisedState::read(&layout, &id).unwrap().counted.unwrap();
        assert_eq!(counted.oom_kills, Some(3));
    }
}
