//! Tests of the adapter against a real systemd as PID 1, as root.
//!
//! They are ignored by default because they write units below /run and start them. On a dedicated
//! machine: `real_systemd --ignored --test-threads=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bij_core::port::{Started, UnitError, UnitManager, UnitRestrainer as _};
use bij_core::spec::ExperimentSpec;
use bij_core::{
    ActiveState, Cause, ExperimentId, Layout, Limit, Percent, StartLimit, TimeSpan, Timestamp,
};
use bij_sim::contract::{Behaviour, UnitLab, unit_manager_contract, unit_restrainer_contract};
use bij_systemd::experiment::{
    AttemptSpan, DropIn, HookView, JobType, JournalQuery, SystemdUnits, SystemdVersion,
};
use bij_systemd::{Journal, RuntimeScope};

/// A template without hooks that overrides an installed one; without a drop-in its start fails, as that one's does.
const TEMPLATE: &str = "[Unit]\nPartOf=brain-experiment.target\n[Service]\nType=exec\n\
     Slice=brain.slice\nMemoryAccounting=yes\nCPUAccounting=yes\nNotifyAccess=all\n\
     SyslogIdentifier=brain-experiment-%i\n\
     LogExtraFields=BIJ_KIND=experiment BIJ_EXPERIMENT=%i\n\
     RestartPreventExitStatus=78\nExecStartPre=/bin/true\nExecStart=/bin/sh -c \"exit 78\"\n\
     [Install]\nWantedBy=brain-experiment.target\n";
const UNITS: &str = "/run/systemd/system";
const TEMPLATE_PATH: &str = "/etc/systemd/system/brain-experiment@.service";

/// Held by the test that runs, because all tests share one PID 1.
static TURN: Mutex<()> = Mutex::new(());

struct Lab {
    units: SystemdUnits,
    runtime: tokio::runtime::Runtime,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Lab {
    fn open() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(Path::new("/run/systemd/system").is_dir(), "systemd is not PID 1 here");
        fs::write(TEMPLATE_PATH, TEMPLATE).unwrap();
        let target = Path::new(UNITS).join("brain-experiment.target");
        fs::write(target, "[Unit]\nDescription=Experiments\n").unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let units = runtime.block_on(SystemdUnits::connect(RuntimeScope::System)).unwrap();
        runtime.block_on(units.reload()).unwrap();
        Self { units, runtime, _turn: turn }
    }

    fn directory(id: &ExperimentId) -> PathBuf {
        Path::new(UNITS).join(format!("{}.d", id.unit_name()))
    }

    /// Writes the drop-in without a reload.
    fn write(spec: &ExperimentSpec) {
        let layout = Layout::system(Path::new("/"));
        let (source, stamp) = ("/etc/hostname", "0123456789abcdef");
        let scope = RuntimeScope::System;
        let (gpu, systemd) = (&[], SystemdVersion(252));
        let drop_in = DropIn { spec, source, stamp, layout: &layout, scope, gpu, systemd };
        let directory = Self::directory(&spec.id);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("10-experiment.conf"), drop_in.render()).unwrap();
        Self::write_environment(&layout, spec);
    }

    /// Writes the environment file that the launcher reads, as the hook does at each start.
    fn write_environment(layout: &Layout, spec: &ExperimentSpec) {
        let own = ("BIJ_EXPERIMENT".to_owned(), spec.id.to_string());
        let variables = spec.environment.clone().into_iter().chain([own]);
        let entry = |(name, value): (String, String)| [name, "=".into(), value, "\0".into()];
        let text: String = variables.flat_map(entry).collect();
        let path = match &spec.user {
            Some(_) => layout.environment(&spec.id),
            None => layout.sealed_environment(&spec.id),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    }

    async fn put(&self, spec: &ExperimentSpec) {
        Self::write(spec);
        self.units.reload().await.unwrap();
    }

    fn start(&self, spec: &ExperimentSpec) -> Started {
        self.runtime.block_on(async {
            self.put(spec).await;
            self.units.start(&spec.id).await.unwrap()
        })
    }

    fn wait(&self, id: &ExperimentId, wanted: &ActiveState) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.runtime.block_on(self.units.status(id)).unwrap().active_state != *wanted {
            assert!(Instant::now() < until, "{id} never was {wanted}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A failed test may have left units behind.
        let pattern = "brain-experiment@*.service";
        for verb in ["stop", "reset-failed"] {
            let _ = Command::new("systemctl").args([verb, pattern]).status();
        }
    }
}

impl UnitLab for Lab {
    type Manager = SystemdUnits;

    fn manager(&self) -> &SystemdUnits {
        &self.units
    }

    async fn define(&self, id: &ExperimentId, behaviour: Behaviour) -> bool {
        self.put(&behaviour.spec(id)).await;
        // Exit codes of the start hook: 1 to skip the start, 255 for a program that cannot be run.
        let condition = match behaviour {
            Behaviour::IsSkipped => Some("[Service]\nExecCondition=/bin/false\n"),
            Behaviour::CannotBeRun => Some("[Service]\nExecCondition=/bin/sh -c \"exit 255\"\n"),
            _ => None,
        };
        if let Some(condition) = condition {
            fs::write(Self::directory(id).join("20-condition.conf"), condition).unwrap();
            self.units.reload().await.unwrap();
        }
        true
    }

    async fn pass(&self, span: TimeSpan) {
        tokio::time::sleep(span.as_duration()).await;
    }
}

fn spec(name: &str, command: &[&str]) -> ExperimentSpec {
    let command = command.iter().map(ToString::to_string).collect();
    ExperimentSpec::new(ExperimentId::new(name).unwrap(), command)
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn systemd_keeps_the_contract() {
    let lab = Lab::open();
    lab.runtime.block_on(async {
        unit_manager_contract(&lab).await;
        unit_restrainer_contract(&lab).await;
    });
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn every_argument_and_value_reaches_the_process() {
    let lab = Lab::open();
    let odd = [
        "",
        " ",
        ";",
        "a;b",
        "$HOME",
        "${HOME}",
        "$$",
        "%i",
        "100%",
        "\"",
        "'",
        "\\",
        "\\n",
        "a\nb",
        "a\tb",
        "\u{1}\u{7f}\u{85}",
        "grün 🧠",
        "tail\\",
        "-x",
        "@x",
        "[Service]",
        "#",
    ];
    let programs = ["sh", "/bin/sh", "/opt/my tools/it's \"here\"", "/opt/a=b'c", "/opt/100%"];
    for (number, program) in programs.into_iter().enumerate() {
        if program.starts_with("/opt") {
            fs::create_dir_all(Path::new(program).parent().unwrap()).unwrap();
            fs::copy("/bin/sh", program).unwrap();
        }
        let out = format!("/run/odd-{number}");
        let _ = fs::remove_file(&out);
        let script = format!("for a in \"$@\" \"$ODD\"; do printf '%s\\0' \"$a\"; done >{out}");
        let mut command = vec![program, "-c", &script, "name"];
        command.extend(odd);
        let mut spec = spec(&format!("odd-{number}"), &command);
        spec.environment.insert("ODD".to_owned(), "a b\n\"c\" 100% $HOME \\".to_owned());
        spec.restart.burst = 1;
        spec.user = Some("root".to_owned());
        assert_eq!(lab.start(&spec), Started::Up, "{program}");
        lab.wait(&spec.id, &ActiveState::Inactive);
        let text = fs::read_to_string(&out).unwrap();
        let mut got: Vec<&str> = text.split_terminator('\0').collect();
        assert_eq!(got.pop(), Some("a b\n\"c\" 100% $HOME \\"));
        assert_eq!(got, odd, "{program}");
    }
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn a_hook_sees_whether_the_end_was_requested() {
    let lab = Lab::open();
    let mut spec = spec("asked", &["/bin/sleep", "600"]);
    spec.limits.memory = Some("64M".parse().unwrap());
    spec.limits.time = Some("12h".parse().unwrap());
    assert_eq!(lab.start(&spec), Started::Up);
    let view = HookView::connect(RuntimeScope::System);
    let facts = view.unit_facts(&spec.id).unwrap();
    assert_eq!(facts.job, None);
    assert!(facts.ready.is_some() && facts.main_started.is_some() && facts.ran_for.is_none());
    assert_eq!(facts.stamp.as_deref(), Some("0123456789abcdef"));
    assert_eq!(facts.memory_max.unwrap().at().unwrap().get(), 64 << 20);
    assert_eq!(facts.time_limit.unwrap().at(), Some(TimeSpan::from_secs(43_200)));
    let status = lab.runtime.block_on(lab.units.status(&spec.id)).unwrap();
    assert_eq!(facts.invocation, status.invocation);
    // The stop is requested without the bus.
    let post = "[Service]\nExecStopPost=/bin/sleep 2\n";
    fs::write(Lab::directory(&spec.id).join("20-post.conf"), post).unwrap();
    view.reload().unwrap();
    let stop = ["--no-block", "stop", &spec.id.unit_name()];
    assert!(Command::new("systemctl").args(stop).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(view.unit_facts(&spec.id).unwrap().job, Some(JobType::Stop));
    let stopped = view.unit_facts(&spec.id).unwrap();
    assert!(stopped.ran_for.is_some() && !stopped.stopping);
    lab.wait(&spec.id, &ActiveState::Inactive);
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn the_journal_has_the_end_and_every_line_of_an_attempt() {
    let lab = Lab::open();
    let mut spec =
        spec("talks", &["/bin/sh", "-c", "sleep 1; echo hello from talks; kill -SEGV $$"]);
    spec.restart.burst = 1;
    let now = Timestamp::from(std::time::SystemTime::now());
    let journal = Journal::new(RuntimeScope::System);
    // Followed before the unit exists: journalctl's own patterns would miss it.
    let query = JournalQuery { follow: true, newest: Some(0), ..JournalQuery::default() };
    let mut lines = journal.lines(&query, now).unwrap();
    let started = lab.start(&spec);
    assert_eq!(started, Started::Up);
    let invocation = lab.runtime.block_on(lab.units.status(&spec.id)).unwrap().invocation.unwrap();
    let line =
        lines.by_ref().map(Result::unwrap).find(|line| line.text == "hello from talks").unwrap();
    assert_eq!(line.experiment, spec.id);
    // The last lines of a process may lack it.
    assert!(line.invocation.is_none_or(|found| found == invocation));
    lines.stopper().stop();
    lab.wait(&spec.id, &ActiveState::Failed);
    std::thread::sleep(Duration::from_secs(1));
    let end = journal.end_of(invocation).unwrap().expect("the journal has the end");
    assert_eq!(end.evidence.prove(), Cause::Signal, "{end:?}");
    assert!(end.evidence.became_ready && end.ready.is_some() && end.evidence.order.is_none());
    let boot = line.boot.expect("journald sets the boot id");
    let this =
        AttemptSpan { boot, invocation, started: now, ended: Some(end.at), is_clock_steady: true };
    // The second span is that of an attempt during which the clock was set back.
    let ended = Some(Timestamp::from_micros(5));
    for attempt in [this, AttemptSpan { ended, is_clock_steady: false, ..this }] {
        let query = JournalQuery { attempts: vec![attempt], ..JournalQuery::default() };
        let found: Vec<_> = journal.lines(&query, now).unwrap().map(Result::unwrap).collect();
        assert!(
            found.iter().any(|line| line.writer == bij_systemd::experiment::Writer::Manager),
            "{found:?}"
        );
        assert!(found.iter().any(|line| line.text == "hello from talks"));
    }
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn a_start_does_not_wait_for_the_next_automatic_restart() {
    let lab = Lab::open();
    let mut spec = spec("waits", &["/bin/sh", "-c", "sleep 0.2; exit 3"]);
    spec.restart.delay = TimeSpan::from_secs(600);
    lab.start(&spec);
    lab.wait(&spec.id, &ActiveState::Activating);
    let before = Instant::now();
    let started = lab.runtime.block_on(lab.units.start(&spec.id)).unwrap();
    assert_eq!(started, Started::Up);
    assert!(before.elapsed() < Duration::from_secs(60));
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn a_kill_ends_every_process_but_the_hook_that_records_the_end() {
    let lab = Lab::open();
    // Neither the shell nor its child ends at SIGTERM.
    let stays = "trap '' TERM; (while :; do sleep 0.1; done) & while :; do sleep 0.1; done";
    let spec = spec("stays", &["/bin/sh", "-c", stays]);
    let marker = Path::new("/run/bij-end-was-recorded");
    Lab::write(&spec);
    // Not in the experiment's own drop-in, which a start writes anew.
    let post =
        format!("[Service]\nExecStopPost=+/bin/sh -c \"sleep 1; : >{}\"\n", marker.display());
    fs::write(Lab::directory(&spec.id).join("20-post.conf"), post).unwrap();
    assert_eq!(lab.start(&spec), Started::Up);
    let stop = ["--no-block", "stop", &spec.id.unit_name()];
    assert!(Command::new("systemctl").args(stop).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
    lab.runtime.block_on(lab.units.kill(&spec.id)).unwrap();
    lab.wait(&spec.id, &ActiveState::Failed);
    fs::remove_file(marker).expect("the hook ran to its end");
}

/// Returns a property of a unit from `systemctl show`.
fn shown(id: &ExperimentId, property: &str) -> String {
    let unit = id.unit_name();
    let show = ["show", "--value", "--property", property, &unit];
    let output = Command::new("systemctl").args(show).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn removing_a_cap_keeps_an_operators_quota_and_needs_no_reload() {
    let lab = Lab::open();
    let quota = |spec: &ExperimentSpec| shown(&spec.id, "CPUQuotaPerSecUSec");
    for (name, ours) in [("plain", None), ("ordered", Some("90-ours.conf"))] {
        let spec = spec(name, &["/bin/sleep", "infinity"]);
        Lab::write(&spec);
        if let Some(ours) = ours {
            let text = "[Service]\nCPUWeight=50\n";
            fs::write(Lab::directory(&spec.id).join(ours), text).unwrap();
        }
        assert_eq!(lab.start(&spec), Started::Up);
        let set = |cap: Option<u32>| {
            let cap = cap.map(Percent::new);
            lab.runtime.block_on(lab.units.set_cpu_cap(&spec.id, cap))
        };
        if matches!(set(Some(50)), Err(UnitError::Unsupported(_))) {
            return;
        }
        assert_eq!(quota(&spec), "500ms");
        set(None).unwrap();
        assert_eq!(quota(&spec), "infinity");
        assert_eq!(shown(&spec.id, "NeedDaemonReload"), "no", "{name}");

        let own = ["set-property", "--runtime", &spec.id.unit_name(), "CPUQuota=80%"];
        assert!(Command::new("systemctl").args(own).status().unwrap().success());
        set(Some(50)).unwrap();
        assert_eq!(quota(&spec), "500ms");
        set(None).unwrap();
        assert_eq!(quota(&spec), "800ms", "what the operator has set");
        lab.runtime.block_on(lab.units.reload()).unwrap();
        assert_eq!(quota(&spec), "800ms", "also after a reload");
        lab.runtime.block_on(lab.units.stop(&spec.id)).unwrap();
        let revert = ["revert", &spec.id.unit_name()];
        assert!(Command::new("systemctl").args(revert).status().unwrap().success());
    }
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn our_start_limit_agrees_with_that_of_systemd() {
    let lab = Lab::open();
    let interval = TimeSpan::from_secs(4);
    let limit = StartLimit { burst: 2, interval: Limit::At(interval) };
    // It is never restarted, and failed: an inactive unit is unloaded, and its starts are forgotten.
    let mut spec = spec("counted", &["/bin/sh", "-c", "sleep 0.2; exit 78"]);
    (spec.restart.burst, spec.restart.interval) = (limit.burst, limit.interval);
    lab.runtime.block_on(lab.put(&spec));
    let unit = spec.id.unit_name();
    let mut starts: Vec<Instant> = Vec::new();
    let begun = Instant::now();
    // The third and the fourth are in the second window, though the second is less than an interval ago.
    for millis in [0, 3000, 4500, 5200, 5900] {
        std::thread::sleep((begun + Duration::from_millis(millis)).duration_since(Instant::now()));
        let now = Instant::now();
        let ages = starts.iter().map(|start| TimeSpan::from(now - *start));
        let expected = limit.allows(ages);
        let started = Command::new("systemctl").args(["start", &unit]).status().unwrap();
        assert_eq!(started.success(), expected, "{millis} ms after the first start");
        lab.wait(&spec.id, &ActiveState::Failed);
        if expected {
            starts.push(now);
        }
    }
    assert_eq!(starts.len(), 4, "the last one alone is refused");
}
