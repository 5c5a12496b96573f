//! PID 1 and the kernel hold a unit to its limits.

use super::Scenario;
use crate::check::{Failure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::property;

pub(super) const SCENARIOS: &[Scenario] =
    &[Scenario::new("limits_bind_in_this_machine", Lane::VM, bind_in_this_machine)];

/// A stand-in unit, not ours: says whether this laboratory can show an OOM kill at all, and pins the two
/// results that everything above has to tell apart.
fn bind_in_this_machine(guest: &Guest) -> Result<Next, Failure> {
    let unit = "lab-eater.service";
    run(
        "systemd-run",
        [
            "--unit=lab-eater",
            "--property=MemoryMax=32M",
            "--property=MemorySwapMax=0",
            "--property=RemainAfterExit=yes",
            "--wait",
            "python3",
            "-c",
            "b = bytearray(256 << 20)",
        ],
    )?;
    let (result, status) = (property(unit, "Result"), property(unit, "ExecMainStatus"));
    sh("systemctl reset-failed lab-eater.service")?;
    let expected = if guest.lane() == Lane::VmV1 { "signal" } else { "oom-kill" };
    ensure_eq!(result?, expected, "Result of a unit killed for memory");
    ensure_eq!(status?, "9", "ExecMainStatus of a unit killed for memory");
    Ok(Next::Done)
}
