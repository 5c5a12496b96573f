//! A model manager with one unit, at the other end of a socket pair.

#![expect(
    clippy::needless_pass_by_value,
    clippy::unused_self,
    clippy::used_underscore_binding,
    reason = "the shapes of the methods are those of the interface"
)]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::sync::Notify;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, Guid, OwnedObjectPath, OwnedVariant, connection, fdo};

use crate::properties::ExecutedCommand;
use crate::proxy::{UnitFileChange, UnitRow, unit_path};

/// How a job ends.
#[derive(Clone, Copy)]
pub(super) enum Job {
    /// With this result, before the call that requested it is answered.
    EndsAtOnce(&'static str),
    /// The same; the other calls of a start are answered only after the request of the job.
    ComesFirst(&'static str),
    /// Without a signal.
    EndsWithoutSignal,
}

/// What `FreezerState` and the calls that change it return.
#[derive(Clone, Copy)]
pub(super) enum Freezer {
    /// systemd before 246 has no freezer.
    TooOld,
    /// The kernel has cgroup v1.
    NoKernel,
    Running,
    Frozen,
}

pub(super) struct World {
    pub(super) load_state: String,
    pub(super) active_state: String,
    pub(super) sub_state: String,
    pub(super) condition: Option<bool>,
    /// The exit code of `ExecCondition=`.
    pub(super) condition_status: i32,
    pub(super) restarts: u32,
    /// How a job ends.
    pub(super) job: Job,
    /// The active state after a job.
    pub(super) after: &'static str,
    pub(super) denied: bool,
    /// Whether there is a drop-in for the unit.
    pub(super) defined: bool,
    pub(super) listed: usize,
    /// The number of the unit's job; 0 is none.
    pub(super) own_job: u32,
    pub(super) enabled: bool,
    /// The freezer and its state.
    pub(super) freezer: Freezer,
    pub(super) quota: u64,
    pub(super) drop_ins: Vec<String>,
    /// The file to which a runtime property is written.
    pub(super) runtime_property: PathBuf,
    /// When the unit's files were last read, or written by the manager itself.
    pub(super) read_at: SystemTime,
    pub(super) calls: Vec<String>,
    /// After how many reads of `SubState` the hook ends, once the main process has ended.
    pub(super) hook_stays: u32,
}

impl Default for World {
    fn default() -> Self {
        Self {
            load_state: "loaded".into(),
            active_state: "inactive".into(),
            sub_state: "dead".into(),
            condition: None,
            condition_status: 0,
            restarts: 0,
            job: Job::EndsAtOnce("done"),
            after: "active",
            denied: false,
            defined: true,
            listed: 0,
            own_job: 0,
            enabled: false,
            freezer: Freezer::Running,
            quota: u64::MAX,
            drop_ins: Vec::new(),
            runtime_property: PathBuf::new(),
            read_at: SystemTime::now(),
            calls: Vec::new(),
            hook_stays: 3,
        }
    }
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>, Arc<Notify>);

impl Shared {
    pub(super) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    fn called(&self, name: &str) {
        self.0.lock().unwrap().calls.push(name.to_owned());
    }

    async fn after_job(&self) {
        let is_first = matches!(self.0.lock().unwrap().job, Job::ComesFirst(_));
        if is_first {
            self.1.notified().await;
            // Wakes the next waiting call.
            self.1.notify_one();
        }
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn freeze(&self, name: &str, state: Freezer) -> fdo::Result<()> {
        self.called(name);
        self.change(|world| match world.freezer {
            Freezer::TooOld => Err(fdo::Error::UnknownMethod(name.to_owned())),
            Freezer::NoKernel => Err(fdo::Error::NotSupported("no freezing".to_owned())),
            Freezer::Running | Freezer::Frozen => {
                world.freezer = state;
                Ok(())
            }
        })
    }
}

fn path(text: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(text.to_owned()).unwrap()
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

struct Manager(Shared);

impl Manager {
    async fn job(
        &self,
        name: &str,
        unit: &str,
        emitter: SignalEmitter<'_>,
    ) -> fdo::Result<OwnedObjectPath> {
        let job = {
            let mut world = self.0.0.lock().unwrap();
            world.calls.push(name.to_owned());
            if world.denied {
                return Err(fdo::Error::AccessDenied("not for you".to_owned()));
            }
            world.active_state = world.after.to_owned();
            world.job
        };
        self.0.1.notify_one();
        if let Job::EndsAtOnce(result) | Job::ComesFirst(result) = job {
            let other = path("/org/freedesktop/systemd1/job/6");
            Self::job_removed(&emitter, 6, other, unit, "canceled").await?;
            let own = path("/org/freedesktop/systemd1/job/7");
            Self::job_removed(&emitter, 7, own, unit, result).await?;
        }
        Ok(path("/org/freedesktop/systemd1/job/7"))
    }
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    async fn start_unit(
        &self,
        name: String,
        _mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<OwnedObjectPath> {
        self.job("StartUnit", &name, emitter).await
    }

    async fn stop_unit(
        &self,
        name: String,
        _mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<OwnedObjectPath> {
        self.job("StopUnit", &name, emitter).await
    }

    async fn restart_unit(
        &self,
        name: String,
        _mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<OwnedObjectPath> {
        self.job("RestartUnit", &name, emitter).await
    }

    async fn reset_failed_unit(&self, _name: String) {
        self.0.called("ResetFailedUnit");
        self.0.after_job().await;
    }

    async fn ref_unit(&self, _name: String) {
        self.0.called("RefUnit");
        self.0.after_job().await;
    }

    fn unref_unit(&self, _name: String) {
        self.0.called("UnrefUnit");
    }

    fn subscribe(&self) {
        self.0.called("Subscribe");
    }

    fn reload(&self) {
        self.0.called("Reload");
        self.0.change(|world| {
            world.drop_ins.retain(|path| std::fs::exists(path).unwrap());
            world.drop_ins.sort_by_key(|path| file_name(path));
            world.read_at = SystemTime::now();
        });
    }

    fn enable_unit_files(
        &self,
        files: Vec<String>,
        _runtime: bool,
        _force: bool,
    ) -> (bool, Vec<UnitFileChange>) {
        self.0.called(&format!("EnableUnitFiles {}", files.join(" ")));
        let was = std::mem::replace(&mut self.0.0.lock().unwrap().enabled, true);
        let change = |file| ("symlink".to_owned(), file, "/template".to_owned());
        (true, if was { Vec::new() } else { files.into_iter().map(change).collect() })
    }

    /// The main process ends at once, its hook after a few reads of `SubState`, the other processes only when
    /// they are killed. A killed hook is recorded among the calls.
    fn kill_unit(&self, _name: String, whom: String, signal: i32) -> fdo::Result<()> {
        assert_eq!(signal, 9);
        self.0.called(&format!("KillUnit {whom}"));
        self.0.change(|world| match (whom.as_str(), world.sub_state.as_str()) {
            ("main", "stop-sigterm") => {
                "stop-post".clone_into(&mut world.sub_state);
                Ok(())
            }
            ("main", _) => Err(fdo::Error::Failed("No main process to kill".to_owned())),
            (_, state) => {
                if state == "stop-post" {
                    world.calls.push("a hook was killed".to_owned());
                }
                (world.active_state, world.sub_state) = ("failed".into(), "failed".into());
                Ok(())
            }
        })
    }

    fn freeze_unit(&self, _name: String) -> fdo::Result<()> {
        self.0.freeze("FreezeUnit", Freezer::Frozen)
    }

    fn thaw_unit(&self, _name: String) -> fdo::Result<()> {
        self.0.freeze("ThawUnit", Freezer::Running)
    }

    fn set_unit_properties(
        &self,
        _name: String,
        runtime: bool,
        properties: Vec<(String, OwnedVariant)>,
    ) {
        self.0.called("SetUnitProperties");
        let [(name, value)] = &properties[..] else { panic!("{properties:?}") };
        assert_eq!((name.as_str(), runtime), ("CPUQuotaPerSecUSec", true));
        self.0.change(|world| {
            world.quota = u64::try_from(value).unwrap();
            std::fs::create_dir_all(world.runtime_property.parent().unwrap()).unwrap();
            let percent = match world.quota {
                u64::MAX => String::new(),
                micros => format!("{}%", micros / 10_000),
            };
            let text = format!("# Do not edit.\n[Service]\nCPUQuota={percent}\n");
            std::fs::write(&world.runtime_property, text).unwrap();
            world.read_at = SystemTime::now();
            let path = world.runtime_property.to_string_lossy().into_owned();
            if !world.drop_ins.contains(&path) {
                world.drop_ins.push(path);
            }
        });
    }

    fn list_units_by_patterns(&self, _states: Vec<String>, patterns: Vec<String>) -> Vec<UnitRow> {
        self.0.called("ListUnitsByPatterns");
        assert_eq!(patterns, ["brain-experiment@*.service"]);
        let row = |number| {
            let (unit, nowhere) = (format!("brain-experiment@{number}.service"), path("/"));
            let text = ToString::to_string;
            let (load, active, sub) = (text("loaded"), text("active"), text("running"));
            let (path, none) = (path(&unit_path(&unit)), String::new());
            (unit, none.clone(), load, active, sub, none.clone(), path, 0, none, nowhere)
        };
        (0..self.0.0.lock().unwrap().listed).map(row).collect()
    }

    fn list_units_by_names(&self, names: Vec<String>) -> Vec<UnitRow> {
        self.0.called("ListUnitsByNames");
        let world = self.0.0.lock().unwrap();
        let row = |unit: String| {
            let (path, none) = (path(&unit_path(&unit)), String::new());
            let load = world.load_state.clone();
            let (active, sub) = (world.active_state.clone(), world.sub_state.clone());
            let job = world.own_job;
            let at = self::path(&format!("/org/freedesktop/systemd1/job/{job}"));
            (unit, none.clone(), load, active, sub, none.clone(), path, job, none, at)
        };
        names.into_iter().map(row).collect()
    }

    #[zbus(property)]
    fn control_group(&self) -> String {
        String::new()
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

struct Unit(Shared);

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        self.0.0.lock().unwrap().load_state.clone()
    }

    #[zbus(property)]
    fn active_state(&self) -> String {
        self.0.0.lock().unwrap().active_state.clone()
    }

    #[zbus(property)]
    fn sub_state(&self) -> String {
        self.0.change(|world| {
            let state = world.sub_state.clone();
            if state == "stop-post" {
                world.hook_stays = world.hook_stays.saturating_sub(1);
                if world.hook_stays == 0 {
                    "final-sigterm".clone_into(&mut world.sub_state);
                }
            }
            state
        })
    }

    #[zbus(property)]
    fn condition_result(&self) -> bool {
        self.0.0.lock().unwrap().condition.unwrap_or(false)
    }

    #[zbus(property)]
    fn condition_timestamp_monotonic(&self) -> u64 {
        u64::from(self.0.0.lock().unwrap().condition.is_some())
    }

    #[zbus(property)]
    fn freezer_state(&self) -> String {
        match self.0.0.lock().unwrap().freezer {
            // The model always has the property; an empty value counts as absent.
            Freezer::TooOld => String::new(),
            Freezer::NoKernel | Freezer::Running => "running".to_owned(),
            Freezer::Frozen => "frozen".to_owned(),
        }
    }

    /// As `unit_need_daemon_reload()` of systemd's unit.c before 257, which sorts the files that it finds, but not
    /// those that the manager has added itself.
    #[zbus(property)]
    fn need_daemon_reload(&self) -> bool {
        self.0.change(|world| {
            let is_stale = |path: &String| {
                let file = std::fs::metadata(path).and_then(|file| file.modified());
                file.is_ok_and(|modified| modified > world.read_at)
            };
            let is_there = |path: &String| std::fs::exists(path).unwrap();
            !world.drop_ins.is_sorted_by_key(|path| file_name(path))
                || !world.drop_ins.iter().all(is_there)
                || world.drop_ins.iter().any(is_stale)
        })
    }

    #[zbus(property)]
    fn drop_in_paths(&self) -> Vec<String> {
        self.0.0.lock().unwrap().drop_ins.clone()
    }

    #[zbus(property)]
    fn start_limit_burst(&self) -> u32 {
        9
    }

    #[zbus(property, name = "StartLimitIntervalUSec")]
    fn start_limit_interval(&self) -> u64 {
        u64::MAX
    }

    #[zbus(property)]
    fn state_change_timestamp(&self) -> u64 {
        9_000_000
    }

    #[zbus(property)]
    fn unit_file_state(&self) -> String {
        "enabled".to_owned()
    }

    #[zbus(property, name = "InvocationID")]
    fn invocation_id(&self) -> Vec<u8> {
        vec![7; 16]
    }

    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        match self.0.0.lock().unwrap().own_job {
            0 => (0, path("/")),
            job => (job, path(&format!("/org/freedesktop/systemd1/job/{job}"))),
        }
    }
}

struct Service(Shared);

#[zbus::interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> u32 {
        4711
    }

    #[zbus(property, name = "NRestarts")]
    fn restarts(&self) -> u32 {
        self.0.0.lock().unwrap().restarts
    }

    #[zbus(property)]
    fn environment(&self) -> Vec<String> {
        let stamp = self.0.0.lock().unwrap().defined.then(|| "BIJ_STAMP=0".to_owned());
        stamp.into_iter().collect()
    }

    #[zbus(property)]
    fn exec_condition(&self) -> Vec<ExecutedCommand> {
        let status = self.0.0.lock().unwrap().condition_status;
        vec![("/hook".to_owned(), vec!["/hook".to_owned()], false, 1, 1, 2, 2, 7, 1, status)]
    }

    #[zbus(property)]
    fn exec_start(&self) -> Vec<ExecutedCommand> {
        let launched = ["/usr/libexec/brain-in-jar/bij-exec", "/run/x", "--", "/bin/sleep", "600"];
        let words = launched.map(ToOwned::to_owned).to_vec();
        vec![(words[0].clone(), words, false, 0, 0, 0, 0, 0, 0, 0)]
    }

    #[zbus(property)]
    fn restart(&self) -> String {
        "no".to_owned()
    }

    #[zbus(property, name = "RestartUSec")]
    fn restart_delay(&self) -> u64 {
        7_000_000
    }

    #[zbus(property, name = "RuntimeMaxUSec")]
    fn runtime_max(&self) -> u64 {
        60_000_000
    }

    #[zbus(property, name = "CPUQuotaPerSecUSec")]
    fn cpu_quota(&self) -> u64 {
        self.0.0.lock().unwrap().quota
    }

    #[zbus(property)]
    fn control_group(&self) -> String {
        "/brain.slice/brain-experiment@x.service".to_owned()
    }

    #[zbus(property)]
    fn result(&self) -> String {
        "success".to_owned()
    }
}

/// Serves a world and returns the caller's end of the connection.
pub(super) async fn manager(world: World) -> (Connection, Shared) {
    let shared = Shared(Arc::new(Mutex::new(world)), Arc::default());
    let (ours, theirs) = UnixStream::pair().unwrap();
    let root = "/org/freedesktop/systemd1";
    let unit = unit_path("brain-experiment@x.service");
    let server = connection::Builder::unix_stream(theirs)
        .server(Guid::generate())
        .p2p()
        .serve_at(root, Manager(shared.clone()))
        .serve_at(unit.clone(), Unit(shared.clone()))
        .serve_at(unit, Service(shared.clone()))
        .build();
    let client = connection::Builder::unix_stream(ours).p2p().build();
    let (server, client) = tokio::try_join!(server, client).unwrap();
    // The object server lives as long as the connection.
    tokio::spawn(async move { server.closed().await });
    (client, shared)
}
