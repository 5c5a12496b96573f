//! The GPU's memory, which no control group counts, and its devices. The coordinator reads a tree in
//! which the driver's table is written here; the devices are stand-ins in the machine's own /dev.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Scenario;
use super::board::{SETTINGS, instead_of_board};
use super::coordinator::COORDINATOR;
use crate::bij::{
    SOON, define_script, ensure_causes, history, render_all, status, systemctl, unit,
    wait_for_ended, wait_for_line, wait_for_state,
};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::queue::set_coordinator;
use crate::steps::{property, write};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new("gpu_memory_is_guarded", Lane::CONTAINER, memory_is_guarded),
    Scenario::new("gpu_devices_are_those_of_the_machine", Lane::ALL, devices_are_given),
];

/// The machine as the coordinator sees it.
const BOARD: &str = "/run/bij-lab-board";
const CLIENTS: &str = "sys/kernel/debug/nvmap/iovmm/clients";
const GREEDY: &str = "gpu_greedy";
const GIB: u64 = 1 << 30;

/// When it is told to leave it has been asked before, and leaves well. All of it is done by the shell
/// itself: systemd signals whatever it starts just then as well.
const SAVES: &str = "
    trap 'test -e \"$BIJ_STOP_FILE\" && printf saved >\"$BIJ_STATE_DIR/checkpoint\"; exit 0' TERM
    echo \"attempt $BIJ_ATTEMPT after ${BIJ_LAST_CAUSE:-nothing}\"
    while :; do sleep 0.1; done";

fn memory_is_guarded(guest: &Guest) -> Result<Next, Failure> {
    for (file, text) in [
        ("sys/class/thermal/thermal_zone0/type", "tj-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
        ("proc/device-tree/compatible", "nvidia,p3701-0005\0nvidia,tegra234\0"),
        ("proc/meminfo", &fs::read_to_string("/proc/meminfo")?),
    ] {
        write(&Path::new(BOARD).join(file), text)?;
    }
    hand_out(&[])?;
    instead_of_board(BOARD, "", || with_this_board(guest))
}

fn with_this_board(guest: &Guest) -> Result<Next, Failure> {
    write(Path::new(SETTINGS), "[coordinator]\ngpu_memory_grace = \"2s\"\n")?;
    sh(&format!("systemctl daemon-reload && systemctl restart {COORDINATOR}"))?.success()?;
    set_coordinator("MAX_CONCURRENT_EXPERIMENTS=4\n")?;
    let rest = "[gpu]\nmemory = \"1G\"\n[restart]\ndelay = \"1s\"\nburst = 2\n";
    define_script(GREEDY, SAVES, rest)?;
    define_script("gpu_modest", SAVES, "[gpu]\nmemory = \"1G\"\n")?;
    define_script("gpu_behind", SAVES, &format!("[queue]\nafter = [\"{GREEDY}\"]\n"))?;
    render_all()?;
    run("bij", ["submit", GREEDY, "gpu_modest", "gpu_behind"])?.success()?;
    let modest = main_pid(guest, "gpu_modest")?;

    let first = main_pid(guest, GREEDY)?;
    hand_out(&[(&first, 2 * GIB), (&modest, GIB), ("1", 4 * GIB)])?;
    guest.wait_for("the GPU's memory in bij status", SOON, || {
        let status = status(GREEDY)?;
        if status["gpu_memory"] == 2 * GIB {
            return Ok(Some(()));
        }
        Err(Failure::new(format!("it tells {status}")))
    })?;
    let ended = wait_for_ended(guest, GREEDY, 1)?;
    ensure_causes(&ended, &["gpu-memory"])?;
    let checkpoint = format!("/var/lib/brain-in-jar/experiments/{GREEDY}/checkpoint");
    ensure_eq!(fs::read_to_string(checkpoint)?, "saved", "its checkpoint");

    wait_for_line(guest, GREEDY, "attempt 2 after gpu-memory")?;
    let second = main_pid(guest, GREEDY)?;
    ensure!(first != second, "it lives on as process {first}");
    hand_out(&[(&second, 2 * GIB), (&modest, GIB)])?;
    ensure_causes(&wait_for_ended(guest, GREEDY, 2)?, &["gpu-memory"; 2])?;
    let waited = run("bij", ["--json", "wait", GREEDY])?;
    ensure!(!waited.succeeded(), "bij wait says that all is well: {}", waited.stdout());
    ensure_eq!(waited.json()?[0]["ended"], "gave-up", "how its run ended");
    let events = run("bij", ["--json", "events"])?.success()?;
    ensure!(events.stdout().contains("its restarts are used up"), "events: {}", events.stdout());
    ensure_eq!(history("gpu_behind")?, Vec::<Value>::new(), "who waits for its success");
    ensure_eq!(main_pid(guest, "gpu_modest")?, modest, "who has as much as it may");
    Ok(Next::Done)
}

/// Writes the driver's table, as the kernel does: so much to each process.
fn hand_out(sizes: &[(&str, u64)]) -> Result<(), Failure> {
    let row = |[client, process, pid, size]: [&str; 4]| {
        format!("{client:<18} {process:>18} {pid:>8} {size:>11}\n")
    };
    let total: u64 = sizes.iter().map(|(_, bytes)| bytes / 1024).sum();
    let mut rows = vec![row(["CLIENT", "PROCESS", "PID", "SIZE"])];
    rows.extend(
        sizes.iter().map(|(pid, bytes)| row(["user", "my sh", pid, &format!("{}K", bytes / 1024)])),
    );
    rows.push(row(["total", "", "", &format!("{total}K")]));
    let file = Path::new(BOARD).join(CLIENTS);
    write(&file.with_extension("new"), &rows.concat())?;
    Ok(fs::rename(file.with_extension("new"), file)?)
}

fn main_pid(guest: &Guest, id: &str) -> Result<String, Failure> {
    wait_for_state(guest, id, "active")?;
    property(&unit(id), "MainPID")
}

/// The devices of a card; the first and the last are to be given to whoever may use the GPU.
const RENDER: &str = "/dev/dri/renderD128";
const CARD: &str = "/dev/dri/card0";
const KFD: &str = "/dev/kfd";

/// It says which devices it can open, by the shell itself.
const OPENS: &str = "
    for node in /dev/dri/renderD128 /dev/dri/card0 /dev/kfd; do
        if (: <>\"$node\") 2>/dev/null; then echo \"opens $node\"; else echo \"not $node\"; fi
    done
    echo done; exec sleep 600";

fn devices_are_given(guest: &Guest) -> Result<Next, Failure> {
    if has_device_controller(guest) {
        // Consoles, which everybody might open, and which `DevicePolicy=closed` does not let through.
        sh(&format!(
            "mkdir -p /dev/dri && mknod -m 0666 {RENDER} c 5 1
             mknod -m 0666 {CARD} c 4 1 && mknod -m 0666 {KFD} c 4 0"
        ))?
        .success()?;
    } else {
        sh(&format!(
            "mkdir -p /dev/dri && touch {RENDER} {CARD} {KFD} && mount --bind /dev/null {RENDER}
             mount --bind /dev/full {CARD} && mount --bind /dev/zero {KFD}"
        ))?
        .success()?;
    }
    let result = with_these_devices(guest);
    sh(&format!(
        "systemctl stop 'brain-experiment@*.service'
         for node in {RENDER} {CARD} {KFD}; do ! mountpoint -q $node || umount -l $node; done
         rm -r /dev/dri {KFD}"
    ))?
    .success()?;
    result
}

/// In a container nobody makes devices, and nobody is kept from one.
fn has_device_controller(guest: &Guest) -> bool {
    guest.lane() != Lane::Machine
}

fn with_these_devices(guest: &Guest) -> Result<Next, Failure> {
    define_script("gpu_none", OPENS, "")?;
    define_script("gpu_given", OPENS, "[gpu]\naccess = true\n")?;
    render_all()?;
    for (id, may) in [("gpu_none", "not"), ("gpu_given", "opens")] {
        systemctl("start", id)?.success()?;
        wait_for_line(guest, id, "done")?;
        for node in [RENDER, KFD] {
            wait_for_line(guest, id, &format!("{may} {node}"))?;
        }
        if has_device_controller(guest) {
            wait_for_line(guest, id, &format!("not {CARD}"))?;
        }
        if guest.systemd() >= 252 {
            let analysis =
                run("systemd-analyze", ["security", "--no-pager", &unit(id)])?.success()?;
            let level =
                analysis.stdout().lines().find(|line| line.contains("Overall exposure level"));
            guest.tell(format!("{id}: {}", level.unwrap_or_default().trim_start_matches("→ ")));
        }
    }
    ensure_eq!(property(&unit("gpu_none"), "PrivateDevices")?, "yes", "PrivateDevices");
    ensure_eq!(property(&unit("gpu_given"), "PrivateDevices")?, "no", "PrivateDevices");
    ensure_eq!(property(&unit("gpu_given"), "DevicePolicy")?, "closed", "DevicePolicy");
    let allowed = property(&unit("gpu_given"), "DeviceAllow")?;
    // The clock is what ProtectClock= lets everybody read.
    let mut allowed: Vec<&str> = allowed.lines().filter(|line| *line != "char-rtc r").collect();
    allowed.sort_unstable();
    ensure_eq!(allowed, [format!("{RENDER} rw"), format!("{KFD} rw")], "DeviceAllow");
    Ok(Next::Done)
}
