//! Power monitors of the industrial I/O subsystem: up to L4T 32, NVIDIA's kernel has a separate driver for the INA3221
//! of a Nano, a TX2 or a Xavier.
//!
//! A chip is a directory such as `6-0040/iio:device0`. Its channel N has the files `rail_name_N`, `in_powerN_input` in
//! milliwatts, `in_voltageN_input` in millivolts and `in_currentN_input` in milliamperes
//! (`drivers/iio/meter/ina3221.c` of NVIDIA's kernel 4.9). Before L4T 32 the directory is called `iio_device`.

use bij_core::Milliwatts;

use super::{Rail, power};
use crate::{Files, Reading, WhyNot};

const DRIVER: &str = "sys/bus/i2c/drivers/ina3221x";

/// Reads the rails of all such chips, in no order.
///
/// # Errors
/// [`WhyNot::Absent`] if there is no such chip; see [`Rail::all`].
pub(super) fn rails(files: &dyn Files) -> Reading<Vec<Rail>> {
    let mut found = None;
    for address in files.names(DRIVER)?.into_iter().filter(|name| is_address(name)) {
        let chip = format!("{DRIVER}/{address}");
        let is_device = |name: &String| name.starts_with("iio:device") || name == "iio_device";
        let Some(device) = files.names(&chip)?.into_iter().find(is_device) else { continue };
        let rails = found.get_or_insert_with(Vec::new);
        for channel in 0..3 {
            rails.extend(read_channel(files, &format!("{chip}/{device}"), channel)?);
        }
    }
    found.ok_or(WhyNot::Absent)
}

/// Returns `true` for a bus and an address on it, such as `6-0040`; the driver's other files are `bind`, `uevent`.
fn is_address(name: &str) -> bool {
    name.split_once('-').is_some_and(|(bus, address)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits(bus) && digits(address)
    })
}

/// Reads the rail at a channel; `None` if nothing is connected.
fn read_channel(files: &dyn Files, device: &str, channel: u32) -> Reading<Option<Rail>> {
    let number = |what: &str| files.number(&format!("{device}/in_{what}{channel}_input"));
    Rail::from_label(
        files.text(&format!("{device}/rail_name_{channel}")),
        || format!("ina3221x channel {channel}"),
        || match number("power") {
            Err(WhyNot::Absent) => power(number("voltage"), number("current")),
            milliwatts => milliwatts.map(Milliwatts::new),
        },
    )
}
