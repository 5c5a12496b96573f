//! Services and scopes that exist without a unit file (systemd-run(1)).

use std::path::{Path, PathBuf};

use bij_core::{Bytes, CpuQuota, JobResult, Limit, TimeSpan};
use zbus::{OwnedObjectPath, Variant};

use crate::bus::call;
use crate::error::Operation;
use crate::job::{JobKind, JobMode, JobRequest, JobSuccess};
use crate::manager::{Manager, ManagerAddress, Property, PropertyValue, StartedUnit};
use crate::{ManagerError, UnitName};

mod end;

pub use end::{TransientUnit, UnitEnd};

/// When a service counts as started (systemd.service(5), `Type=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceType {
    /// When its program was executed, so that a program that does not exist fails the start.
    #[default]
    Exec,
    /// At once, before its program is executed.
    Simple,
    /// When its program has ended.
    Oneshot,
    /// When it sends `READY=1` (`sd_notify(3)`).
    Notify,
}

impl ServiceType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Simple => "simple",
            Self::Oneshot => "oneshot",
            Self::Notify => "notify",
        }
    }
}

/// Where a service writes its standard output or error (systemd.exec(5), `StandardOutput=`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// To the journal.
    #[default]
    Journal,
    /// Nowhere: to `/dev/null`.
    Null,
    /// Over a file from its beginning; the path is absolute. The file is not truncated.
    File(PathBuf),
    /// To the end of a file; the path is absolute. Since systemd 240.
    Append(PathBuf),
}

/// A service that is described by this value alone. It is stopped and unloaded like any other unit, and leaves nothing
/// behind.
///
/// ```no_run
/// use bij_core::Bytes;
/// use bij_systemd::{Manager, ManagerAddress, TransientService};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = Manager::connect(ManagerAddress::System).await?;
/// let service = TransientService::new("stress.service".parse()?, ["/usr/bin/tail", "/dev/zero"])
///     .memory_max(Bytes::new(64 << 20));
/// let end = manager.start_transient(&service).await?.wait().await?;
/// println!("{}: {:?}", end.cause, end.evidence.exit);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TransientService {
    name: UnitName,
    command: Vec<String>,
    environment: Vec<String>,
    writable: Vec<String>,
    properties: Vec<Property>,
}

impl TransientService {
    /// Creates a service that runs a command: the absolute path of a program, and its arguments, which reach the
    /// program as they are.
    pub fn new<S: Into<String>>(name: UnitName, command: impl IntoIterator<Item = S>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        let (environment, writable, properties) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, command, environment, writable, properties }
            .text("Type", ServiceType::Exec.as_str())
    }

    /// Sets a property: any that a service can have when it is started.
    #[must_use]
    pub fn property(mut self, property: Property) -> Self {
        self.properties.retain(|set| set.name() != property.name());
        self.properties.push(property);
        self
    }

    fn text(self, name: &'static str, value: impl Into<String>) -> Self {
        self.property(Property::new(name, PropertyValue::Text(value.into())))
    }

    fn flag(self, name: &'static str) -> Self {
        self.property(Property::new(name, PropertyValue::Bool(true)))
    }

    /// Sets the description for people: `Description=`.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        self.text("Description", text)
    }

    /// Sets when the service counts as started.
    #[must_use]
    pub fn service_type(self, service_type: ServiceType) -> Self {
        self.text("Type", service_type.as_str())
    }

    /// Limits its memory: `MemoryMax=`.
    #[must_use]
    pub fn memory_max(self, limit: Bytes) -> Self {
        self.property(Property::memory_max(Limit::At(limit)))
    }

    /// Limits its processor time: `CPUQuota=`.
    #[must_use]
    pub fn cpu_quota(self, quota: CpuQuota) -> Self {
        self.property(Property::cpu_quota(Limit::At(quota)))
    }

    /// Limits its processes and threads: `TasksMax=`.
    #[must_use]
    pub fn tasks_max(self, limit: u64) -> Self {
        self.property(Property::tasks_max(Limit::At(limit)))
    }

    /// Limits how long it may run: `RuntimeMaxSec=`.
    #[must_use]
    pub fn runtime_max(self, limit: TimeSpan) -> Self {
        self.property(Property::runtime_max(Limit::At(limit)))
    }

    /// Sets the slice that it is placed in.
    #[must_use]
    pub fn slice(self, slice: &UnitName) -> Self {
        self.text("Slice", slice.as_str())
    }

    /// Sets a variable of its environment. Every user of the machine can read it.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Sets its working directory.
    #[must_use]
    pub fn working_directory(self, path: impl AsRef<Path>) -> Self {
        self.text("WorkingDirectory", path_text(path.as_ref()))
    }

    /// Runs it as this user, a name or number.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        self.text("User", user)
    }

    /// Sets where its standard output goes.
    #[must_use]
    pub fn stdout(self, output: &Output) -> Self {
        self.output("StandardOutput", output)
    }

    /// Sets where its standard error goes.
    #[must_use]
    pub fn stderr(self, output: &Output) -> Self {
        self.output("StandardError", output)
    }

    fn output(self, stream: &'static str, output: &Output) -> Self {
        let property = |suffix: &str, value: String| {
            Property::new(format!("{stream}{suffix}"), PropertyValue::Text(value))
        };
        self.property(match output {
            Output::Journal => property("", "journal".to_owned()),
            Output::Null => property("", "null".to_owned()),
            Output::File(path) => property("File", path_text(path)),
            Output::Append(path) => property("FileToAppend", path_text(path)),
        })
    }

    /// Makes the file system read-only to it, hides devices, home directories and kernel settings, gives it a `/tmp`
    /// of its own and forbids new privileges (systemd.exec(5), "Sandboxing").
    #[must_use]
    pub fn sandboxed(self) -> Self {
        let flags = [
            "NoNewPrivileges",
            "PrivateTmp",
            "PrivateDevices",
            "ProtectKernelTunables",
            "ProtectKernelModules",
            "ProtectControlGroups",
            "RestrictSUIDSGID",
            "LockPersonality",
        ];
        let sandboxed = flags.into_iter().fold(self, Self::flag);
        sandboxed.text("ProtectSystem", "strict").text("ProtectHome", "yes")
    }

    /// Lets a [sandboxed](Self::sandboxed) service write below this path.
    #[must_use]
    pub fn writable_path(mut self, path: impl AsRef<Path>) -> Self {
        self.writable.push(path_text(path.as_ref()));
        self
    }

    /// Returns the name of the service.
    pub const fn name(&self) -> &UnitName {
        &self.name
    }

    fn variants(&self) -> Vec<(&str, Variant<'_>)> {
        let program = self.command.first().map_or("", String::as_str);
        // systemd would expand variables of the unit's environment in arguments (systemd.service(5), "Command Lines").
        let command: Vec<String> =
            self.command.iter().map(|argument| argument.replace('$', "$$")).collect();
        let mut variants: Vec<_> = self.properties.iter().map(Property::to_variant).collect();
        variants.push(("ExecStart", Variant::from(vec![(program, command, false)])));
        for (name, texts) in
            [("Environment", &self.environment), ("ReadWritePaths", &self.writable)]
        {
            if !texts.is_empty() {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                variants.push((name, Variant::from(texts)));
            }
        }
        variants
    }
}

/// A scope: a unit of processes that exist already (systemd.scope(5)). It ends with the last of them.
#[derive(Clone, Debug)]
pub struct TransientScope {
    name: UnitName,
    pids: Vec<u32>,
    properties: Vec<Property>,
}

impl TransientScope {
    /// Creates a scope of these processes.
    pub fn new(name: UnitName, pids: impl IntoIterator<Item = u32>) -> Self {
        Self { name, pids: pids.into_iter().collect(), properties: Vec::new() }
    }

    /// Creates a scope of the calling process. Its child processes that exist already are not moved.
    pub fn of_caller(name: UnitName) -> Self {
        // 0 means the sender of the message. Our own number could be another process to a manager in another PID
        // namespace.
        Self::new(name, [0])
    }

    /// Sets a property: any that a scope can have.
    #[must_use]
    pub fn property(mut self, property: Property) -> Self {
        self.properties.retain(|set| set.name() != property.name());
        self.properties.push(property);
        self
    }

    /// Limits its memory: `MemoryMax=`.
    #[must_use]
    pub fn memory_max(self, limit: Bytes) -> Self {
        self.property(Property::memory_max(Limit::At(limit)))
    }

    /// Lets its processes create control groups below that of the scope: `Delegate=`.
    #[must_use]
    pub fn delegated(self) -> Self {
        self.property(Property::new("Delegate", PropertyValue::Bool(true)))
    }

    /// Returns the name of the scope.
    pub const fn name(&self) -> &UnitName {
        &self.name
    }
}

impl Manager {
    /// Starts a transient service and waits until it is up, as its [type](ServiceType) defines it.
    ///
    /// A service whose program cannot be executed is not an error: its [end](TransientUnit::wait) has the cause
    /// `start-failed`.
    ///
    /// # Errors
    /// [`ManagerError::Exists`] if there is a unit of this name, [`ManagerError::UnknownProperty`] for a property that
    /// this systemd does not know, otherwise the manager's error.
    pub async fn start_transient(
        &self,
        service: &TransientService,
    ) -> Result<TransientUnit, ManagerError> {
        let mut properties = service.variants();
        // Without a reference systemd would unload the unit when it has ended, and with it the evidence. A connection
        // without a bus between cannot hold one.
        let is_referenced = !matches!(self.address(), ManagerAddress::Peer(_));
        properties.push(("AddRef", Variant::from(is_referenced)));
        properties.push(("CollectMode", Variant::from("inactive-or-failed")));
        let unit = service.name();
        let request = JobRequest::subscribe(self.bus(), unit).await?;
        let job = self.send_transient(unit, &properties).await?;
        let (success, is_failed) = match request.wait(JobKind::Start, &job).await {
            Err(ManagerError::Job { result: JobResult::Failed, .. }) => (JobSuccess::Done, true),
            result => (result?, false),
        };
        let started = StartedUnit { is_failed, ..self.started(unit, success).await? };
        Ok(TransientUnit::new(self.clone(), unit.clone(), started, is_referenced))
    }

    /// Starts a transient scope and waits until its processes are in it.
    ///
    /// # Errors
    /// [`ManagerError::Exists`] if there is a unit of this name, [`ManagerError::Job`] if its processes could not be
    /// moved, otherwise the manager's error.
    pub async fn start_scope(&self, scope: &TransientScope) -> Result<StartedUnit, ManagerError> {
        let mut properties: Vec<_> = scope.properties.iter().map(Property::to_variant).collect();
        properties.push(("PIDs", Variant::from(scope.pids.clone())));
        properties.push(("CollectMode", Variant::from("inactive-or-failed")));
        let request = JobRequest::subscribe(self.bus(), &scope.name).await?;
        let job = self.send_transient(&scope.name, &properties).await?;
        let success = request.wait(JobKind::Start, &job).await?;
        self.started(&scope.name, success).await
    }

    async fn send_transient(
        &self,
        unit: &UnitName,
        properties: &[(&str, Variant<'_>)],
    ) -> Result<OwnedObjectPath, ManagerError> {
        let operation = Operation::on_instance("start", unit)?;
        let manager = self.bus().manager().await?;
        let mode = JobMode::Fail.as_str();
        call(operation, manager.start_transient_unit(unit.as_str(), mode, properties, &[])).await
    }
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
