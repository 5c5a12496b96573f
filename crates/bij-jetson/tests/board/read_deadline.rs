//! Files that block their reader.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bij_jetson::{CapturedTree, Files, Hardware, WhyNot};

use crate::tree::{Board, JETPACK_6, captured};

/// A tree with one file whose reads block until they are freed.
struct Stuck {
    tree: CapturedTree,
    path: &'static str,
    free: Mutex<bool>,
    freed: Condvar,
    asked: Mutex<usize>,
}

impl Files for Stuck {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == self.path {
            *self.asked.lock().unwrap() += 1;
            let free = self.free.lock().unwrap();
            drop(self.freed.wait_while(free, |free| !*free).unwrap());
        }
        self.tree.read(path)
    }
    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.tree.list(directory)
    }
    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        self.tree.write(path, text)
    }
}

const ZONE: &str = "sys/class/thermal/thermal_zone5/temp";

fn soc0(machine: &Hardware) -> Result<i32, WhyNot> {
    let zones = machine.sample().zones.unwrap();
    let zone = zones.into_iter().find(|zone| zone.name == "soc0").unwrap();
    zone.celsius.map(bij_core::Celsius::millis)
}

#[test]
fn a_zone_that_blocks_is_reported_and_delays_no_other_read() {
    let files = Arc::new(Stuck {
        tree: captured(JETPACK_6),
        path: ZONE,
        free: Mutex::new(false),
        freed: Condvar::new(),
        asked: Mutex::new(0),
    });
    let shared: Arc<dyn Files> = files.clone();
    let machine = Hardware::new(shared).with_read_deadline(Duration::from_millis(500));
    let board = machine.sample();
    let zones = board.zones.unwrap();
    let blocked = zones.iter().filter(|zone| zone.celsius == Err(WhyNot::Blocked));
    assert_eq!(blocked.map(|zone| zone.name.as_str()).collect::<Vec<_>>(), ["soc0"]);
    assert!(board.total.is_ok() && board.gpu.is_ok(), "the rest is read");
    for _ in 0..3 {
        assert_eq!(soc0(&machine), Err(WhyNot::Blocked));
    }
    assert_eq!(*files.asked.lock().unwrap(), 1, "one sleeping thread for all samples");
    *files.free.lock().unwrap() = true;
    files.freed.notify_all();
    // Its thread returns once the scheduler lets it run.
    while soc0(&machine) == Err(WhyNot::Blocked) {
        std::thread::yield_now();
    }
    assert_eq!(soc0(&machine), Ok(49_062));
}

#[test]
fn a_real_file_that_blocks_is_abandoned_too() {
    let board = Board::unpack(&captured(JETPACK_6));
    std::fs::remove_file(board.path(ZONE)).unwrap();
    let made = std::process::Command::new("mkfifo").arg(board.path(ZONE)).status().unwrap();
    assert!(made.success());
    let machine = board.machine().with_read_deadline(Duration::from_millis(500));
    assert_eq!(soc0(&machine), Err(WhyNot::Blocked));
    // A writer releases the thread that opens the FIFO.
    std::fs::write(board.path(ZONE), "50000\n").unwrap();
}
