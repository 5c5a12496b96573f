//! How fast looking is, as ratios within one run: told, and judged by nobody's clock.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Scenario;
use super::coordinator::COORDINATOR;
use crate::bij::{define_script, override_unit, render_all, systemctl};
use crate::check::{Failure, ensure};
use crate::command::run;
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::write;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("speed_of_looking", &[Lane::Machine], of_looking),
    Scenario {
        time_limit: Duration::from_secs(180),
        ..Scenario::new("speed_of_starting", &[Lane::Machine], of_starting)
    },
    Scenario {
        time_limit: Duration::from_secs(180),
        ..Scenario::new("speed_of_any_unit", &[Lane::Machine], of_any_unit)
    },
];

/// Loaded instances.
const LOADED: usize = 1000;
/// Those of them that run.
const RUNNING: usize = 20;
/// A unit that loads them, by being ordered after them.
const TARGET: &str = "/run/systemd/system/speed-load.target";

fn of_looking(guest: &Guest) -> Result<Next, Failure> {
    let mut target = String::from("[Unit]\n");
    for number in 1..=LOADED {
        // Writing to a String cannot fail.
        let _ = writeln!(target, "After=brain-experiment@speed_{number}.service");
    }
    write(Path::new(TARGET), &target)?;
    for number in 1..=RUNNING {
        define_script(&format!("speed_{number}"), "exec sleep 600", "")?;
    }
    render_all()?;
    run("systemctl", ["start", "speed-load.target"])?.success()?;
    let running: Vec<String> = (1..=RUNNING).map(|number| format!("speed_{number}")).collect();
    for id in &running {
        run("bij", ["start", id.as_str()])?.success()?;
    }
    let one = "brain-experiment@speed_1.service";
    let list_units = median(&["systemctl", "list-units", "--all", "brain-experiment@*"])?;
    let list = median(&["bij", "list"])?;
    let show = median(&["systemctl", "show", one])?;
    let status = median(&["bij", "--json", "status", "speed_1"])?;
    let count = run("bij", ["--json", "list"])?.json()?.as_array().map_or(0, Vec::len);
    let cleared = run("systemctl", ["stop", "speed-load.target"]);
    std::fs::remove_file(TARGET).map_err(|error| Failure::new(format!("{TARGET}: {error}")))?;
    cleared?.success()?;
    run("systemctl", ["daemon-reload"])?.success()?;
    ensure!(count >= LOADED, "bij list knows {count} of {LOADED} loaded instances");
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    guest.tell(format!(
        "bij list over {count} units: {list:.1?}, {:.2} x systemctl list-units; \
         {:.0} x faster than a systemctl show each",
        ratio(list, list_units),
        ratio(show, list) * f64::from(u32::try_from(count).unwrap_or(u32::MAX)),
    ));
    guest.tell(format!(
        "bij status of one: {status:.1?}, {:.2} x systemctl show",
        ratio(status, show)
    ));
    Ok(Next::Done)
}

/// The client's examples beside systemd's own programs, each a whole process: a list of a thousand running units with
/// their figures, the status of one, and a transient service from its start to its end.
fn of_any_unit(guest: &Guest) -> Result<Next, Failure> {
    let template = "/run/systemd/system/speed-any@.service";
    let unit = "[Service]\nType=simple\nExecStart=/bin/sleep 600\n";
    write(Path::new(template), unit)?;
    run("systemctl", ["daemon-reload"])?.success()?;
    let names: Vec<String> =
        (1..=LOADED).map(|number| format!("speed-any@{number}.service")).collect();
    let start = ["start", "--no-block"].into_iter().chain(names.iter().map(String::as_str));
    run("systemctl", start)?.success()?;
    guest.wait_for("a thousand units", Duration::from_secs(60), || {
        let last = run("systemctl", ["list-jobs", "--no-legend"])?;
        Ok((!last.stdout().contains("speed-any@")).then_some(()))
    })?;
    let measured = figures_of_any_unit(guest);
    run("systemctl", ["stop", "speed-any@*.service"])?.success()?;
    std::fs::remove_file(template).map_err(|error| Failure::new(format!("{template}: {error}")))?;
    run("systemctl", ["daemon-reload"])?.success()?;
    measured
}

/// What the transient service of the example has, for systemd-run.
const AS_IN_EXAMPLE: [&str; 12] = [
    "MemoryMax=64M",
    "MemorySwapMax=0",
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
];

fn figures_of_any_unit(guest: &Guest) -> Result<Next, Failure> {
    let (ours, one) = ("/usr/lib/bij-lab/list-units", "speed-any@1.service");
    let listed = run(ours, ["speed-any@*.service"])?.success()?;
    let count = listed.stdout().lines().filter(|line| line.contains(" active ")).count();
    ensure!(count == LOADED, "{count} of {LOADED} running units are listed");
    let mut systemd_run = vec!["systemd-run", "--wait", "--quiet", "--service-type=exec"];
    systemd_run.extend(AS_IN_EXAMPLE.iter().flat_map(|property| ["-p", *property]));
    systemd_run.push("/bin/true");
    let transient = ["/usr/lib/bij-lab/limited-service", "speed-run.service", "64M", "/bin/true"];
    let pairs: [(&str, &[&str], &[&str]); 3] = [
        (
            "a list of 1,000 running units with memory and processor time",
            &[ours, "speed-any@*.service"],
            &["systemctl", "list-units", "--all", "--no-pager", "speed-any@*.service"],
        ),
        ("the status of one", &[ours, "--show", one], &["systemctl", "show", one]),
        ("a transient service of /bin/true, awaited", &transient, &systemd_run),
    ];
    for (what, ours, theirs) in pairs {
        let (own, their) = (median(ours)?, median(theirs)?);
        let ratio = own.as_secs_f64() / their.as_secs_f64();
        guest.tell(format!("{what}: {own:.1?}, {ratio:.2} x {} {}", theirs[0], theirs[1]));
    }
    Ok(Next::Done)
}

/// What takes the place of the hooks, and of the launcher that reads what they write, in the units that a
/// start with hooks is compared with.
const INSTEAD_OF_HOOKS: [(&str, &str); 2] = [
    (
        "speed_bare",
        "[Service]\nExecCondition=\nExecStopPost=\n\
         ExecStart=\nExecStart=/bin/sh -c \"exec sleep 600\"\n",
    ),
    (
        "speed_empty",
        "[Service]\nExecCondition=\nExecStopPost=\n\
         ExecCondition=+/bin/true\nExecStopPost=-+/bin/true\n\
         ExecStart=\nExecStart=/bin/sh -c \"exec sleep 600\"\n",
    ),
];

/// The same unit with hooks, without, and with commands that do nothing in their place, in turns: what
/// the hooks cost a start is the median of the differences.
fn of_starting(guest: &Guest) -> Result<Next, Failure> {
    let hooked = "speed_hooked";
    define_script(hooked, "exec sleep 600", "[restart]\nburst = 1000\n")?;
    for (id, instead) in INSTEAD_OF_HOOKS {
        define_script(id, "exec sleep 600", "[restart]\nburst = 1000\n")?;
        override_unit(id, instead)?;
    }
    guest.tell(format!("with a coordinator, {}", cost_of_hooks(hooked)?));
    run("systemctl", ["stop", COORDINATOR])?.success()?;
    let alone = cost_of_hooks(hooked);
    run("systemctl", ["start", COORDINATOR])?.success()?;
    guest.tell(format!("without one, {}", alone?));
    Ok(Next::Done)
}

fn cost_of_hooks(hooked: &str) -> Result<String, Failure> {
    const TURNS: usize = 25;
    let [(bare, _), (empty, _)] = INSTEAD_OF_HOOKS;
    let mut turns = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        turns.push([time_to_start(hooked)?, time_to_start(bare)?, time_to_start(empty)?]);
    }
    let median = |of: &dyn Fn(&[f64; 3]) -> f64| {
        let mut times: Vec<f64> = turns.iter().map(|turn| of(turn) * 1e3).collect();
        times.sort_by(f64::total_cmp);
        times[TURNS / 2]
    };
    Ok(format!(
        "a start with hooks takes {:.1} ms more than one without ({:.1} ms); {:.1} ms of it are \
         systemd's for commands that do nothing",
        median(&|[hooked, bare, _]| hooked - bare),
        median(&|[_, bare, _]| *bare),
        median(&|[_, bare, empty]| empty - bare),
    ))
}

/// How long `systemctl start` takes, in seconds.
fn time_to_start(id: &str) -> Result<f64, Failure> {
    let begun = Instant::now();
    systemctl("start", id)?.success()?;
    let took = begun.elapsed().as_secs_f64();
    systemctl("stop", id)?.success()?;
    Ok(took)
}

/// The median time that a command takes, of as many calls as one waits for gladly.
fn median(words: &[&str]) -> Result<Duration, Failure> {
    const CALLS: usize = 15;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        run(words[0], &words[1..])?.success()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[CALLS / 2])
}
