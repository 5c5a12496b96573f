//! Logs temperatures, power and the load of the GPU each second: `thermal_logger [ROOT] [--once]`.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use bij_jetson::{Hardware, QuickSample};

fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args_os().skip(1), &mut io::stdout())
}

pub(crate) fn run(
    args: impl IntoIterator<Item = OsString>,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let (options, roots): (Vec<_>, Vec<_>) = args.into_iter().partition(|arg| arg == "--once");
    let hardware = Hardware::open(roots.first().map_or("/".as_ref(), OsString::as_os_str))?;
    loop {
        log(&hardware.quick_sample(), out)?;
        if !options.is_empty() {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn log(sample: &QuickSample, out: &mut impl Write) -> io::Result<()> {
    for zone in sample.zones.iter().flatten() {
        line(out, &format!("temperature {}", zone.name), &zone.celsius)?;
    }
    for rail in sample.rails.iter().flatten() {
        line(out, &format!("power {}", rail.name), &rail.milliwatts)?;
    }
    line(out, "power", &sample.total)?;
    let load = sample.gpu.as_ref().map_err(Clone::clone).and_then(|gpu| gpu.load.clone());
    line(out, "GPU load", &load)?;
    let throttled = sample.throttled.as_ref().map(|names| match &names[..] {
        [] => "no".to_owned(),
        names => names.join(" "),
    });
    line(out, "throttled", &throttled)
}

/// Writes a value, or the reason why there is none.
fn line<E: Display>(
    out: &mut impl Write,
    what: &str,
    value: &Result<impl Display, E>,
) -> io::Result<()> {
    match value {
        Ok(value) => writeln!(out, "{what}: {value}"),
        Err(why) => writeln!(out, "{what}: - ({why})"),
    }
}
