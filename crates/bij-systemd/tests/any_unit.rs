//! Tests of the client for any unit against a real systemd as PID 1, as root.
//!
//! They are ignored by default because they start units. On a dedicated machine: `any_unit --ignored --test-threads=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bij_core::{ActiveState, Bytes, Cause, CpuQuota, Exit, Limit, LoadState, Percent, TimeSpan};
use bij_systemd::blocking::Manager;
use bij_systemd::{
    Journal, JournalFilter, KillWhom, ManagerAddress, ManagerError, Output, Property,
    PropertyValue, RuntimeScope, ServiceType, TransientService, UnitEvent, UnitFileLife,
    UnitFilter, UnitName,
};

fn manager() -> Manager {
    assert!(Path::new("/run/systemd/system").is_dir(), "systemd is not PID 1 here");
    Manager::connect(ManagerAddress::System).unwrap()
}

fn name(text: &str) -> UnitName {
    UnitName::new(text).unwrap()
}

fn shell(unit: &str, script: &str) -> TransientService {
    TransientService::new(name(unit), ["/bin/sh", "-c", script])
}

fn has_cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The major version of systemd, from its own text: `252.39-1~deb12u1`.
fn systemd_version(manager: &Manager) -> u32 {
    let version = manager.version().unwrap();
    version.split(|c: char| !c.is_ascii_digit()).find_map(|part| part.parse().ok()).unwrap()
}

fn systemctl(arguments: &[&str]) -> String {
    let output = Command::new("systemctl").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn a_unit_that_is_not_ours_is_listed_and_read_as_systemctl_does() {
    let manager = manager();
    let logind = name("systemd-logind.service");
    let status = manager.status(&logind).unwrap();
    assert_eq!(status.load_state, LoadState::Loaded);
    let show = |property| systemctl(&["show", "--value", "--property", property, logind.as_str()]);
    assert_eq!(status.active_state.as_str(), show("ActiveState"));
    assert_eq!(status.main_pid.unwrap_or_default().to_string(), show("MainPID"));
    assert_eq!(
        status.invocation.map(|id| id.to_string()).unwrap_or_default(),
        show("InvocationID")
    );
    assert_eq!(status.fragment.as_deref().unwrap_or_default(), show("FragmentPath"));
    let listed = manager.list(&UnitFilter::new().pattern("systemd-*.service").with_resources());
    let listed = listed.unwrap();
    let row = listed.iter().find(|unit| unit.name == logind).unwrap();
    assert_eq!(row.active_state, status.active_state);
    // On cgroup v1 a unit has counters only if accounting is on for it; systemd writes "[not set]" otherwise.
    let is_counted = show("MemoryCurrent").parse::<u64>().is_ok_and(|bytes| bytes < u64::MAX);
    let memory = [&row.resources, &status.resources].map(|resources| resources.memory_current);
    assert_eq!(memory.map(|bytes| bytes.is_some()), [is_counted; 2], "{memory:?}");
    let failed = manager.list(&UnitFilter::new().state("failed")).unwrap();
    assert!(failed.iter().all(|unit| unit.active_state == ActiveState::Failed), "{failed:?}");
    let nothing = manager.status(&name("no-such-thing.service")).unwrap();
    assert_eq!(nothing.load_state, LoadState::NotFound);
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn the_end_of_a_transient_service_has_a_cause() {
    let manager = manager();
    let nothing = TransientService::new(name("lab-nothing.service"), ["/nonexistent/program"]);
    let hungry = shell("lab-hungry.service", "exec tail /dev/zero")
        .memory_max(Bytes::new(48 << 20))
        .property(Property::memory_swap_max(Limit::At(Bytes::new(0))));
    let mut services = vec![
        (shell("lab-good.service", "exit 0"), Cause::Success),
        (shell("lab-code.service", "exit 3"), Cause::Exit),
        (shell("lab-signal.service", "kill -SEGV $$"), Cause::Signal),
        (
            shell("lab-slow.service", "sleep 60").runtime_max(TimeSpan::from_secs(1)),
            Cause::TimeLimit,
        ),
        (nothing, Cause::StartFailed),
    ];
    // On cgroup v1 nothing limits swap, and only the kernel's log proves an OOM kill, which a container does not see.
    if has_cgroup_v2() || !Path::new("/run/systemd/container").exists() {
        services.push((hungry, Cause::OomKill));
    }
    for (service, cause) in services {
        let unit = manager.start_transient(&service).unwrap();
        let invocation = unit.started().invocation;
        assert!(invocation.is_some(), "{}: it may be down already", service.name());
        let end = unit.wait().unwrap();
        assert_eq!(end.cause, cause, "{}: {:?}", service.name(), end.evidence);
        let after = manager.status(service.name()).unwrap();
        assert_eq!(after.load_state, LoadState::NotFound, "{} is still loaded", service.name());
    }
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn a_stopped_service_was_ordered_to_and_a_killed_one_was_not() {
    let manager = manager();
    for (stops, cause, signal) in [(true, Cause::Stopped, 15), (false, Cause::Signal, 9)] {
        let unit = manager.start_transient(&shell("lab-ended.service", "exec sleep 600")).unwrap();
        if stops {
            unit.stop().unwrap();
        } else {
            manager.kill(&name("lab-ended.service"), KillWhom::Main, 9).unwrap();
        }
        let end = unit.wait().unwrap();
        assert_eq!((end.cause, end.evidence.exit), (cause, Some(Exit::Signal(signal))), "{end:?}");
    }
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn the_settings_of_a_transient_service_are_in_force() {
    let manager = manager();
    let out = "/run/lab-settings";
    let _ = std::fs::remove_file(out);
    let service =
        shell("lab-settings.service", "echo \"$WORD\"; pwd; touch /etc/x && echo writable")
            .service_type(ServiceType::Oneshot)
            .description("Settings of the laboratory")
            .environment("WORD", "a b $HOME %i")
            .working_directory("/usr")
            .tasks_max(20)
            .cpu_quota(CpuQuota::at_most(Percent::new(50)))
            .stdout(&Output::Append(out.into()))
            .stderr(&Output::Null)
            .sandboxed()
            .writable_path("/run");
    let end = manager.start_transient(&service).unwrap().wait().unwrap();
    assert_eq!(end.cause, Cause::Exit, "touch was refused: {:?}", end.evidence);
    assert_eq!(std::fs::read_to_string(out).unwrap(), "a b $HOME %i\n/usr\n");
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn bad_input_is_a_typed_error() {
    let manager = manager();
    let template = name("getty@.service");
    assert!(matches!(manager.start(&template), Err(ManagerError::Template { .. })));
    assert!(matches!(manager.status(&template), Err(ManagerError::Template { .. })));
    let missing = manager.start(&name("no-such-thing.service")).unwrap_err();
    assert!(matches!(missing, ManagerError::NotFound { .. }), "{missing:?}");
    let unknown = Property::new("NoSuchProperty", PropertyValue::Bool(true));
    let service = shell("lab-unknown.service", "true").property(unknown.clone());
    let error = manager.start_transient(&service).unwrap_err();
    assert!(matches!(error, ManagerError::UnknownProperty { .. }), "{error:?}");
    let sleeper = shell("lab-twice.service", "exec sleep 600");
    let unit = manager.start_transient(&sleeper).unwrap();
    let twice = manager.start_transient(&sleeper).unwrap_err();
    assert!(matches!(twice, ManagerError::Exists { .. }), "{twice:?}");
    let error = manager.set_properties(sleeper.name(), &[unknown], UnitFileLife::Runtime);
    assert!(matches!(error, Err(ManagerError::UnknownProperty { .. })), "{error:?}");
    let error = manager.property(sleeper.name(), "NoSuchProperty");
    assert!(matches!(error, Err(ManagerError::UnknownProperty { .. })), "{error:?}");
    assert!(manager.reload(sleeper.name()).is_err(), "it cannot be reloaded");
    unit.stop().unwrap();
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn limits_are_set_while_a_unit_runs_and_it_is_frozen_where_that_is_possible() {
    let manager = manager();
    let unit = manager.start_transient(&shell("lab-limits.service", "exec sleep 600")).unwrap();
    let unit_name = name("lab-limits.service");
    let limit = Limit::At(Bytes::new(100 << 20));
    let limits = [Property::memory_max(limit), Property::tasks_max(Limit::At(9))];
    manager.set_properties(&unit_name, &limits, UnitFileLife::Runtime).unwrap();
    let status = manager.status(&unit_name).unwrap();
    assert_eq!(status.resources.memory_max, Some(limit));
    assert_eq!(manager.property(&unit_name, "TasksMax").unwrap(), PropertyValue::U64(9));
    match manager.freeze(&unit_name) {
        Ok(()) => {
            assert!(has_cgroup_v2());
            assert_eq!(manager.status(&unit_name).unwrap().is_frozen, Some(true));
            manager.thaw(&unit_name).unwrap();
            assert_eq!(manager.status(&unit_name).unwrap().is_frozen, Some(false));
        }
        Err(ManagerError::Unsupported { .. }) => {
            assert!(!has_cgroup_v2() || systemd_version(&manager) < 246);
        }
        Err(error) => panic!("{error:?}"),
    }
    unit.stop().unwrap();
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn a_watch_survives_a_new_manager_process() {
    let manager = manager();
    let unit_name = name("lab-watched.service");
    let selected = unit_name.clone();
    let mut watch = manager.watch(move |unit| *unit == selected);
    assert_eq!(watch.next(), Some(UnitEvent::Resync));
    for round in 0..2 {
        let unit =
            manager.start_transient(&shell("lab-watched.service", "exec sleep 600")).unwrap();
        let changed = watch.find(|event| *event != UnitEvent::MayGoDown).unwrap();
        assert!(matches!(changed, UnitEvent::Changed(_) | UnitEvent::Resync), "{changed:?}");
        unit.stop().unwrap();
        unit.wait().unwrap();
        if round == 0 {
            systemctl(&["daemon-reexec"]);
            assert!(watch.any(|event| event == UnitEvent::Resync));
        }
    }
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn unit_files_are_enabled_masked_and_disabled() {
    let manager = manager();
    let unit = name("lab-file.service");
    let path = "/etc/systemd/system/lab-file.service";
    let file =
        "[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    std::fs::write(path, file).unwrap();
    manager.daemon_reload().unwrap();
    let state = || manager.status(&unit).unwrap().file_state;
    assert_eq!(state().as_deref(), Some("disabled"));
    let units = [unit.clone()];
    assert_eq!(manager.enable(&units, UnitFileLife::Persistent).unwrap().len(), 1);
    assert_eq!(state().as_deref(), Some("enabled"));
    assert!(manager.enable(&units, UnitFileLife::Persistent).unwrap().is_empty());
    assert!(manager.start(&unit).unwrap().invocation.is_some(), "though it is down again");
    assert_eq!(manager.disable(&units, UnitFileLife::Persistent).unwrap().len(), 1);
    assert_eq!(manager.mask(&units, UnitFileLife::Runtime).unwrap().len(), 1);
    // A file in /etc has precedence over a mask in /run.
    std::fs::remove_file(path).unwrap();
    manager.daemon_reload().unwrap();
    assert_eq!(manager.status(&unit).unwrap().load_state, LoadState::Masked);
    let masked = manager.start(&unit).unwrap_err();
    assert!(matches!(masked, ManagerError::NotLoaded { .. }), "{masked:?}");
    assert_eq!(manager.unmask(&units, UnitFileLife::Runtime).unwrap().len(), 1);
}

#[test]
#[ignore = "needs systemd as PID 1, and root"]
fn the_journal_of_any_unit_is_read_and_followed() {
    let manager = manager();
    let service = shell("lab-logs.service", "echo first; sleep 1; echo second; sleep 600");
    let unit = manager.start_transient(&service).unwrap();
    let invocation = unit.started().invocation.unwrap();
    let journal = Journal::new(RuntimeScope::System);
    let filter = JournalFilter::new().invocation(invocation).follow();
    let mut entries = journal.entries(&filter).unwrap();
    let stopper = entries.stopper();
    let watchdog = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(30));
        stopper.stop();
    });
    let mut said = entries.by_ref().map(Result::unwrap).filter(|entry| entry.pid != Some(1));
    let first = said.next().unwrap();
    assert_eq!(
        (first.message.as_str(), first.unit.as_deref()),
        ("first", Some("lab-logs.service"))
    );
    assert_eq!(said.next().unwrap().message, "second");
    let after = JournalFilter::new().unit(service.name()).after_cursor(first.cursor().unwrap());
    let later = journal.entries(&after).unwrap().map(Result::unwrap);
    let messages: Vec<_> = later.map(|entry| entry.message).collect();
    assert!(messages.contains(&"second".to_owned()) && !messages.contains(&"first".to_owned()));
    unit.stop().unwrap();
    drop(watchdog);
}
