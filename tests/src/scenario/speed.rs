//! How fast looking is, as ratios within one run: told, and judged by nobody's clock.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Scenario;
use crate::bij::define_script;
use crate::check::{Failure, ensure};
use crate::command::run;
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::write;

pub(super) const SCENARIOS: &[Scenario] =
    &[Scenario::new("speed_of_looking", &[Lane::Machine], of_looking)];

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
    run("systemctl", ["daemon-reload"])?.success()?;
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
