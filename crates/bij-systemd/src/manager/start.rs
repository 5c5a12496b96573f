//! Starts units, and reads what became of a start before systemd unloads the unit.

use bij_core::{ActiveState, InvocationId, SubState};

use super::{JobKind, JobMode, JobSuccess, Manager, Operation};
use crate::bus::call;
use crate::job::JobRequest;
use crate::properties::UnitProperties;
use crate::{ManagerError, UnitName};

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartedUnit {
    /// The invocation id of this start, which selects its lines in the journal; `None` if systemd has unloaded the
    /// unit before it could be read, which happens only to callers that may not keep a unit loaded.
    pub invocation: Option<InvocationId>,
    /// The state of the unit after the job: a unit that did its work already is inactive.
    pub active_state: ActiveState,
    /// The low-level state of the unit after the job.
    pub sub_state: SubState,
    /// Whether a condition of the unit did not allow the start (`Condition…=`, `ExecCondition=`), which is no failure.
    pub is_skipped: bool,
    /// Whether the start failed, as of a program that cannot be executed. Only of a transient service, whose end has the
    /// cause; a failed start of any other unit is an error.
    pub is_failed: bool,
}

const OF_UNIT: [&str; 5] =
    ["ActiveState", "SubState", "InvocationID", "ConditionResult", "ConditionTimestampMonotonic"];

impl Manager {
    /// Starts a unit and waits until it is up. A unit that is up already stays so.
    ///
    /// # Errors
    /// [`ManagerError::Job`] if the job failed, otherwise the manager's error.
    pub async fn start(&self, unit: &UnitName) -> Result<StartedUnit, ManagerError> {
        self.start_by(unit, JobKind::Start).await
    }

    /// Starts a unit, and stops it before if it is up.
    ///
    /// # Errors
    /// [`ManagerError::Job`] if the job failed, otherwise the manager's error.
    pub async fn restart(&self, unit: &UnitName) -> Result<StartedUnit, ManagerError> {
        self.start_by(unit, JobKind::Restart).await
    }

    async fn start_by(&self, unit: &UnitName, kind: JobKind) -> Result<StartedUnit, ManagerError> {
        let request = JobRequest::subscribe(&self.bus, unit).await?;
        let read = async |ended| self.started(unit, ended?).await;
        self.run_pinned(unit, request, kind, async {}, read).await?
    }

    /// Runs a job to its end while the unit stays loaded, and returns what `read` makes of it. What is sent by `before`
    /// goes first, and nothing waits for its answer alone.
    ///
    /// systemd unloads a unit that is down again at once, and with it the result. A reference keeps it loaded; without
    /// the right to one the result is less exact.
    pub(crate) async fn run_pinned<T>(
        &self,
        unit: &UnitName,
        request: JobRequest<'_>,
        kind: JobKind,
        before: impl Future<Output = ()>,
        read: impl AsyncFnOnce(Result<JobSuccess, ManagerError>) -> T,
    ) -> Result<T, ManagerError> {
        let operation = Operation::on_instance("pin", unit)?;
        let manager = self.bus.manager().await?;
        // The calls are sent in the order in which they are polled here.
        let ((), pinned, job) = tokio::join!(
            biased;
            before,
            call(operation.clone(), manager.ref_unit(unit.as_str())),
            request.send(kind, JobMode::Replace),
        );
        let ended = match job {
            Ok(job) => request.wait(kind, &job).await,
            Err(error) => Err(error),
        };
        let result = read(ended).await;
        if pinned.is_ok() {
            // If this fails, the reference ends with the connection.
            let _ = call(operation, manager.unref_unit(unit.as_str())).await;
        }
        Ok(result)
    }

    /// Reads what became of a start whose job has ended with this result.
    pub(crate) async fn started(
        &self,
        unit: &UnitName,
        job: JobSuccess,
    ) -> Result<StartedUnit, ManagerError> {
        let of_kind: &[&str] = match unit.kind() {
            crate::UnitKind::Service => &["Result"],
            _ => &[],
        };
        let properties = self.bus.some_properties(unit, &OF_UNIT, of_kind).await?;
        Ok(StartedUnit {
            invocation: properties.invocation(),
            active_state: properties.active_state(),
            sub_state: properties.sub_state(),
            is_skipped: job == JobSuccess::Skipped || is_refused_by_condition(&properties),
            is_failed: false,
        })
    }
}

/// Returns `true` if a condition prevented the unit's last start. A unit whose conditions were never checked was
/// loaded anew since: it ran and has ended.
pub(crate) fn is_refused_by_condition(properties: &UnitProperties) -> bool {
    let was_checked = properties.monotonic("ConditionTimestampMonotonic").is_some();
    let is_refused = properties.flag("ConditionResult") == Some(false)
        || properties.text("Result") == Some("exec-condition");
    properties.active_state() == ActiveState::Inactive && was_checked && is_refused
}
