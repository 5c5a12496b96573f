#![expect(
    clippy::needless_update,
    reason = "a new key needs no change here: its example is rendered and parsed back below"
)]

use std::collections::BTreeMap;

use bij_core::{Bytes, CpuQuota, Limit, MemoryLimit, Percent, TimeSpan};
use proptest::option;
use proptest::prelude::*;

use super::*;

fn memory() -> impl Strategy<Value = MemoryLimit> {
    prop_oneof![
        (1..u64::MAX).prop_map(|bytes| MemoryLimit::Absolute(Limit::At(Bytes::new(bytes)))),
        (1..1000u64).prop_map(|gib| MemoryLimit::Absolute(Limit::At(Bytes::new(gib << 30)))),
        Just(MemoryLimit::Absolute(Limit::Max)),
        (1..=10_000u64).prop_map(|share| MemoryLimit::Share(Percent::from_permyriad(share))),
    ]
}

fn span() -> impl Strategy<Value = TimeSpan> {
    (1..u64::MAX / 2).prop_map(TimeSpan::from_micros)
}

fn limit<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Limit<T>> {
    prop_oneof![value.prop_map(Limit::At), Just(Limit::Max)]
}

fn quota() -> impl Strategy<Value = CpuQuota> {
    // A hundredth of a percent is the finest that can be written.
    (1..100_000u64).prop_map(|n| CpuQuota::from_micros_per_sec(n * 100).unwrap())
}

fn path() -> impl Strategy<Value = AbsolutePath> {
    "/[a-zA-Z0-9 %$\"'\\\\é_-]{0,12}(/[a-z.]{1,3}x)?".prop_map(|path| path.parse().unwrap())
}

fn name() -> impl Strategy<Value = ExperimentId> {
    "[a-wyz][A-Za-z0-9_.-]{0,10}".prop_map(|text| id(&text))
}

fn variable() -> impl Strategy<Value = (String, String)> {
    ("[A-Za-z_][A-Za-z0-9_]{0,8}", "(?s)[^\\x00-\\x08\\x0b-\\x1f\\x7f]{0,20}")
        .prop_filter("bij's own", |(name, _)| variable::check_name(name).is_ok())
}

fn words() -> impl Strategy<Value = Vec<String>> {
    let program = prop_oneof!["[a-z][a-z0-9.{}-]{0,8}", "/[a-z{}%$ é]{1,12}x"];
    let argument = prop_oneof![
        "(?s)[^\\x00]{0,30}",
        "[{}]{0,3}(\\{config\\}){0,2}[{}a]{0,3}(\\{config\\})?[}]{0,3}",
    ];
    (program, prop::collection::vec(argument, 0..5)).prop_map(|(program, mut words)| {
        words.insert(0, program);
        words
    })
}

fn limits() -> impl Strategy<Value = LimitsSpec> {
    let cpus = prop::collection::vec(0..200u16, 1..6).prop_map(|cpus| {
        let cpus: Vec<_> = cpus.iter().map(ToString::to_string).collect();
        cpus.join(",").parse().unwrap()
    });
    let swap = prop_oneof![memory(), Just("0".parse().unwrap())];
    (
        option::of(memory()),
        option::of(swap),
        option::of(limit(quota())),
        option::of(cpus),
        option::of(limit(1..u64::MAX)),
        option::of(limit(span())),
        option::of(limit(1..u64::MAX)),
        option::of(limit((0..u64::MAX).prop_map(Bytes::new))),
        prop_oneof![Just(OomPolicy::Stop), Just(OomPolicy::Continue), Just(OomPolicy::Kill)],
    )
        .prop_map(
            |(memory, swap, cpu, cpus, tasks, time, open_files, locked_memory, oom_policy)| {
                LimitsSpec {
                    memory,
                    swap,
                    cpu,
                    cpus,
                    tasks,
                    time,
                    open_files,
                    locked_memory,
                    oom_policy,
                    ..LimitsSpec::default()
                }
            },
        )
}

fn queue() -> impl Strategy<Value = QueueSpec> {
    let after = prop_oneof![
        prop::collection::vec(name(), 1..3).prop_map(After::All),
        prop::collection::vec(name(), 1..3).prop_map(After::Any),
    ];
    (any::<i32>(), option::of("[a-z][a-z_.-]{0,9}"), option::of(after)).prop_map(
        |(priority, group, after)| QueueSpec { priority, group, after, ..QueueSpec::default() },
    )
}

fn restart() -> impl Strategy<Value = RestartSpec> {
    let on_reboot =
        prop_oneof![Just(OnReboot::Resume), Just(OnReboot::Requeue), Just(OnReboot::Hold)];
    (span(), 1..u32::MAX, limit(span()), on_reboot, any::<bool>()).prop_map(
        |(delay, burst, interval, on_reboot, rerun_at_boot)| RestartSpec {
            delay,
            burst,
            interval,
            on_reboot,
            rerun_at_boot,
            ..RestartSpec::default()
        },
    )
}

fn rest(spec: ExperimentSpec) -> impl Strategy<Value = ExperimentSpec> {
    let gpu = (any::<bool>(), any::<bool>(), option::of(memory())).prop_map(
        |(access, exclusive, memory)| GpuSpec { access, exclusive, memory, ..GpuSpec::default() },
    );
    let stop =
        (prop_oneof![Just("SIGTERM"), Just("SIGRTMIN+3"), Just("SIGUSR1")], span()).prop_map(
            |(signal, grace)| StopSpec { signal: signal.to_owned(), grace, ..StopSpec::default() },
        );
    let health = (any::<bool>(), option::of(span()), option::of(span()), option::of(limit(span())))
        .prop_map(|(notify, watchdog, stall_after, start_timeout)| HealthSpec {
            notify,
            watchdog,
            stall_after,
            start_timeout,
            ..HealthSpec::default()
        });
    let mode = prop_oneof![
        any::<u32>().prop_map(PowerModeRef::Number),
        "[A-Z][A-Z0-9_ ]{0,8}W".prop_map(PowerModeRef::Name),
    ];
    let sandbox = prop_oneof![
        Just(SandboxProfile::Default),
        Just(SandboxProfile::Strict),
        Just(SandboxProfile::Trusted),
    ];
    let thermal = (option::of(20.0..125.0f64), option::of(any::<bool>())).prop_map(
        |(max_celsius, freeze)| ThermalSpec { max_celsius, freeze, ..ThermalSpec::default() },
    );
    let power = (option::of(mode), prop_oneof![Just(Clocks::Dynamic), Just(Clocks::Max)])
        .prop_map(|(mode, clocks)| PowerSpec { mode, clocks, ..PowerSpec::default() });
    let pattern = "(Z[A-Z0-9_]{0,6})?\\*|Z[A-Z0-9_]{1,6}";
    let pattern = pattern.prop_filter_map("steers", |text| VariablePattern::new(&text).ok());
    let patterns = option::of(prop::collection::vec(pattern, 0..3));
    let policy = (patterns, option::of(any::<bool>())).prop_map(|(environment, config)| {
        ExtrasPolicy { environment, config, ..ExtrasPolicy::default() }
    });
    (gpu, stop, health, thermal, power, sandbox, policy).prop_map(
        move |(gpu, stop, health, thermal, power, sandbox, policy)| {
            let mut spec = spec.clone();
            spec.gpu = gpu;
            spec.stop = stop;
            spec.health = health;
            spec.thermal = thermal;
            spec.power = power;
            spec.sandbox = sandbox;
            spec.policy = policy;
            spec
        },
    )
}

fn legal_spec() -> impl Strategy<Value = ExperimentSpec> {
    (
        option::of("\\PC{0,20}"),
        words(),
        option::of("[^\\x00-\\x1f\\x7f]{0,20}"),
        option::of(path()),
        option::of("[a-z_][a-z0-9_-]{0,9}"),
        prop::collection::vec(variable(), 0..4),
        prop::collection::btree_set(path(), 0..3),
        (limits(), queue(), restart()),
    )
        .prop_map(|(description, command, config, directory, user, variables, writable, more)| {
            let mut spec = ExperimentSpec::new(id("x"), command);
            (spec.limits, spec.queue, spec.restart) = more;
            spec.description = description;
            spec.config = config;
            spec.directory = directory;
            spec.user = user;
            spec.environment = variables.into_iter().collect::<BTreeMap<_, _>>();
            spec.writable = writable.into_iter().collect();
            spec
        })
        .prop_flat_map(rest)
}

proptest! {
    #[test]
    fn every_valid_definition_parses_back_the_same(spec in legal_spec()) {
        let text = to_toml(&spec);
        let parsed = parse_toml(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(parsed.spec, spec);
    }

    #[test]
    fn extras_parse_back_the_same(
        limits in limits(),
        variables in prop::collection::vec(variable(), 0..4),
        config in option::of("[^\\x00-\\x1f\\x7f]{0,20}"),
    ) {
        let limits = LimitsSpec {
            open_files: None,
            locked_memory: None,
            oom_policy: OomPolicy::default(),
            ..limits
        };
        let overlay = SpecOverlay {
            config,
            environment: variables.into_iter().collect(),
            limits,
        };
        let text = overlay.to_toml();
        prop_assert_eq!(SpecOverlay::parse(SourceFile::new("x", text.as_bytes())).unwrap(), overlay);
    }
}

#[test]
fn extras_override_the_definition_and_its_env() {
    let mut extras = SpecOverlay::default();
    extras.add_limit("memory=4G").unwrap();
    extras.add_limit("TasksMax = 99").unwrap();
    extras.add_environment("EXPERIMENT_RAM_LIMIT=2G").unwrap();
    extras.add_environment("EXPERIMENT_CPU_QUOTA=50%").unwrap();
    extras.set_config("/other").unwrap();
    assert_eq!(extras.limits(), [("memory", "4.0G".to_owned()), ("tasks", "99".to_owned())]);
    assert_eq!((extras.config(), extras.environment().len()), (Some("/other"), 2));
    let id = id("x");
    let file = SourceFile::new("x.toml", b"command = ['/r', '{config}']\nconfig = '/c'");
    let env = SourceFile::new("x.env", b"EXPERIMENT_RAM_LIMIT=8G\nEXPERIMENT_CPU_QUOTA=10%");
    let definition = Definition::new(&id, file, Syntax::Toml).with_env(env);
    let spec = definition.with_overlay(&extras).parse().unwrap().spec;
    assert_eq!(spec.command, ["/r", "/other"]);
    assert_eq!(spec.limits.memory, "4G".parse().ok(), "a limit overrides a variable");
    assert_eq!(spec.limits.tasks, Some(Limit::At(99)));
    assert_eq!(spec.limits.cpu, "50%".parse().ok());
    assert_eq!(spec.environment["EXPERIMENT_RAM_LIMIT"], "2G");
}

#[test]
fn invalid_extras_are_reported_as_they_were_typed() {
    let mut extras = SpecOverlay::default();
    let complaint = |result: Result<(), Problem>| {
        let problem = result.unwrap_err();
        format!("{problem} / {}", problem.hint.as_deref().unwrap_or_default())
    };
    assert_eq!(
        complaint(extras.add_limit("memroy=8G")),
        "--limit memroy=8G: there is no limit \"memroy\" / did you mean `memory`?"
    );
    assert!(complaint(extras.add_limit("memory=8")).contains("\"8G\" or \"8M\"?"));
    assert!(complaint(extras.add_limit("memory")).contains("expected KEY=VALUE"));
    assert!(complaint(extras.add_limit("time=soon")).contains("for example: time=12h"));
    assert!(complaint(extras.add_limit("oom_policy=kill")).contains("the limits are memory"));
    assert!(complaint(extras.add_environment("1=2")).starts_with("-E 1=2: the name of a variable"));
    assert!(complaint(extras.add_environment("BIJ_RUN=1")).contains("use another name"));
    assert!(complaint(extras.add_environment("EXPERIMENT_RAM_LIMIT=8")).contains("has no unit"));
    assert!(complaint(extras.set_config("a\0")).contains("NUL"));
    assert!(extras.is_empty());
}

/// Returns a definition with the example of a key.
fn example(key: &keys::SpecKey) -> String {
    let field = &key.field;
    match (field.table, field.name) {
        ("", "command") => format!("command = {}", field.example),
        ("", name) => format!("command = ['/r']\n{name} = {}", field.example),
        (table, name) => format!("command = ['/r']\n[{table}]\n{name} = {}", field.example),
    }
}

#[test]
fn the_example_of_every_key_is_rendered_and_shown() {
    for key in keys::KEYS {
        let (spec, path) = (spec(&example(key)), key.field.path());
        assert_eq!(super::spec(&to_toml(&spec)), spec, "{path}");
        let shown = settings_by_key(&spec).into_iter().find(|(name, _)| *name == path);
        assert!(shown.is_some_and(|(_, value)| !value.is_null()), "{path}");
    }
}

#[test]
fn every_extra_is_parsed_applied_and_listed() {
    for key in keys::KEYS.iter().filter(|key| key.is_extra) {
        let (table, name) = (key.field.table, key.field.name);
        let text = example(key).replace("command = ['/r']\n", "");
        let extras = SpecOverlay::parse(SourceFile::new("x", text.as_bytes())).unwrap();
        assert_eq!(
            SpecOverlay::parse(SourceFile::new("x", extras.to_toml().as_bytes())),
            Ok(extras.clone())
        );
        let mut changed = ExperimentSpec::new(id("x"), Vec::new());
        extras.apply(&mut changed);
        assert_eq!((key.show)(&changed), (key.show)(&spec(&example(key))), "{name}");
        assert_eq!(
            extras.limits().iter().any(|(limit, _)| *limit == name),
            table == "limits",
            "{name}"
        );
    }
    for key in keys::KEYS.iter().filter(|key| !key.is_extra) {
        let extras = SpecOverlay::parse(SourceFile::new("x", example(key).as_bytes()));
        assert!(extras.is_err(), "{}", key.field.path());
    }
}
