//! [`UnitManager`] over experiments that supervisors of this machine look after.

mod steer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bij_core::port::{DefinitionSource, FindError, Ledger, Started, UnitError, UnitManager};
use bij_core::{ActiveState, ExperimentId, Layout, Outcome, Percent, UnitStatus};

use crate::control_socket::{Answer, Handler as _, Request, Seat, ask};
use crate::desk::Desk;
use crate::jar::Steer;
use crate::leftovers;
use crate::status::State;
use crate::supervisor::{RunError, Supervisor};

const NEEDS_COORDINATOR: &str = "starting an experiment in the background needs a resident \
     coordinator; `bij run` supervises in the foreground";
const NO_BOOT: &str = "nothing starts experiments at boot where there is no systemd";

/// How often, and how long in all, a start waits for the last supervision of the experiment to
/// clear away what is left of it.
const LEAVING_LOOK: Duration = Duration::from_millis(10);
const LEAVING_LOOKS: usize = 300;

/// The experiments under supervision on this machine, whoever supervises them.
///
/// It works beside a supervisor in another process: it looks and stops through the socket that
/// stands beside each experiment. Only one that was given a supervisor of this process can start.
#[derive(Clone)]
pub struct LocalUnits {
    layout: Layout,
    starter: Option<Arc<dyn Starter>>,
}

/// What can start experiments in this process.
trait Starter: Send + Sync {
    /// Puts an experiment under supervision.
    fn start(&self, id: &ExperimentId) -> Result<Desk, RunError>;

    /// The desk of one that was put there before.
    fn desk(&self, id: &ExperimentId) -> Option<Desk>;
}

impl<L, D> Starter for Supervisor<L, D>
where
    L: Ledger + Send + 'static,
    D: DefinitionSource + 'static,
{
    fn start(&self, id: &ExperimentId) -> Result<Desk, RunError> {
        Self::start(self, id)
    }

    fn desk(&self, id: &ExperimentId) -> Option<Desk> {
        Self::desk(self, id)
    }
}

impl LocalUnits {
    /// The experiments below a layout, seen from outside.
    pub fn new(layout: Layout) -> Self {
        Self { layout, starter: None }
    }

    /// The experiments below a supervisor's layout; the supervisor starts them.
    pub fn with_supervisor<L, D>(supervisor: Arc<Supervisor<L, D>>) -> Self
    where
        L: Ledger + Send + 'static,
        D: DefinitionSource + 'static,
    {
        Self { layout: supervisor.layout().clone(), starter: Some(supervisor) }
    }

    /// Does blocking work where it does no harm.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, UnitError> + Send + 'static,
    ) -> Result<T, UnitError> {
        let layout = self.layout.clone();
        let done = tokio::task::spawn_blocking(move || work(&layout)).await;
        done.unwrap_or_else(|lost| Err(UnitError::Unreachable(lost.into())))
    }

    fn starter(&self) -> Result<&Arc<dyn Starter>, UnitError> {
        self.starter.as_ref().ok_or(UnitError::Unsupported(NEEDS_COORDINATOR))
    }
}

impl fmt::Debug for LocalUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalUnits")
            .field("layout", &self.layout)
            .field("starts", &self.starter.is_some())
            .finish()
    }
}

impl UnitManager for LocalUnits {
    async fn start(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        let starter = self.starter()?;
        let desk = match seat_anew(&**starter, id).await? {
            Seated::Here(desk) => desk,
            Seated::Before(desk) if desk.state().active != ActiveState::Active => desk,
            Seated::Before(_) | Seated::Elsewhere => return Ok(Started::AlreadyUp),
        };
        let mut watch = desk.watch();
        // As a start job of systemd: done when it is up, failed when its first attempt has failed.
        let decided =
            |state: &State| state.became_ready || state.is_down() || state.sub == "auto-restart";
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
        let id = id.clone();
        self.blocking(move |layout| match ask(layout, &id, &Request::Stop) {
            Ok(Some(Answer::Denied { uid })) => Err(denied(format!("stop {id}"), uid)),
            Ok(Some(Answer::Stopped { changed: true })) => Ok(Outcome::Changed),
            Ok(Some(_)) => Ok(Outcome::Unchanged),
            Ok(None) => clear_up(layout, &id),
            Err(error) => Err(unreachable(&id, error)),
        })
        .await
    }

    async fn restart(&self, id: &ExperimentId) -> Result<Started, UnitError> {
        // Who cannot start must not stop.
        self.starter()?;
        self.stop(id).await?;
        self.start(id).await
    }

    async fn reset_failed(&self, id: &ExperimentId) -> Result<Outcome, UnitError> {
        let id = id.clone();
        self.blocking(move |layout| match ask(layout, &id, &Request::ResetFailed) {
            Ok(Some(Answer::Denied { uid })) => Err(denied(format!("reset {id}"), uid)),
            Ok(Some(Answer::Reset { changed: true })) => Ok(Outcome::Changed),
            Ok(Some(_)) => Ok(Outcome::Unchanged),
            Ok(None) => forget(layout, &id),
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
            let state = look(layout, &id)?;
            Ok(state.map_or_else(|| UnitStatus::down(id), State::into_unit_status))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<UnitStatus>, UnitError> {
        self.blocking(|layout| {
            let mut units = Vec::new();
            for id in State::ids(layout) {
                units.extend(look(layout, &id)?.map(State::into_unit_status));
            }
            Ok(units)
        })
        .await
    }

    async fn set_frozen(&self, id: &ExperimentId, frozen: bool) -> Result<Outcome, UnitError> {
        let id = id.clone();
        self.blocking(move |layout| steer::steer(layout, &id, Steer::Frozen(frozen))).await
    }

    async fn set_cpu_cap(
        &self,
        id: &ExperimentId,
        cap: Option<Percent>,
    ) -> Result<Outcome, UnitError> {
        let id = id.clone();
        self.blocking(move |layout| steer::steer(layout, &id, Steer::CpuCap(cap))).await
    }

    async fn reload(&self) -> Result<(), UnitError> {
        // Definitions are read at every start.
        Ok(())
    }
}

/// Where a start has found its experiment.
enum Seated {
    /// Nowhere: it begins here and now.
    Here(Desk),
    /// Under this supervisor already.
    Before(Desk),
    /// Under the supervisor of another process.
    Elsewhere,
}

/// Puts an experiment under supervision; waits for the end of one that is just about to end.
async fn seat_anew(starter: &dyn Starter, id: &ExperimentId) -> Result<Seated, UnitError> {
    for _ in 0..LEAVING_LOOKS {
        match starter.start(id) {
            Ok(desk) => return Ok(Seated::Here(desk)),
            Err(RunError::AlreadyRunning { .. }) => {}
            Err(error) => return Err(refused(id, error)),
        }
        match starter.desk(id) {
            Some(desk) if desk.state().is_down() => tokio::time::sleep(LEAVING_LOOK).await,
            Some(desk) => return Ok(Seated::Before(desk)),
            None => return Ok(Seated::Elsewhere),
        }
    }
    Ok(Seated::Elsewhere)
}

/// The state of an experiment: from its supervisor, else what the last one has kept.
fn look(layout: &Layout, id: &ExperimentId) -> Result<Option<State>, UnitError> {
    match ask(layout, id, &Request::Status) {
        Ok(Some(Answer::Status { state })) => return Ok(Some(*state)),
        Ok(_) => {}
        Err(error) => return Err(unreachable(id, error)),
    }
    let Some(mut state) = State::read(layout, id) else { return Ok(None) };
    // It may be about to listen, or to leave; what it has kept is true then.
    if !state.is_down() && !Seat::is_taken(layout, id) {
        state.active = ActiveState::Failed;
        "failed".clone_into(&mut state.sub);
        state.main_pid = None;
        state.status_text = Some("its supervisor is gone; the next start counts this".to_owned());
    }
    Ok(Some(state))
}

/// Ends what a supervisor that was killed has left running.
fn clear_up(layout: &Layout, id: &ExperimentId) -> Result<Outcome, UnitError> {
    let Some(mut state) = State::read(layout, id).filter(|state| !state.is_down()) else {
        return Ok(Outcome::Unchanged);
    };
    match Seat::take(layout, id) {
        Ok(Some(_seat)) => {
            let found = leftovers::clear_standing(Path::new("/sys/fs/cgroup"), &mut state);
            // Another user's: what was counted is lost, and the processes are gone.
            let _ = state.write(layout);
            Ok(if found { Outcome::Changed } else { Outcome::Unchanged })
        }
        // Somebody has just begun to supervise it, and clears up.
        Ok(None) => Ok(Outcome::Unchanged),
        Err(error) => Err(unreachable(id, error)),
    }
}

/// Forgets the failure of an experiment that nobody supervises.
fn forget(layout: &Layout, id: &ExperimentId) -> Result<Outcome, UnitError> {
    let failed = State::read(layout, id).filter(|state| state.active == ActiveState::Failed);
    if failed.is_none() {
        return Ok(Outcome::Unchanged);
    }
    match State::forget(layout, id) {
        Ok(true) => Ok(Outcome::Changed),
        Ok(false) => Ok(Outcome::Unchanged),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(UnitError::Denied { action: format!("reset {id}"), source: source.into() })
        }
        Err(error) => Err(unreachable(id, error)),
    }
}

fn refused(id: &ExperimentId, error: RunError) -> UnitError {
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
        return UnitError::Denied { action: format!("look at {id}"), source: error.into() };
    }
    UnitError::Unreachable(error.into())
}
