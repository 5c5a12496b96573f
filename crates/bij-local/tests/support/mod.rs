//! A supervisor over real processes and a real database, with definitions made by the test.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "clippy knows only functions marked as tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bij_core::port::{AttemptQuery, DefinitionSource, FindError, FoundDefinition, Ledger as _};
use bij_core::spec::ExperimentSpec;
use bij_core::{
    Attempt, AttemptEnd, Cause, ExperimentId, Layout, Obstacle, Order, OrderKind, TimeSpan,
};
use bij_definition::HostView;
use bij_local::{
    Backend, Events, Options, ShimCommand, SupervisionEnd, Supervisor, SupervisorEvent,
};
use bij_store::RobustLedger;
use tempfile::TempDir;

/// A source of definitions in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Definitions(pub(crate) BTreeMap<ExperimentId, ExperimentSpec>);

impl DefinitionSource for Definitions {
    fn find(&self, id: &ExperimentId) -> Result<FoundDefinition, FindError> {
        let spec = self.0.get(id).cloned();
        let spec = spec.ok_or_else(|| FindError::Missing { id: id.clone(), looked_for: vec![] })?;
        Ok(FoundDefinition {
            spec,
            source: "a test".to_owned(),
            stamp: String::new(),
            warnings: Vec::new(),
        })
    }

    fn ids(&self) -> Result<Vec<ExperimentId>, FindError> {
        Ok(self.0.keys().cloned().collect())
    }

    fn obstacles(&self, spec: &ExperimentSpec, path: Option<&str>) -> Vec<Obstacle> {
        HostView { root: Path::new("/"), path, hidden: &[] }.obstacles(spec)
    }
}

/// One installation below a directory of its own.
pub(crate) struct World {
    pub(crate) root: TempDir,
    pub(crate) layout: Layout,
    pub(crate) backend: Backend,
}

impl World {
    /// Returns a world whose supervisors use the watcher, which works everywhere.
    pub(crate) fn new() -> Self {
        Self::with_backend(Backend::Watcher)
    }

    pub(crate) fn with_backend(backend: Backend) -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::system(root.path());
        Self { root, layout, backend }
    }

    pub(crate) fn supervisor(&self, specs: impl IntoIterator<Item = ExperimentSpec>) -> Supervisor {
        let specs = specs.into_iter().map(|spec| (spec.id.clone(), spec)).collect();
        let ledger = RobustLedger::at(&self.layout);
        let mut options = Options::default();
        options.backend = self.backend;
        Supervisor::new(self.layout.clone(), ledger, Definitions(specs), shim(), options).unwrap()
    }

    /// Runs one experiment to its end and returns its events.
    pub(crate) async fn run(&self, spec: ExperimentSpec) -> Story {
        let id = spec.id.clone();
        let supervisor = self.supervisor([spec]);
        Story::collect(supervisor.run(&[id]).unwrap()).await
    }

    /// Reads the attempts in the ledger over a new connection.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        RobustLedger::at(&self.layout).attempts(&AttemptQuery::default()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }
}

/// The shim as a program of its own.
pub(crate) fn shim() -> ShimCommand {
    ShimCommand::new(env!("CARGO_BIN_EXE_bij-local-shim"), [] as [&str; 0])
}

/// The events of a supervisor, in order.
pub(crate) struct Story(pub(crate) Vec<SupervisorEvent>);

impl Story {
    pub(crate) async fn collect(mut events: Events) -> Self {
        let mut all = Vec::new();
        let deadline = Duration::from_secs(60);
        let gather = async {
            while let Some(event) = events.next().await {
                all.push(event);
            }
        };
        let gathered = tokio::time::timeout(deadline, gather).await;
        gathered.unwrap_or_else(|_| panic!("no end after {deadline:?}"));
        Self(all)
    }

    pub(crate) fn ends(&self) -> Vec<&AttemptEnd> {
        let mut ends = Vec::new();
        for event in &self.0 {
            if let SupervisorEvent::Died { end, unrecorded, .. } = event {
                assert_eq!(unrecorded, &None);
                ends.push(&**end);
            }
        }
        ends
    }

    pub(crate) fn end(&self) -> &AttemptEnd {
        let ends = self.ends();
        assert_eq!(ends.len(), 1, "{:#?}", self.0);
        ends[0]
    }

    pub(crate) fn ending(&self) -> &SupervisionEnd {
        match self.0.last() {
            Some(SupervisorEvent::Ended { ending, .. }) => ending,
            other => panic!("the last event is {other:?}"),
        }
    }

    /// Returns the lines that the experiment printed.
    pub(crate) fn printed(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for event in &self.0 {
            if let SupervisorEvent::Output(line) = event
                && line.stream != bij_local::LogStream::Bij
            {
                texts.push(line.text.as_str());
            }
        }
        texts
    }

    pub(crate) fn causes(&self) -> Vec<Cause> {
        self.ends().iter().map(|end| end.cause).collect()
    }
}

pub(crate) fn id(text: &str) -> ExperimentId {
    ExperimentId::new(text).unwrap()
}

/// Returns an experiment that is a shell script and is restarted at once.
pub(crate) fn script(name: &str, script: &str) -> ExperimentSpec {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let mut spec = ExperimentSpec::new(id(name), command);
    spec.restart.delay = TimeSpan::from_millis(50);
    spec
}

/// Returns an experiment that is a shell script and is never restarted.
pub(crate) fn once(name: &str, text: &str) -> ExperimentSpec {
    let mut spec = script(name, text);
    spec.restart.burst = 1;
    spec
}

pub(crate) fn order() -> Order {
    Order { kind: OrderKind::Stop, by: "a test".to_owned() }
}

/// Waits until a condition holds. Panics after 10 s.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within 10 s");
}

/// Returns whether the process is alive whose pid is in a file.
pub(crate) fn is_alive(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
