//! The program `bijd` in its own tree, without a service manager: it survives kills, and answers clients.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers as well")]

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use bij_api::{Client, RefusalKind};
use bij_core::port::{Ledger as _, Opening};
use bij_core::queue::{EventKind, RunRef};
use bij_core::request::{
    Act, AdmissionRequest, EntryState, EventQuery, PowerModeRequest, QueueQuery, Submit,
    SubmitOptions,
};
use bij_core::{AttemptKey, ExperimentId, InvocationId, Layout, StartKind};
use bij_jetson::CapturedTree;
use bij_store::{Reader, Store};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A tree with definitions `x0` … `x9`.
struct Tree {
    root: TempDir,
}

impl Tree {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        for file in ["sys/kernel/random/boot_id", "meminfo"] {
            let to = proc.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, fs::read(Path::new("/proc").join(file)).unwrap()).unwrap();
        }
        fs::create_dir_all(root.path().join("sys/class")).unwrap();
        let tree = Self { root };
        let definitions = tree.layout().definitions();
        fs::create_dir_all(&definitions).unwrap();
        for n in 0..10 {
            let text = "command = [\"/bin/true\"]\nlimits.memory = \"1M\"\n";
            fs::write(definitions.join(format!("x{n}.toml")), text).unwrap();
        }
        tree
    }

    fn layout(&self) -> Layout {
        Layout::system(self.root.path())
    }

    fn socket(&self) -> PathBuf {
        self.layout().coordinator_socket()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bijd"));
        command.arg("--root").arg(self.root.path()).stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Coordinator {
        Coordinator { child: self.command().spawn().unwrap() }
    }

    async fn client(&self) -> Client {
        // It listens when it has loaded the store.
        while UnixStream::connect(self.socket()).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Client::connect(&self.socket()).await.unwrap()
    }
}

/// A coordinator that is killed at the end of the test.
struct Coordinator {
    child: Child,
}

impl Coordinator {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; returns its exit code and its log.
    fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let lines = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        (code, lines)
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn submission(n: usize) -> Submit {
    Submit::new(ExperimentId::new(&format!("x{}", n % 10)).unwrap())
}

#[tokio::test]
async fn acknowledged_runs_survive_every_kill() {
    let tree = Tree::new();
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let coordinator = tree.start();
        let client = tree.client().await;
        let submitting = async {
            for n in 0.. {
                let run = Submit { hold: true, ..submission(n) };
                let Ok(taken) = client.submit(&[run], SubmitOptions::default()).await else {
                    return;
                };
                acknowledged.push(taken[0].id());
                if n == 10 + round {
                    coordinator.signal(Signal::SIGKILL);
                }
            }
        };
        submitting.await;
        drop(coordinator);
    }
    let _coordinator = tree.start();
    let queue = tree.client().await.queue(&QueueQuery::default()).await.unwrap();
    let there: Vec<_> = queue.iter().map(bij_core::request::QueueEntry::id).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|run| !there.contains(run)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(there.len() >= acknowledged.len() && acknowledged.len() >= 66);
    let mut once = there.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), there.len(), "no run is there twice");
}

#[tokio::test]
async fn a_clean_end_removes_the_socket_and_a_kill_leaves_it() {
    let tree = Tree::new();
    let coordinator = tree.start();
    tree.client().await.status().await.unwrap();
    coordinator.signal(Signal::SIGTERM);
    let (code, lines) = coordinator.ended();
    assert_eq!(code, Some(0), "{lines}");
    assert!(!tree.socket().exists());

    let coordinator = tree.start();
    tree.client().await.status().await.unwrap();
    coordinator.killed();
    assert!(tree.socket().exists());
}

#[tokio::test]
async fn only_one_coordinator_runs_at_a_time() {
    let tree = Tree::new();
    let _first = tree.start();
    let client = tree.client().await;
    let (code, lines) = tree.start().ended();
    assert_eq!(code, Some(1));
    assert!(lines.contains("another coordinator is running"), "{lines}");
    client.status().await.unwrap();
}

#[tokio::test]
async fn wrong_settings_leave_the_old_ones_in_force() {
    let tree = Tree::new();
    let settings = tree.layout().settings();
    fs::write(&settings, "[coordinator]\nmax_concurrent = 2\n").unwrap();
    let coordinator = tree.start();
    let client = tree.client().await;
    let slots = async || client.status().await.unwrap().slots;
    assert_eq!(slots().await, Some(2));
    fs::write(&settings, "[coordinator]\nmax_concurrent = \"many\"\n").unwrap();
    let error = client.reload().await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    assert!(refusal.text.contains("max_concurrent"), "{refusal}");
    assert_eq!(slots().await, Some(2));
    fs::write(&settings, "[coordinator]\nmax_concurrent = 3\n").unwrap();
    let mut changes = client.changes().await.unwrap();
    coordinator.signal(Signal::SIGHUP);
    while slots().await != Some(3) {
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn the_board_may_be_another_tree() {
    let tree = Tree::new();
    let board = tempfile::tempdir().unwrap();
    for directory in ["proc", "sys/class"] {
        fs::create_dir_all(board.path().join(directory)).unwrap();
    }
    let meminfo = "MemTotal: 1048576 kB\nMemAvailable: 1048576 kB\n";
    fs::write(board.path().join("proc/meminfo"), meminfo).unwrap();
    let mut command = tree.command();
    command.arg("--board").arg(board.path());
    let _coordinator = Coordinator { child: command.spawn().unwrap() };
    let budget = tree.client().await.status().await.unwrap().memory_budget.unwrap();
    assert!(budget.get() <= 1 << 30, "{budget}");
    let of_this_machine = bij_jetson::Hardware::open("/").unwrap().memory().total.unwrap();
    assert!(of_this_machine.get() > 1 << 30, "else the test shows nothing");
}

#[tokio::test]
async fn the_board_is_recorded_while_an_attempt_is_open() {
    let tree = Tree::new();
    let board =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/trees/agx-orin-jp6");
    CapturedTree::load(&board).unwrap().unpack(tree.root.path().join("board")).unwrap();
    let mut command = tree.command();
    command.arg("--board").arg(tree.root.path().join("board"));
    let coordinator = Coordinator { child: command.spawn().unwrap() };
    let client = tree.client().await;
    let reader = Reader::new(tree.layout().database());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().parse().unwrap();
    let key = AttemptKey { boot, invocation: InvocationId::from_bytes([7; 16]) };
    let experiment = ExperimentId::new("x1").unwrap();
    let at = SystemTime::now().into();
    let opening = Opening { experiment, key, at, uptime: None, start: StartKind::Fresh };
    assert_eq!(client.board().await.unwrap(), [], "nothing runs");
    Store::open(tree.layout().database()).unwrap().open(&opening).unwrap();
    // An event that wakes the recorder.
    let held = Submit { hold: true, ..submission(2) };
    client.submit(&[held], SubmitOptions::default()).await.unwrap();
    let sample = loop {
        if let Some(sample) = client.board().await.unwrap().pop() {
            break sample;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let tj = sample.zones.iter().find(|zone| zone.name == "tj").unwrap();
    assert_eq!((tj.celsius, sample.total_milliwatts), (52.875, Some(8918)));
    assert_eq!(reader.board_minutes(9).unwrap(), [], "the minute is not over");
    coordinator.signal(Signal::SIGTERM);
    let (code, lines) = coordinator.ended();
    assert_eq!(code, Some(0), "{lines}");
    let minutes = reader.board_minutes(9).unwrap();
    assert_eq!(minutes.len(), 1, "{lines}");
    assert_eq!(minutes[0].power.unwrap().mean.get(), 8918);
}

#[tokio::test]
async fn runs_are_submitted_changed_and_explained() {
    let tree = Tree::new();
    let _coordinator = tree.start();
    let client = tree.client().await;
    let mut changes = client.changes().await.unwrap();
    let held = Submit { hold: true, ..submission(1) };
    let taken = client.submit(&[held, submission(2)], SubmitOptions::default()).await.unwrap();
    assert_eq!(taken[0].state, EntryState::Held);
    assert!(changes.next().await.is_some(), "a change is signalled");
    let run = RunRef::Run(taken[0].id());
    client.act(&Act::Cancel, std::slice::from_ref(&run)).await.unwrap();
    let why = client.why(&RunRef::Newest(taken[0].experiment.clone())).await.unwrap();
    assert_eq!((why.entry.state, why.entry.id()), (EntryState::Ended, taken[0].id()));
    let events = client.events(&EventQuery::default()).await.unwrap();
    let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds[0], EventKind::CoordinatorStarted);
    assert!(kinds.contains(&EventKind::RunEnded), "{kinds:?}");
    let error = client
        .submit(&[Submit::new("nobody".parse().unwrap())], SubmitOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_queue_longer_than_one_answer_is_read_completely() {
    let tree = Tree::new();
    let _coordinator = tree.start();
    let client = tree.client().await;
    let runs: Vec<Submit> = (0..2500).map(|n| Submit { hold: true, ..submission(n) }).collect();
    let taken = client.submit(&runs, SubmitOptions::default()).await.unwrap();
    let queue = client.queue(&QueueQuery::default()).await.unwrap();
    let names = |entries: &[bij_core::request::QueueEntry]| -> Vec<String> {
        entries.iter().map(|entry| entry.id().to_string()).collect()
    };
    assert_eq!(
        names(&queue),
        names(&taken),
        "each once, in the order in which they were asked for"
    );
    let one = QueueQuery { experiment: Some(runs[3].experiment.clone()), ..QueueQuery::default() };
    assert_eq!(client.queue(&one).await.unwrap().len(), 250);
}

#[tokio::test]
async fn a_request_that_is_answered_too_late_is_refused() {
    let tree = Tree::new();
    let _coordinator = tree.start();
    let client = tree.client().await;
    let id = ExperimentId::new("x1").unwrap();
    let late = AdmissionRequest { until: Some(1), ..AdmissionRequest::default() };
    let refused = client.admit(&id, &late).await.unwrap_err();
    assert!(refused.to_string().contains("too late"), "{refused}");
    assert_eq!(client.queue(&QueueQuery::default()).await.unwrap(), Vec::new());
}

/// Returns a board with power modes, a stand-in for nvpmodel, and an experiment that needs `MODE_15W`.
fn tree_with_modes() -> Tree {
    let tree = Tree::new();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bij-jetson/tests/stand-ins");
    let put = |path: &str, text: &str| {
        let path = tree.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(
        "etc/nvpmodel.conf",
        "< PARAM TYPE=FILE NAME=TPC >\nTPC_PG_MASK /sys/devices/gpu.0/tpc_pg_mask\n\
         < POWER_MODEL ID=0 NAME=MAXN >\nTPC TPC_PG_MASK 0\n\
         < POWER_MODEL ID=1 NAME=MODE_15W >\nTPC TPC_PG_MASK 248\n\
         < POWER_MODEL ID=3 NAME=MODE_50W >\nTPC TPC_PG_MASK 0\n\
         < PM_CONFIG DEFAULT=0 >\n",
    );
    put("sys/devices/gpu.0/tpc_pg_mask", "0\n");
    put("sys/devices/system/cpu/cpu0/online", "1\n");
    put("var/lib/nvpmodel/status", "pmode:0000\n");
    fs::create_dir_all(tree.root.path().join("usr/sbin")).unwrap();
    let nvpmodel = tree.root.path().join("usr/sbin/nvpmodel");
    std::os::unix::fs::symlink(tools.join("nvpmodel"), nvpmodel).unwrap();
    let wants = "command = [\"/bin/true\"]\npower.mode = \"MODE_15W\"\n";
    fs::write(tree.layout().definitions().join("x1.toml"), wants).unwrap();
    tree
}

fn setting(mode: &str, allow_reboot_later: bool) -> PowerModeRequest {
    PowerModeRequest { mode: mode.to_owned(), allow_reboot_later }
}

#[tokio::test]
async fn a_client_switches_the_board_and_gates_use_the_new_mode_at_once() {
    let tree = tree_with_modes();
    let _coordinator = tree.start();
    let client = tree.client().await;
    let set = client.set_power_mode(&setting("50w", false)).await.unwrap();
    assert_eq!(
        (set.id, set.name.as_str(), set.at_next_boot, set.changed),
        (3, "MODE_50W", false, true)
    );
    assert!(!client.set_power_mode(&setting("3", false)).await.unwrap().changed);
    let status = tree.root.path().join("var/lib/nvpmodel/status");
    assert_eq!(fs::read_to_string(&status).unwrap(), "pmode:0003\n");

    let run = client.submit(&[submission(1)], SubmitOptions::default()).await.unwrap();
    let run = RunRef::Run(run[0].id());
    let error = client.set_power_mode(&setting("MODE_15W", false)).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.kind, RefusalKind::Impossible, "{refusal}");
    assert!(refusal.remedy.as_ref().unwrap().contains("--allow-reboot-later"), "{refusal:?}");
    let set = client.set_power_mode(&setting("MODE_15W", true)).await.unwrap();
    assert!(set.at_next_boot);
    let gates = client.why(&run).await.unwrap().entry.waiting_on;
    let modes: Vec<_> = gates.iter().filter(|gate| &*gate.gate == "power-mode").collect();
    assert!(modes[0].text.contains("it comes with the next boot"), "{modes:?}");

    let error = client.set_power_mode(&setting("TURBO", false)).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::Invalid, "{error}");
    let events = client.events(&EventQuery::default()).await.unwrap();
    let texts: Vec<_> = events
        .iter()
        .filter(|event| event.kind == EventKind::PowerMode)
        .map(|event| (event.data["text"].as_str(), event.data["by"].as_str()))
        .collect();
    let by = texts[0].1;
    assert_eq!(
        texts,
        [
            ("the board is in power mode MODE_50W", by),
            ("the board was in power mode MODE_50W already", by),
            ("the next boot comes up in power mode MODE_15W", by),
        ]
    );
    assert!(by.contains("root") || by.contains("uid"), "{by}");
}

#[tokio::test]
async fn a_machine_without_power_modes_says_so() {
    let tree = Tree::new();
    let _coordinator = tree.start();
    let error = tree.client().await.set_power_mode(&setting("MAXN", false)).await.unwrap_err();
    assert!(error.to_string().contains("this machine has no power modes"), "{error}");
}
