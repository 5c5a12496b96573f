use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bij_core::{Cause, Evidence, Exit, ServiceResult, Timestamp, Witness};
use bij_systemd::JournalEnd;
use nix::unistd::geteuid;

use super::*;
use crate::HookEnv;
use crate::render::Renderer;
use crate::testing::TestMachine;

const KILLED: Option<Exit> = Some(Exit::Signal(9));

#[test]
fn a_first_start_does_not_ask_the_manager_and_sets_the_variables() {
    let machine = TestMachine::new();
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert_eq!(variables, "BIJ_RUN=x#1\nBIJ_ATTEMPT=1\nBIJ_CRASHES=0\n");
    assert_eq!(machine.manager.asked.get(), 0);
}

#[test]
fn a_resurrection_gets_its_number_and_cause() {
    let machine = TestMachine::new();
    let first = machine.new_invocation();
    machine.begin_and_read(&first);
    machine.write("var/lib/brain-in-jar/experiments/x/progress", "step=3 checkpoint=/c 'k\n");
    machine.end(&first, "signal", KILLED);
    machine.manager.facts.borrow_mut().restarts = 1;
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert_eq!(
        variables,
        "BIJ_RUN=x#1\nBIJ_ATTEMPT=2\nBIJ_CRASHES=1\nBIJ_LAST_CAUSE=signal\nBIJ_RESUME_FROM=/c 'k\n"
    );
}

#[test]
fn the_ledger_holds_restarts_to_a_limit_that_systemd_has_lost_count_of() {
    let machine = TestMachine::new();
    {
        let mut facts = machine.manager.facts.borrow_mut();
        facts.start_limit_burst = 2;
        facts.start_limit_interval = Some(Limit::Max);
    }
    for restarts in 0..2 {
        machine.manager.facts.borrow_mut().restarts = restarts;
        let env = machine.new_invocation();
        machine.begin_and_read(&env);
        machine.end(&env, "exit-code", Some(Exit::Code(9)));
    }
    machine.manager.facts.borrow_mut().restarts = 2;
    let refused = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(refused.to_string().contains("used up its 2 starts in infinity"), "{refused}");
    assert_eq!(machine.attempts().len(), 2, "a refused start is no attempt");
    machine.manager.facts.borrow_mut().restarts = 0;
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert!(variables.starts_with("BIJ_RUN=x#2"), "a start by hand begins anew: {variables}");
}

#[test]
fn a_start_by_hand_after_a_crash_is_a_new_run_and_counts_on() {
    let machine = TestMachine::new();
    let first = machine.new_invocation();
    machine.begin_and_read(&first);
    machine.end(&first, "exit-code", Some(Exit::Code(1)));
    machine.manager.facts.borrow_mut().restarts = 0;
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert!(variables.starts_with("BIJ_RUN=x#2\nBIJ_ATTEMPT=1\nBIJ_CRASHES=1\n"), "{variables}");
}

#[test]
fn after_a_success_the_work_begins_anew() {
    let machine = TestMachine::new();
    let first = machine.new_invocation();
    machine.begin_and_read(&first);
    machine.write("var/lib/brain-in-jar/experiments/x/progress", "step=9 checkpoint=/done\n");
    machine.end(&first, "success", Some(Exit::Code(0)));
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert_eq!(variables, "BIJ_RUN=x#2\nBIJ_ATTEMPT=1\nBIJ_CRASHES=0\nBIJ_LAST_CAUSE=success\n");
    assert!(!machine.path("var/lib/brain-in-jar/experiments/x/progress").exists());
    assert_eq!(machine.manager.asked.get(), 1, "`end` asked, `begin` did not");
}

#[test]
fn a_checkpoint_outlives_an_attempt_that_wrote_none_but_not_the_end_of_the_work() {
    let machine = TestMachine::new();
    let progress = "var/lib/brain-in-jar/experiments/x/progress";
    let live = |text: &str, result: &str, exit: Option<Exit>| {
        let env = machine.new_invocation();
        let variables = machine.begin_and_read(&env);
        machine.write(progress, text);
        machine.end(&env, result, exit);
        machine.manager.facts.borrow_mut().restarts += 1;
        variables.lines().find_map(|line| line.strip_prefix("BIJ_RESUME_FROM=")).map(str::to_owned)
    };
    assert_eq!(live("step=5 checkpoint=/five\n", "signal", KILLED), None);
    assert_eq!(live("step=1\n", "signal", KILLED).as_deref(), Some("/five"));
    assert_eq!(live("step=2\n", "signal", KILLED).as_deref(), Some("/five"));
    let done = live("step=9 checkpoint=/nine\n", "success", Some(Exit::Code(0)));
    assert_eq!(done.as_deref(), Some("/five"));
    assert_eq!(live("step=1\n", "signal", KILLED), None);
    assert_eq!(live("step=2\n", "signal", KILLED), None, "that work was finished");
}

#[test]
fn a_changed_definition_is_loaded_once_before_it_runs() {
    let machine = TestMachine::new();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().1 = "s2".to_owned();
    *machine.manager.stamp.borrow_mut() = Some("s1".to_owned());
    machine.manager.render(Some("s2"));
    machine.begin_and_read(&machine.new_invocation());
    assert_eq!(machine.manager.reloads.get(), 1);
    assert!(machine.drop_in().unwrap().contains("BIJ_STAMP=s2"));
    // A start whose environment has the old stamp because another start was reloading.
    let env = machine.new_invocation();
    assert_eq!(env.stamp.as_deref(), Some("s1"));
    machine.begin_and_read(&env);
    assert_eq!(machine.manager.reloads.get(), 1, "the first start has reloaded");
}

#[test]
fn a_unit_that_is_stale_after_a_reload_does_not_start() {
    let machine = TestMachine::new();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().1 = "s2".to_owned();
    *machine.manager.stamp.borrow_mut() = Some("s1".to_owned());
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(error.to_string().starts_with("the unit of x differs"), "{error}");
    machine.manager.mute.set(true);
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(
        error_chain(&error).ends_with("cannot call the service manager: no such socket"),
        "{}",
        error_chain(&error)
    );
    assert_eq!(machine.attempts(), []);
}

#[test]
fn a_start_without_a_definition_opens_no_attempt() {
    let machine = TestMachine::new();
    machine.render();
    *machine.definitions.0.lock().unwrap() = None;
    let never_rendered = HookEnv { stamp: None, ..machine.new_invocation() };
    assert_eq!(machine.begin(&never_rendered).unwrap(), Begun::LeftToRefuse);
    assert_eq!(machine.manager.asked.get(), 0);
    // Its drop-in is from before it broke: it has to go first.
    *machine.manager.stamp.borrow_mut() = Some("s1".to_owned());
    machine.manager.render(None);
    assert_eq!(machine.begin(&machine.new_invocation()).unwrap(), Begun::LeftToRefuse);
    assert_eq!((machine.manager.reloads.get(), machine.attempts()), (1, vec![]));
    assert_eq!(machine.drop_in(), None);
}

#[test]
fn an_outdated_command_that_cannot_be_removed_does_not_run() {
    let machine = TestMachine::new();
    machine.render();
    *machine.definitions.0.lock().unwrap() = None;
    *machine.manager.stamp.borrow_mut() = Some("s1".to_owned());
    // The service manager goes on with what it has loaded.
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(matches!(error, BeginError::StillStale { .. }), "{error}");
    // And now the drop-in cannot even be removed.
    let path = machine.host.layout().drop_in(&machine.id);
    fs::create_dir_all(path.join("in the way")).unwrap();
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(matches!(error, BeginError::Remove { .. }), "{error}");
    assert_eq!(machine.attempts(), []);
}

#[test]
fn settings_that_cannot_be_written_fail_the_start_and_leave_the_old_ones() {
    let machine = TestMachine::new();
    machine.render();
    let before = machine.drop_in();
    *machine.manager.stamp.borrow_mut() = Some("s1".to_owned());
    machine.definitions.0.lock().unwrap().as_mut().unwrap().1 = "s2".to_owned();
    let directory = machine.host.layout().drop_in(&machine.id);
    let directory = directory.parent().unwrap();
    let aside = directory.with_extension("aside");
    fs::rename(directory, &aside).unwrap();
    fs::write(directory, "in the way").unwrap();
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(error.to_string().contains("`df -h /run`"), "{error}");
    assert_eq!((machine.manager.reloads.get(), machine.attempts()), (0, vec![]));
    fs::remove_file(directory).unwrap();
    fs::rename(aside, directory).unwrap();
    assert_eq!(machine.drop_in(), before);
    // What is loaded already needs nothing to be written.
    machine.definitions.0.lock().unwrap().as_mut().unwrap().1 = "s1".to_owned();
    machine.begin_and_read(&machine.new_invocation());
}

#[test]
fn an_unreadable_definition_is_not_an_invalid_definition() {
    let machine = TestMachine::new();
    machine.render();
    machine.definitions.1.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(matches!(error, BeginError::Definition { .. }), "{error}");
    assert!(machine.drop_in().is_some());
    let no_command =
        crate::NoCommand::diagnose(&machine.definitions, machine.host.layout(), &machine.id);
    assert!(!no_command.is_final, "{no_command:?}");
}

/// A machine whose unit is stale, and the lock that another start holds while it reloads.
fn stale_while_another_reloads() -> (TestMachine, fs::File) {
    let machine = TestMachine::new();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().1 = "s2".to_owned();
    *machine.manager.stamp.borrow_mut() = Some("s1".to_owned());
    machine.manager.render(Some("s2"));
    let lock = fs::File::create(machine.path("run/brain-in-jar/render.lock")).unwrap();
    lock.lock().unwrap();
    (machine, lock)
}

#[test]
fn a_start_that_hangs_with_the_lock_delays_others_only_briefly() {
    let (machine, _lock) = stale_while_another_reloads();
    let started = std::time::Instant::now();
    machine.begin_and_read(&machine.new_invocation());
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn a_start_that_waits_for_the_reload_of_another_has_written_its_drop_in() {
    let (machine, lock) = stale_while_another_reloads();
    let drop_in = machine.host.layout().drop_in(&machine.id);
    let other_start = std::thread::spawn(move || {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !drop_in.exists() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let is_written = drop_in.exists();
        drop(lock);
        is_written
    });
    machine.begin_and_read(&machine.new_invocation());
    assert!(other_start.join().unwrap(), "the reload of the other start would not have covered it");
}

#[test]
fn a_missing_directory_is_reported_with_its_remedy() {
    let machine = TestMachine::new();
    let set = |machine: &TestMachine| {
        let mut definitions = machine.definitions.0.lock().unwrap();
        definitions.as_mut().unwrap().0.directory = Some("/opt/brain".parse().unwrap());
    };
    set(&machine);
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the directory /opt/brain is not there: mkdir -p /opt/brain, or change `directory`"
    );
    fs::create_dir_all(machine.path("opt/brain")).unwrap();
    machine.begin_and_read(&machine.new_invocation());
}

#[test]
fn a_missing_writable_path_is_reported_with_its_remedy() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.writable =
        vec!["/opt/brain/logs".parse().unwrap()];
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(machine.attempts().iter().all(|attempt| attempt.end.is_some()), "left open");
    assert_eq!(
        error.to_string(),
        "/opt/brain/logs, which the experiment is to write to, is not there: mkdir -p /opt/brain/logs"
    );
    assert_eq!(machine.attempts().len(), 1);
    machine.write("opt/brain/logs", "a file will do");
    machine.begin_and_read(&machine.new_invocation());
}

#[test]
fn another_boot_closes_an_attempt_after_a_power_cut() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    machine.write("var/lib/brain-in-jar/experiments/x/progress", "step=5 checkpoint=/five\n");
    let progress = machine.path("var/lib/brain-in-jar/experiments/x/progress");
    // The clock of file times ticks seldom: as it stands the file may seem older than its attempt.
    let file = fs::File::options().append(true).open(progress).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    machine.boot(2);
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert_eq!(
        variables,
        "BIJ_RUN=x#1\nBIJ_ATTEMPT=2\nBIJ_CRASHES=1\nBIJ_LAST_CAUSE=power-loss\nBIJ_RESUME_FROM=/five\n"
    );
    let end = machine.attempts()[0].end.clone().unwrap();
    assert_eq!((end.cause, end.evidence.witness), (Cause::PowerLoss, Some(Witness::NextBoot)));
    assert_eq!(end.evidence.notes, ["its last progress was written then; it may have lived on"]);
    assert_eq!(end.evidence.progress.unwrap().step, Some(5));
    assert_eq!(machine.manager.asked.get(), 0);
}

#[test]
fn a_boot_that_ended_in_good_order_is_no_crash() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    machine.manager.stopping.set(true);
    crate::shutdown(&machine.host, &mut machine.store(), &machine.manager).unwrap();
    machine.boot(2);
    assert_eq!(crate::boot(&machine.host, &mut machine.store()).unwrap(), 1);
    assert_eq!(crate::boot(&machine.host, &mut machine.store()).unwrap(), 0);
    let end = machine.attempts()[0].end.clone().unwrap();
    assert_eq!(end.cause, Cause::Reboot);
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert!(variables.starts_with("BIJ_RUN=x#1\nBIJ_ATTEMPT=2\nBIJ_CRASHES=0\n"), "{variables}");
}

#[test]
fn stopping_the_boot_service_by_hand_is_no_shutdown() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    let outcome = crate::shutdown(&machine.host, &mut machine.store(), &machine.manager).unwrap();
    assert_eq!(outcome, bij_core::Outcome::Unchanged);
    machine.boot(2);
    crate::boot(&machine.host, &mut machine.store()).unwrap();
    assert_eq!(machine.attempts()[0].end.as_ref().unwrap().cause, Cause::PowerLoss);
}

#[test]
fn the_end_of_an_attempt_whose_hook_was_killed_is_found_in_the_journal() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    let mut evidence = Evidence::default();
    evidence.witness = Some(Witness::Journal);
    evidence.service_result = Some(ServiceResult::OomKill);
    *machine.journal.end.borrow_mut() =
        Some(JournalEnd { at: Timestamp::from_micros(9), ready: None, evidence });
    machine.manager.facts.borrow_mut().restarts = 1;
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert!(
        variables.contains("BIJ_ATTEMPT=2\nBIJ_CRASHES=1\nBIJ_LAST_CAUSE=oom-kill"),
        "{variables}"
    );
    let end = machine.attempts()[0].end.clone().unwrap();
    assert_eq!((end.cause, end.at), (Cause::OomKill, Timestamp::from_micros(9)));
    assert_eq!(end.evidence.restarts, Some(1));
}

#[test]
fn an_order_that_a_killed_end_hook_left_explains_the_stop() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    let mut evidence = Evidence::default();
    evidence.service_result = Some(ServiceResult::Success);
    evidence.exit = Some(Exit::Signal(15));
    *machine.journal.end.borrow_mut() =
        Some(JournalEnd { at: Timestamp::from_micros(9), ready: None, evidence });
    machine.write("run/brain-in-jar/orders/x.json", r#"{"kind":"heat","by":"tj is at 90.0 °C"}"#);
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert!(variables.contains("BIJ_CRASHES=0\nBIJ_LAST_CAUSE=heat"), "{variables}");
}

#[test]
fn the_kernels_log_proves_an_oom_kill_that_pid_1_reports_as_a_signal() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    let mut evidence = Evidence::default();
    evidence.service_result = Some(ServiceResult::Signal);
    evidence.exit = KILLED;
    *machine.journal.end.borrow_mut() =
        Some(JournalEnd { at: Timestamp::from_micros(9), ready: None, evidence });
    *machine.journal.line.borrow_mut() = Some("oom-kill:…".to_owned());
    machine.begin_and_read(&machine.new_invocation());
    assert_eq!(machine.attempts()[0].end.as_ref().unwrap().cause, Cause::OomKill);
}

#[test]
fn with_no_witness_the_cause_is_unknown_and_counts_as_a_crash() {
    let machine = TestMachine::new();
    machine.begin_and_read(&machine.new_invocation());
    machine.manager.facts.borrow_mut().restarts = 1;
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert!(variables.contains("BIJ_CRASHES=1\nBIJ_LAST_CAUSE=unknown"), "{variables}");
    let end = machine.attempts()[0].end.clone().unwrap();
    assert_eq!(end.evidence.witness, Some(Witness::NextStart));
}

#[test]
fn a_clock_that_jumps_back_loses_nothing_and_counts_nothing_twice() {
    let machine = TestMachine::new();
    let first = machine.new_invocation();
    let hour = TimeSpan::from_secs(3600);
    let opening = Opening {
        experiment: machine.id.clone(),
        key: AttemptKey {
            boot: machine.host.boot().unwrap(),
            invocation: first.invocation.unwrap(),
        },
        at: machine.host.now() + hour,
        uptime: uptime(),
        start: StartKind::Fresh,
    };
    machine.store().open(&opening).unwrap();
    machine.end(&first, "signal", KILLED);
    machine.manager.facts.borrow_mut().restarts = 1;
    let variables = machine.begin_and_read(&machine.new_invocation());
    assert!(variables.starts_with("BIJ_RUN=x#1\nBIJ_ATTEMPT=2\nBIJ_CRASHES=1\n"), "{variables}");
    let attempts = machine.attempts();
    assert_eq!((attempts.len(), attempts[0].end.as_ref().unwrap().cause), (2, Cause::Signal));
}

#[test]
fn begin_may_be_called_twice_for_one_invocation() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    let first = machine.begin_and_read(&env);
    assert_eq!(machine.begin_and_read(&env), first);
    assert_eq!(machine.attempts().len(), 1);
}

#[test]
fn the_environment_is_its_users_alone_and_gone_after_the_end() {
    let machine = TestMachine::new();
    let env = machine.new_invocation();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.environment =
        [("TOKEN".to_owned(), "secret".to_owned())].into();
    machine.begin_and_read(&env);
    let mode = |path: &str| fs::metadata(machine.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run/brain-in-jar/sealed"), 0o700, "the file is read in its namespace only");
    let sealed = machine.path("run/brain-in-jar/sealed/x");
    let text = fs::read_to_string(&sealed).unwrap();
    assert!(
        text.starts_with("HOME=") && text.contains("\0TOKEN=secret\0BIJ_EXPERIMENT=x\0"),
        "{text:?}"
    );
    machine.end(&env, "success", Some(Exit::Code(0)));
    assert!(!sealed.exists());
    let user = geteuid().to_string();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.user = Some(user);
    machine.begin(&machine.new_invocation()).unwrap();
    assert!(!sealed.exists(), "a user that is known reads what is its own");
    assert_eq!(mode("run/brain-in-jar/environments/x"), 0o400);
    let text = fs::read_to_string(machine.path("run/brain-in-jar/environments/x")).unwrap();
    assert!(text.starts_with("TOKEN=secret\0"));
}

#[test]
fn a_missing_program_fails_the_start_and_is_in_the_history() {
    let machine = TestMachine::new();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.command =
        vec!["/opt/none".to_owned()];
    let env = machine.new_invocation();
    let error = machine.begin(&env).unwrap_err();
    let reason = "/opt/none is not there: install it, or change `command`";
    assert_eq!(error.to_string(), reason);
    assert!(!machine.path("run/brain-in-jar/environments/x").exists());
    machine.end(&env, "exit-code", None);
    let end = machine.attempts()[0].end.clone().unwrap();
    assert_eq!(
        (end.cause, &end.evidence.notes[..]),
        (Cause::StartFailed, &[reason.to_owned()][..])
    );
}

#[test]
fn a_start_without_its_environment_fails() {
    let machine = TestMachine::new();
    machine.write("run/brain-in-jar/sealed", "in the way");
    let error = machine.begin(&machine.new_invocation()).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write the environment of the attempt to "),
        "{error}"
    );
}

#[test]
fn old_orders_and_stop_files_are_gone_before_the_start() {
    let machine = TestMachine::new();
    machine.write("run/brain-in-jar/stop/x", "");
    machine.write("run/brain-in-jar/orders/x.json", "{}");
    machine.begin_and_read(&machine.new_invocation());
    assert!(!machine.path("run/brain-in-jar/stop/x").exists());
    assert!(!machine.path("run/brain-in-jar/orders/x.json").exists());
}

#[test]
fn a_start_with_an_unwritable_ledger_succeeds_and_is_recorded_later() {
    let machine = TestMachine::new();
    fs::create_dir_all(machine.path("var/lib/brain-in-jar/state.db")).unwrap();
    let mut ledger = bij_store::RobustLedger::at(machine.host.layout());
    let env = machine.new_invocation();
    let hook = HookContext {
        host: &machine.host,
        env: &env,
        definitions: &machine.definitions,
        ledger: &mut ledger,
        manager: &machine.manager,
        journal: &machine.journal,
    };
    assert!(matches!(hook.begin(&machine.id).unwrap(), Begun::Attempt(Some(_))));
    assert_eq!(machine.attempt_variables(), "BIJ_RUN=x#1\nBIJ_ATTEMPT=1\nBIJ_CRASHES=0\n");
    fs::remove_dir(machine.path("var/lib/brain-in-jar/state.db")).unwrap();
    assert_eq!(ledger.apply_spool().unwrap(), 1);
    assert_eq!(machine.attempts().len(), 1);
}

#[test]
fn a_start_fails_only_if_it_can_be_recorded_nowhere() {
    let machine = TestMachine::new();
    let mut ledger = bij_store::RobustLedger::at(machine.host.layout());
    let mut begin = |env: &HookEnv| {
        HookContext {
            host: &machine.host,
            env,
            definitions: &machine.definitions,
            ledger: &mut ledger,
            manager: &machine.manager,
            journal: &machine.journal,
        }
        .begin(&machine.id)
    };
    fs::create_dir_all(machine.path("var/lib/brain-in-jar/state.db")).unwrap();
    fs::create_dir_all(machine.path("run/brain-in-jar/attempts/x.json/in the way")).unwrap();
    assert!(
        matches!(begin(&machine.new_invocation()).unwrap(), Begun::Attempt(Some(_))),
        "it is in the spool"
    );
    fs::remove_dir_all(machine.path("run/brain-in-jar/spool")).unwrap();
    machine.write("run/brain-in-jar/spool", "a file in the way");
    let error = begin(&machine.new_invocation()).unwrap_err();
    assert!(matches!(error, BeginError::Unrecorded { .. }), "{error}");
    fs::remove_dir_all(machine.path("run/brain-in-jar/attempts/x.json")).unwrap();
    begin(&machine.new_invocation()).unwrap();
}

/// A machine whose experiment may use the GPU, and the stamp of its unit.
fn with_gpu() -> (TestMachine, impl Fn(&TestMachine) -> String) {
    let machine = TestMachine::new();
    machine.definitions.0.lock().unwrap().as_mut().unwrap().0.gpu.access = true;
    machine.write("proc/devices", "Character devices:\n503 17000000.gpu\n");
    let stamp = |machine: &TestMachine| {
        let found = machine.definitions.find(&machine.id).unwrap();
        Renderer::new(&machine.host).desired_unit(found).stamp
    };
    (machine, stamp)
}

#[test]
fn a_unit_that_was_rendered_for_another_gpu_is_rendered_anew() {
    let (machine, stamp) = with_gpu();
    let (at_boot, env) = (stamp(&machine), machine.new_invocation());
    machine.write("proc/devices", "Character devices:\n226 drm\n503 17000000.gpu\n");
    assert_ne!(at_boot, stamp(&machine));
    *machine.manager.stamp.borrow_mut() = Some(at_boot.clone());
    machine.manager.render(Some(&stamp(&machine)));
    machine.begin_and_read(&HookEnv { stamp: Some(at_boot), ..env });
    assert_eq!(machine.manager.reloads.get(), 1);
    machine.begin_and_read(&HookEnv { stamp: Some(stamp(&machine)), ..machine.new_invocation() });
    assert_eq!(machine.manager.reloads.get(), 1, "nothing has changed since");
}

#[test]
fn a_gpu_that_was_never_on_is_switched_on_and_its_new_devices_are_given() {
    let (machine, stamp) = with_gpu();
    let stamp = stamp(&machine);
    *machine.manager.stamp.borrow_mut() = Some(stamp.clone());
    machine.manager.render(Some(&stamp));
    let (power, others) =
        (machine.path("dev/nvgpu/igpu0/power"), machine.path("dev/nvgpu/igpu0/as"));
    fs::write(&power, "0").unwrap();
    let env = HookEnv { stamp: Some(stamp.clone()), ..machine.new_invocation() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while fs::read_to_string(&power).unwrap() != "1" {
                std::thread::yield_now();
            }
            fs::write(&others, "").unwrap();
        });
        machine.begin_and_read(&env);
    });
    assert_eq!(machine.manager.reloads.get(), 1, "its text is the same, its devices are not");
    machine.begin_and_read(&HookEnv { stamp: Some(stamp), ..machine.new_invocation() });
    assert_eq!(machine.manager.reloads.get(), 1, "it is on");
}
