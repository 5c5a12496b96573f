mod unit_parser;

use std::path::Path;

use bij_core::spec::{ExperimentSpec, SandboxProfile};
use bij_core::{ExperimentId, Layout, Limit};
use proptest::prelude::*;

use super::*;
use unit_parser::UnitText;

fn spec(command: &[&str]) -> ExperimentSpec {
    let command = command.iter().map(ToString::to_string).collect();
    ExperimentSpec::new(ExperimentId::new("amnesiac_001").unwrap(), command)
}

fn render(spec: &ExperimentSpec, scope: RuntimeScope) -> String {
    render_for(SystemdVersion(252), spec, scope)
}

fn render_for(systemd: SystemdVersion, spec: &ExperimentSpec, scope: RuntimeScope) -> String {
    let layout = Layout::system(Path::new("/"));
    let source = "/etc/brain-in-jar/experiments/amnesiac_001.toml";
    let stamp = "0123456789abcdef";
    let gpu = [
        ("PrivateDevices", "no".to_owned()),
        ("DevicePolicy", "closed".to_owned()),
        ("DeviceAllow", "char-drm rw".to_owned()),
        ("DeviceAllow", "/dev/nvmap rw".to_owned()),
        ("SupplementaryGroups", "video".to_owned()),
    ];
    DropIn { spec, source, stamp, layout: &layout, scope, gpu: &gpu, systemd }.render()
}

fn system(spec: &ExperimentSpec) -> UnitText {
    UnitText::parse(&render(spec, RuntimeScope::System))
}

/// The words before every command: the launcher, the environment file, the separator.
const LAUNCH: [&str; 3] =
    ["/usr/libexec/brain-in-jar/bij-exec", "/run/brain-in-jar/environment", "--"];

/// Returns the command that the launcher executes.
fn argv(spec: &ExperimentSpec) -> Vec<String> {
    let unit = system(spec);
    let commands = unit.values("Service", "ExecStart");
    let [reset, command] = &commands[..] else { panic!("{commands:?}") };
    assert!(reset.is_empty(), "the template's own command is reset");
    let argv = unit_parser::exec_start(command).expect("systemd accepts it");
    assert_eq!(argv[..3], LAUNCH);
    argv[3..].to_vec()
}

#[test]
fn a_plain_definition_renders_like_a_unit_written_by_hand() {
    let mut spec = spec(&["/opt/brain/venv/bin/python", "-m", "runner"]);
    spec.description = Some("Amnesiac, total".to_owned());
    spec.user = Some("brain".to_owned());
    spec.directory = Some("/opt/brain".parse().unwrap());
    spec.environment.insert("HF_HOME".to_owned(), "/var/cache/hf".to_owned());
    spec.writable = vec!["/opt/brain/logs".parse().unwrap()];
    spec.limits.memory = Some("8G".parse().unwrap());
    spec.limits.swap = Some("0".parse().unwrap());
    spec.limits.cpu = Some("150%".parse().unwrap());
    spec.limits.cpus = Some("0-3,8".parse().unwrap());
    spec.limits.tasks = Some(Limit::At(512));
    spec.limits.time = Some("12h".parse().unwrap());
    spec.health.notify = true;
    spec.health.watchdog = Some("2min".parse().unwrap());
    let expected = include_str!("tests/plain.conf");
    assert_eq!(render(&spec, RuntimeScope::System), expected);
}

#[test]
fn an_experiment_without_a_user_gets_a_dynamic_user_of_its_own() {
    let unit = system(&spec(&["true"]));
    assert_eq!(unit.values("Service", "User"), ["bij-amnesiac_001"]);
    assert_eq!(unit.values("Service", "DynamicUser"), ["yes"]);
    let unit = UnitText::parse(&render(&spec(&["true"]), RuntimeScope::User));
    assert!(unit.values("Service", "User").is_empty());
}

#[test]
fn a_user_manager_gets_no_other_user() {
    let mut spec = spec(&["true"]);
    spec.user = Some("brain".to_owned());
    let unit = UnitText::parse(&render(&spec, RuntimeScope::User));
    assert!(unit.values("Service", "User").is_empty());
    assert!(unit.values("Service", "DynamicUser").is_empty());
}

#[test]
fn arguments_that_look_like_syntax_are_passed_literally() {
    for command in [
        &["/bin/echo", ";", "$HOME", "${HOME}", "%i", "100%", "a;b", "\\;"][..],
        &["/bin/echo", "", " ", "\t", "\n", "a\nb", "\"", "'", "\\", "\\n", "tail\\"],
        &["/bin/echo", "\u{1}\u{7f}", "\u{85}\u{2028}", "grün", "🧠", "[Service]"],
        &["/opt/my tools/run me", "#no comment"],
        &["/opt/it's \"here\"", "x"],
        &["-dash", "x"],
        &["@at", "x"],
        &["+plus=1", "x"],
        &["./run.sh", "x"],
        &["bin/run.sh", "x"],
        &["/opt//double/./dot", "x"],
        &["/opt/new\nline", "x"],
        &["/usr/bin/100%", "x"],
        &["python3", "x"],
    ] {
        assert_eq!(argv(&spec(command)), command, "{command:?}");
    }
}

#[test]
fn one_line_texts_stay_on_their_line() {
    let mut spec = spec(&["true"]);
    spec.description = Some(" 100% of\n[Service]\nExecStart=/bin/evil \\".to_owned());
    spec.directory = Some("/opt/ends in blank ".parse().unwrap());
    let unit = system(&spec);
    assert_eq!(unit.values("Service", "ExecStart").len(), 2);
    let description = &unit.values("Unit", "Description")[0];
    assert_eq!(
        unit_parser::expand_specifiers(description).as_deref(),
        Some("100% of [Service] ExecStart=/bin/evil \\")
    );
    assert_eq!(unit.values("Service", "WorkingDirectory"), ["-/opt/ends in blank /"]);
    spec.directory = Some("/opt/ends in backslash\\".parse().unwrap());
    assert_eq!(system(&spec).values("Service", "WorkingDirectory"), ["-/opt/ends in backslash\\/"]);
}

#[test]
fn a_unit_carries_no_variable_of_its_experiment() {
    let plain = render(&spec(&["true"]), RuntimeScope::System);
    let mut spec = spec(&["true"]);
    for (name, value) in [("LD_PRELOAD", "/home/m/evil.so"), ("TOKEN", "secret"), ("PATH", "/m")] {
        spec.environment.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(render(&spec, RuntimeScope::System), plain);
    let environment = system(&spec).environment();
    assert_eq!(environment.keys().collect::<Vec<_>>(), ["BIJ_STAMP", "NOTIFY_SOCKET"]);
}

#[test]
fn limits_are_never_rounded_up_or_lost() {
    let mut spec = spec(&["true"]);
    let cases = [
        ("8G", "8G"),
        ("1.5G", "1536M"),
        ("1000", "1000"),
        ("0", "0"),
        ("infinity", "infinity"),
        ("50%", "50%"),
        ("33.33%", "33.3%"),
        ("0.01%", "0.1%"),
    ];
    for (written, rendered) in cases {
        spec.limits.memory = Some(written.parse().unwrap());
        assert_eq!(system(&spec).values("Service", "MemoryMax"), [rendered], "{written}");
    }
    spec.limits.cpu = Some(Limit::Max);
    assert_eq!(system(&spec).values("Service", "CPUQuota"), [""]);
}

#[test]
fn only_profile_and_gpu_access_change_the_sandbox() {
    let mut spec = spec(&["true"]);
    spec.writable = vec!["/opt/with blank/and \"quote\"".parse().unwrap()];
    let unit = system(&spec);
    assert!(unit.values("Service", "PrivateDevices").is_empty());
    assert_eq!(
        unit.values("Service", "ReadWritePaths"),
        ["\"-/opt/with blank/and \\\"quote\\\"\""]
    );
    spec.gpu.access = true;
    let with_gpu = system(&spec);
    assert_eq!(with_gpu.values("Service", "PrivateDevices"), ["no"]);
    assert_eq!(with_gpu.values("Service", "DevicePolicy"), ["closed"]);
    assert_eq!(with_gpu.values("Service", "DeviceAllow"), ["char-drm rw", "/dev/nvmap rw"]);
    assert_eq!(with_gpu.values("Service", "SupplementaryGroups"), ["video"]);
    let user = UnitText::parse(&render(&spec, RuntimeScope::User));
    assert!(user.values("Service", "DeviceAllow").is_empty(), "a user's manager may not");
    spec.sandbox = SandboxProfile::Strict;
    assert_eq!(system(&spec).values("Service", "PrivateNetwork"), ["yes"]);
    assert_eq!(system(&spec).values("Service", "ProcSubset"), ["pid", "all"]);
    spec.sandbox = SandboxProfile::Trusted;
    let trusted = system(&spec);
    assert_eq!(trusted.values("Service", "DevicePolicy"), ["auto"], "all of /dev is open to it");
    assert!(trusted.values("Service", "DeviceAllow").is_empty());
    assert_eq!(trusted.values("Service", "SupplementaryGroups"), ["video"]);
    assert_eq!(trusted.values("Service", "ProtectSystem"), ["no"]);
    assert!(trusted.values("Service", "ReadWritePaths").is_empty());
}

proptest! {
    #[test]
    fn every_command_reaches_the_process_unchanged(
        program in "[-@:+!|./a-z%$'\" \\\\=\n]{1,8}",
        arguments in proptest::collection::vec("[^\0]{0,12}", 0..6),
    ) {
        let mut command = vec![program];
        command.extend(arguments);
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        prop_assert_eq!(argv(&spec(&words)), command.clone());
    }

    #[test]
    fn no_text_begins_a_line_of_its_own(text in "[^\0]{0,40}") {
        let mut plain = spec(&["true"]);
        plain.description = Some("x".to_owned());
        plain.user = Some("x".to_owned());
        let lines = render(&plain, RuntimeScope::System).split('\n').count();
        let mut odd = plain.clone();
        odd.command = vec!["true".to_owned()];
        odd.description = Some(text.clone());
        odd.user = Some(text);
        prop_assert_eq!(render(&odd, RuntimeScope::System).split('\n').count(), lines);
    }
}

#[test]
fn an_older_systemd_gets_no_directive_that_it_handles_wrongly() {
    let value = |version, spec: &ExperimentSpec, directive| {
        let text = render_for(SystemdVersion(version), spec, RuntimeScope::System);
        UnitText::parse(&text).values("Service", directive).join(" ")
    };
    let mut spec = spec(&["/bin/true"]);
    for (version, kind, umask) in [(247, "simple", ""), (249, "exec", ""), (252, "exec", "0077")] {
        assert_eq!(value(version, &spec, "Type"), kind, "{version}");
        assert_eq!(value(version, &spec, "UMask"), umask, "{version}");
    }
    spec.user = Some("brain".to_owned());
    assert_eq!(value(247, &spec, "UMask"), "0077", "a fixed user has no such problem");
    spec.health.notify = true;
    assert_eq!(value(247, &spec, "Type"), "notify");
}

fn user(id: &str) -> String {
    dynamic_user(&ExperimentId::new(id).unwrap())
}

#[test]
fn a_name_contains_the_id_if_it_can() {
    assert_eq!(user("amnesiac_001"), "bij-amnesiac_001");
    assert_eq!(user("a.b"), "bij_e61d99190466522c");
}

proptest! {
    #[test]
    fn every_experiment_has_a_unique_valid_user_name(
        id in "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        other in "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
    ) {
        let name = user(&id);
        prop_assert!(name.len() <= LONGEST);
        prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        prop_assert!(id == other || name != user(&other));
    }
}
