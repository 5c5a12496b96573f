//! The vm lane: a kernel of its own in QEMU, without KVM, so that limits, OOM kills, reboots and power
//! cuts are real on any host.
//!
//! The disk is a raw copy of the image's. Killing QEMU is then an honest power cut: whatever it has told
//! the guest is written lies in the host's page cache, what the guest had not written yet is lost, and no
//! image format keeps metadata in the killed process.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use bij_e2e::Lane;

use super::image::{INIT_PATH, Image};
use super::machine::{Boot, Machine};
use super::payload::Loaded;
use super::suite::Suite;
use crate::shell;

/// Enough for systemd, three experiments and their page cache.
const MEMORY: &str = "1536";

/// The plainest one: libraries choose wide vector instructions where there are any, and those are the
/// slowest to emulate.
const PROCESSOR: &str = "qemu64";

/// Units of a distribution that cost an emulated boot seconds and have nothing to do here.
const UNWANTED: [&str; 7] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
];

/// An emulated machine and its disk.
#[derive(Debug)]
pub(super) struct Emulator {
    directory: PathBuf,
    image: Image,
    payload: PathBuf,
    processors: u32,
    unified: bool,
    boots: u32,
}

impl Emulator {
    /// Copies the disk and packs the payload; boots nothing yet.
    pub(super) fn prepare(
        suite: &Suite,
        lane: Lane,
        image: &Image,
        payload: &Loaded,
        directory: &Path,
    ) -> Result<Self> {
        shell::run_quietly(
            Command::new("cp")
                .args(["--sparse=always", "--reflink=auto"])
                .arg(image.disk())
                .arg(directory.join("disk.img")),
        )?;
        Ok(Self {
            directory: directory.to_owned(),
            image: image.clone(),
            payload: payload.pack(directory)?,
            processors: suite.processors,
            unified: lane == Lane::VmV2,
            boots: 0,
        })
    }

    fn command_line(&self) -> String {
        format!(
            "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off init={INIT_PATH} \
             systemd.unified_cgroup_hierarchy={} {}",
            u8::from(self.unified),
            UNWANTED.map(|unit| format!("systemd.mask={unit}")).join(" ")
        )
    }
}

impl Machine for Emulator {
    fn boot(&mut self) -> Result<Boot> {
        self.boots += 1;
        let results = self.directory.join(format!("results.{}", self.boots));
        let console = self.directory.join(format!("console.{}.log", self.boots));
        let mut machine = Command::new("qemu-system-x86_64");
        machine
            .args(["-accel", "tcg,thread=multi", "-cpu", PROCESSOR, "-m", MEMORY])
            .args(["-smp", &self.processors.to_string()])
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-net", "none"])
            .arg("-kernel")
            .arg(self.image.kernel())
            .arg("-initrd")
            .arg(self.image.initrd())
            .args(["-append", &self.command_line()])
            .arg("-drive")
            .arg(format!(
                "file={},if=virtio,format=raw,cache=unsafe",
                self.directory.join("disk.img").display()
            ))
            .arg("-drive")
            .arg(format!("file={},if=virtio,format=raw,readonly=on", self.payload.display()))
            .args(["-serial", "stdio", "-serial"])
            .arg(format!("file:{}", results.display()))
            .args(["-object", "rng-random,id=rng,filename=/dev/urandom"])
            .args(["-device", "virtio-rng-pci,rng=rng"]);
        Boot::start(&machine, results, console)
    }

    fn discard(&mut self) {
        drop(std::fs::remove_file(self.directory.join("disk.img")));
        drop(std::fs::remove_file(&self.payload));
    }
}
