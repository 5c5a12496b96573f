use bij_core::{CpuQuota, Limit, TimeSpan};

use super::*;

/// The definition of the manual, with every table.
const WHOLE: &str = r#"
description = "Amnesiac, total"
command     = ["/opt/brain/venv/bin/python", "-m", "runner", "{config}"]
config      = "/opt/brain/configs/amnesiac_001.json"
directory   = "/opt/brain"
user        = "brain"
environment = { HF_HOME = "/var/cache/hf" }
writable    = ["/opt/brain/logs"]

[limits]
memory = "8G"
swap   = "0"
cpu    = "100%"
cpus   = "0-7"
tasks  = 512
time   = "12h"
oom_policy = "kill"
[gpu]
access = true
exclusive = false
memory = "6G"
[queue]
priority = -3
group = "default"
after = ["calibrate"]
[restart]
delay = "5s"
burst = 3
interval = "5min"
on_reboot = "requeue"
rerun_at_boot = true
[stop]
signal = "SIGINT"
grace = "90s"
[health]
notify = true
watchdog = "2min"
stall_after = "10min"
start_timeout = "infinity"
[thermal]
max_celsius = 80
[power]
mode = "MAXN"
clocks = "max"
[sandbox]
profile = "strict"
"#;

#[test]
fn a_definition_with_every_table_is_parsed() {
    let spec = spec(WHOLE);
    assert_eq!(spec.command[3], "/opt/brain/configs/amnesiac_001.json");
    assert_eq!(spec.config.as_deref(), Some("/opt/brain/configs/amnesiac_001.json"));
    assert_eq!(spec.directory.as_ref().map(AbsolutePath::as_str), Some("/opt/brain"));
    assert_eq!(spec.user.as_deref(), Some("brain"));
    assert_eq!(spec.environment["HF_HOME"], "/var/cache/hf");
    assert_eq!(spec.limits.memory, "8G".parse().ok());
    assert_eq!(spec.limits.swap, "0".parse().ok());
    assert_eq!(spec.limits.cpu, Some(Limit::At(CpuQuota::from_micros_per_sec(1_000_000).unwrap())));
    assert_eq!(spec.limits.tasks, Some(Limit::At(512)));
    assert_eq!(spec.limits.time, Some(Limit::At(TimeSpan::from_secs(43_200))));
    assert_eq!(spec.limits.oom_policy, OomPolicy::Kill);
    assert!(spec.gpu.access && !spec.gpu.exclusive);
    assert_eq!(spec.queue.after, Some(After::All(vec![id("calibrate")])));
    assert_eq!(spec.restart.on_reboot, OnReboot::Requeue);
    assert_eq!(spec.stop.signal, "SIGINT");
    assert_eq!(spec.health.start_timeout, Some(Limit::Max));
    assert_eq!(spec.thermal.max_celsius, Some(80.0));
    assert_eq!(spec.power.mode, Some(PowerModeRef::Name("MAXN".to_owned())));
    assert_eq!(spec.power.clocks, Clocks::Max);
    assert_eq!(spec.sandbox, SandboxProfile::Strict);
}

#[test]
fn json_and_toml_give_the_same_definition() {
    let json = r#"{
        "description": "Amnesiac, total",
        "command": ["/opt/brain/venv/bin/python", "-m", "runner", "{config}"],
        "config": "/opt/brain/configs/amnesiac_001.json",
        "directory": "/opt/brain", "user": "brain",
        "environment": { "HF_HOME": "/var/cache/hf" }, "writable": ["/opt/brain/logs"],
        "limits": { "memory": "8G", "swap": "0", "cpu": "100%", "cpus": "0-7", "tasks": 512,
                    "time": "12h", "oom_policy": "kill" },
        "gpu": { "access": true, "exclusive": false, "memory": "6G" },
        "queue": { "priority": -3, "group": "default", "after": ["calibrate"] },
        "restart": { "delay": "5s", "burst": 3, "interval": "5min", "on_reboot": "requeue",
                     "rerun_at_boot": true },
        "stop": { "signal": "SIGINT", "grace": "90s" },
        "health": { "notify": true, "watchdog": "2min", "stall_after": "10min",
                    "start_timeout": "infinity" },
        "thermal": { "max_celsius": 80 }, "power": { "mode": "MAXN", "clocks": "max" },
        "sandbox": { "profile": "strict" }
    }"#;
    assert_eq!(parse_json(json).unwrap().spec, spec(WHOLE));
}

#[test]
fn a_command_is_enough() {
    let spec = spec("command = ['python3', '-c', 'pass']");
    assert_eq!(spec, ExperimentSpec::new(id("x"), spec.command.clone()));
}

#[test]
fn values_are_accepted_in_every_spelling_of_systemd() {
    let spec = spec(
        "command = ['/bin/true']\nuser = 1000\n[limits]\nmemory = '50%'\nswap = 0\n\
         cpu = 'infinity'\ntasks = 1_024\ntime = 90\n[restart]\ndelay = 0.5\n\
         interval = '5min 20s'\n[stop]\nsignal = 'INT'\n[power]\nmode = 0\n\
         [queue]\nafter = { any = ['a', 'b'] }",
    );
    assert_eq!(spec.user.as_deref(), Some("1000"));
    assert_eq!(spec.limits.memory, "50%".parse().ok());
    assert_eq!(spec.limits.swap, "0".parse().ok());
    assert_eq!(spec.limits.cpu, Some(Limit::Max));
    assert_eq!(spec.limits.tasks, Some(Limit::At(1024)));
    assert_eq!(spec.limits.time, Some(Limit::At(TimeSpan::from_secs(90))));
    assert_eq!(spec.restart.delay, TimeSpan::from_millis(500));
    assert_eq!(spec.restart.interval, Limit::At(TimeSpan::from_secs(320)));
    assert_eq!(spec.stop.signal, "SIGINT");
    assert_eq!(spec.power.mode, Some(PowerModeRef::Number(0)));
    assert_eq!(spec.queue.after, Some(After::Any(vec![id("a"), id("b")])));
}

#[test]
fn commands_keep_every_character() {
    let spec = spec(r#"command = ["/bin/echo", "100% $HOME \"q\" \\ \n\t é", "", "{{config}}"]"#);
    assert_eq!(spec.command[1], "100% $HOME \"q\" \\ \n\t é");
    assert_eq!(spec.command[2], "");
    assert_eq!(spec.command[3], "{config}");
}

#[test]
fn the_config_replaces_every_placeholder_of_the_command() {
    let spec =
        spec("command = ['/bin/run', '--config={config}', '{config}', '{configs}']\nconfig = '/c'");
    assert_eq!(spec.command[1..], ["--config=/c", "/c", "{configs}"]);
}
