//! A tree, a ledger, and small models of the service manager, the journal and the definitions.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bij_core::executable::ExecutableFormat;
use bij_core::port::{AttemptQuery, DefinitionSource, FindError, FoundDefinition, Ledger as _};
use bij_core::spec::ExperimentSpec;
use bij_core::{Attempt, ExperimentId, InvocationId, MonotonicTime, ServiceResult};
use bij_host::HostContext;
use bij_store::Store;
use bij_systemd::JournalEnd;
use bij_systemd::experiment::UnitFacts;

use crate::{
    BeginError, Begun, EndError, Ended, HookContext, HookEnv, HookJournal, HookJournalError,
    HookManager, HookManagerError,
};

/// At most one definition with its stamp, and whether reading it fails.
#[derive(Default)]
pub(crate) struct FakeDefinitions(
    pub(crate) Mutex<Option<(ExperimentSpec, String)>>,
    pub(crate) AtomicBool,
);

impl DefinitionSource for FakeDefinitions {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        let path = format!("/etc/{id}.toml");
        if self.1.load(Ordering::Relaxed) {
            return Err(FindError::Unreadable { path, source: std::io::ErrorKind::Other.into() });
        }
        let looked_for = vec![path];
        let missing = FindError::Missing { id: id.clone(), looked_for };
        let (spec, stamp) = self.0.lock().unwrap().clone().ok_or(missing)?;
        Ok(FoundDefinition { spec, source: format!("/etc/{id}.toml"), stamp, warnings: Vec::new() })
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        Ok(self.0.lock().unwrap().iter().map(|(spec, _)| spec.id.clone()).collect())
    }
}

/// A service manager that counts the calls.
#[derive(Default)]
pub(crate) struct FakeManager {
    pub(crate) facts: RefCell<UnitFacts>,
    /// The stamp that the manager has loaded.
    pub(crate) stamp: RefCell<Option<String>>,
    /// Whether a reload loads `rendered`.
    pub(crate) renders: Cell<bool>,
    /// The stamp that a reload would load.
    pub(crate) rendered: RefCell<Option<String>>,
    pub(crate) asked: Cell<u32>,
    pub(crate) reloads: Cell<u32>,
    pub(crate) stops: Cell<u32>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) has_loaded: Cell<bool>,
    pub(crate) mute: Cell<bool>,
}

impl FakeManager {
    /// From now on a reload loads this stamp.
    pub(crate) fn render(&self, stamp: Option<&str>) {
        self.renders.set(true);
        *self.rendered.borrow_mut() = stamp.map(str::to_owned);
    }

    fn ask(&self) -> Result<(), HookManagerError> {
        self.asked.set(self.asked.get() + 1);
        if self.mute.get() {
            return Err(HookManagerError("no such socket".into()));
        }
        Ok(())
    }
}

impl HookManager for FakeManager {
    fn facts(&self, _: &ExperimentId) -> Result<UnitFacts, HookManagerError> {
        self.ask()?;
        let mut facts = self.facts.borrow().clone();
        facts.stamp.clone_from(&self.stamp.borrow());
        Ok(facts)
    }

    fn stop(&self, _: &ExperimentId) -> Result<(), HookManagerError> {
        self.ask()?;
        self.stops.set(self.stops.get() + 1);
        Ok(())
    }

    fn reload(&self) -> Result<(), HookManagerError> {
        self.ask()?;
        self.reloads.set(self.reloads.get() + 1);
        if self.renders.get() {
            self.stamp.borrow_mut().clone_from(&self.rendered.borrow());
        }
        Ok(())
    }

    fn has_loaded_experiments(&self) -> Result<bool, HookManagerError> {
        self.ask()?;
        Ok(self.has_loaded.get())
    }

    fn is_stopping(&self) -> Result<bool, HookManagerError> {
        self.ask()?;
        Ok(self.stopping.get())
    }
}

/// A journal that remembers one end and one line of the kernel.
#[derive(Default)]
pub(crate) struct FakeJournal {
    pub(crate) end: RefCell<Option<JournalEnd>>,
    pub(crate) line: RefCell<Option<String>>,
    pub(crate) killed: RefCell<Vec<String>>,
    pub(crate) printed: RefCell<Vec<String>>,
}

impl HookJournal for FakeJournal {
    fn end_of(&self, _: InvocationId) -> Result<Option<JournalEnd>, HookJournalError> {
        Ok(self.end.borrow().clone())
    }

    fn killed_in(&self, _: InvocationId) -> Result<Vec<String>, HookJournalError> {
        Ok(self.killed.borrow().clone())
    }

    fn last_lines(
        &self,
        _: &ExperimentId,
        _: InvocationId,
        count: usize,
    ) -> Result<Vec<String>, HookJournalError> {
        let printed = self.printed.borrow();
        Ok(printed[printed.len().saturating_sub(count)..].to_vec())
    }

    fn oom_line(&self, _: &ExperimentId, _: Option<MonotonicTime>) -> Option<String> {
        self.line.borrow().clone()
    }
}

/// Returns the variables of an environment file that change with each attempt, one per line.
fn attempt_variables(environment: &Path) -> String {
    let text = fs::read_to_string(environment).unwrap();
    let place = |entry: &&str| {
        ["RUN", "ATTEMPT", "CRASHES", "LAST_CAUSE", "RESUME_FROM"]
            .iter()
            .any(|name| entry.starts_with(&format!("BIJ_{name}=")))
    };
    text.split_terminator('\0').filter(place).flat_map(|entry| [entry, "\n"]).collect()
}

/// A machine with one experiment on it, `x`, and real files.
pub(crate) struct TestMachine {
    pub(crate) tree: tempfile::TempDir,
    pub(crate) host: HostContext,
    pub(crate) id: ExperimentId,
    pub(crate) definitions: FakeDefinitions,
    pub(crate) manager: FakeManager,
    pub(crate) journal: FakeJournal,
    invocations: Cell<u8>,
}

impl TestMachine {
    pub(crate) fn new() -> Self {
        let tree = tempfile::tempdir().unwrap();
        let id = ExperimentId::new("x").unwrap();
        let spec = ExperimentSpec::new(id.clone(), vec!["/bin/true".to_owned()]);
        let machine = Self {
            host: HostContext::system(tree.path()),
            tree,
            id,
            definitions: FakeDefinitions(
                Mutex::new(Some((spec, "s1".to_owned()))),
                AtomicBool::new(false),
            ),
            manager: FakeManager::default(),
            journal: FakeJournal::default(),
            invocations: Cell::new(0),
        };
        machine.install("/bin/true");
        machine.boot(1);
        machine.counters("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n");
        machine
    }

    /// Returns the path of `name` in the tree, after making its parent directories.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.tree.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Copies a program of this machine into the tree, with its dynamic loader.
    fn install(&self, program: &str) {
        fs::copy(program, self.path(&program[1..])).unwrap();
        let head = fs::read(program).unwrap();
        if let ExecutableFormat::Elf { loader: Some(loader), .. } = ExecutableFormat::read(&head) {
            fs::copy(&loader, self.path(&loader[1..])).unwrap();
        }
    }

    /// Gives the machine the id of its `number`th boot.
    pub(crate) fn boot(&self, number: u8) {
        let id = format!("{number:08x}-0000-0000-0000-000000000000\n");
        self.write("proc/sys/kernel/random/boot_id", &id);
    }

    /// Writes a file of the control group that the hooks run in (version 2).
    pub(crate) fn counters(&self, file: &str, text: &str) {
        self.write("proc/self/cgroup", "0::/brain.slice/brain-experiment@x.service\n");
        self.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
        self.write(&format!("sys/fs/cgroup/brain.slice/brain-experiment@x.service/{file}"), text);
    }

    /// Returns the environment that systemd gives the hooks of a new invocation of the unit.
    pub(crate) fn new_invocation(&self) -> HookEnv {
        self.invocations.set(self.invocations.get() + 1);
        HookEnv {
            invocation: Some(InvocationId::from_bytes([self.invocations.get(); 16])),
            stamp: Some("s1".to_owned()),
            ..HookEnv::default()
        }
    }

    /// Renders the definition, as a boot does.
    pub(crate) fn render(&self) {
        assert_eq!(crate::render_missing(&self.host, &self.definitions).written, 1);
    }

    pub(crate) fn drop_in(&self) -> Option<String> {
        fs::read_to_string(self.host.layout().drop_in(&self.id)).ok()
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.host.layout().database()).unwrap()
    }

    pub(crate) fn begin(&self, env: &HookEnv) -> Result<Begun, BeginError> {
        let mut store = self.store();
        HookContext {
            host: &self.host,
            env,
            definitions: &self.definitions,
            ledger: &mut store,
            manager: &self.manager,
            journal: &self.journal,
        }
        .begin(&self.id)
    }

    /// Begins an attempt; returns its variables, one per line.
    pub(crate) fn begin_and_read(&self, env: &HookEnv) -> String {
        assert!(matches!(self.begin(env).unwrap(), Begun::Attempt(Some(_))));
        self.attempt_variables()
    }

    /// Returns the variables of the attempt that was begun last, one per line.
    pub(crate) fn attempt_variables(&self) -> String {
        attempt_variables(&self.host.layout().sealed_environment(&self.id))
    }

    pub(crate) fn end(&self, env: &HookEnv, result: &str, exit: Option<bij_core::Exit>) -> Ended {
        self.try_end(env, result, exit).unwrap()
    }

    pub(crate) fn try_end(
        &self,
        env: &HookEnv,
        result: &str,
        exit: Option<bij_core::Exit>,
    ) -> Result<Ended, EndError> {
        let mut store = self.store();
        let service_result = Some(ServiceResult::from(result));
        {
            let mut facts = self.manager.facts.borrow_mut();
            facts.result.clone_from(&service_result);
            facts.main_exit = exit;
        }
        let env = HookEnv { service_result, exit, ..env.clone() };
        HookContext {
            host: &self.host,
            env: &env,
            definitions: &self.definitions,
            ledger: &mut store,
            manager: &self.manager,
            journal: &self.journal,
        }
        .end(&self.id)
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.store().attempts(&AttemptQuery::default()).unwrap()
    }
}
