//! The machine's memory, as the kernel tells it.

use std::io;
use std::path::{Path, PathBuf};

use bij_core::port::{Board, Sample, Unread};
use bij_core::{Bytes, Percent};

use crate::files;

/// These files are a few kilobytes.
const CAP: u64 = 64 << 10;

/// A machine of which only the memory is looked at, below a root.
#[derive(Clone, Debug)]
pub struct MemoryBoard {
    proc: PathBuf,
}

impl MemoryBoard {
    /// The machine whose `/proc` is in this tree.
    pub fn below(root: &Path) -> Self {
        Self { proc: root.join("proc") }
    }

    fn read(&self, name: &str) -> Result<Option<String>, Unread> {
        let path = self.proc.join(name);
        files::read_small(&path, CAP).map_err(|error| unread(&path, &error))
    }

    fn pressure(&self) -> Result<Option<Percent>, Unread> {
        let name = "pressure/memory";
        match self.read(name) {
            Ok(None) => Ok(None),
            Ok(Some(text)) => some_avg10(&text).map(Some).ok_or_else(|| {
                let error = io::Error::new(io::ErrorKind::InvalidData, "it has no `some avg10`");
                unread(&self.proc.join(name), &error)
            }),
            Err(error) => Err(error),
        }
    }
}

impl Board for MemoryBoard {
    fn sample(&self) -> Sample {
        let text = self.read("meminfo").and_then(|text| {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            text.ok_or_else(|| unread(&self.proc.join("meminfo"), &missing))
        });
        let line = |name: &'static str| {
            let text = text.as_ref().map_err(Clone::clone)?;
            kilobytes(text, name).ok_or_else(|| Unread {
                what: format!("{name} in {}", self.proc.join("meminfo").display()),
                why: "it is not there".to_owned(),
            })
        };
        let mut sample = Sample::new(Bytes::new(0), Bytes::new(0));
        sample.memory_total = line("MemTotal");
        sample.memory_available = line("MemAvailable");
        sample.memory_pressure = self.pressure();
        sample
    }
}

fn unread(path: &Path, error: &io::Error) -> Unread {
    // A kernel with PSI that is switched off has the file, and says this.
    Unread { what: path.display().to_string(), why: error.to_string() }
}

/// A line such as `MemTotal:       16316412 kB` (`proc_meminfo(5)`).
fn kilobytes(text: &str, name: &str) -> Option<Bytes> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(Bytes::new(number.checked_mul(1024)?))
}

/// `some avg10=0.12 avg60=…` (the kernel's Documentation/accounting/psi.rst).
fn some_avg10(text: &str) -> Option<Percent> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let number = some.split(' ').find_map(|word| word.strip_prefix("avg10="))?;
    format!("{number}%").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn board(meminfo: &str, pressure: Option<&str>) -> (tempfile::TempDir, MemoryBoard) {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        fs::create_dir_all(proc.join("pressure")).unwrap();
        fs::write(proc.join("meminfo"), meminfo).unwrap();
        if let Some(pressure) = pressure {
            fs::write(proc.join("pressure/memory"), pressure).unwrap();
        }
        let board = MemoryBoard::below(root.path());
        (root, board)
    }

    #[test]
    fn memory_and_its_pressure_are_read() {
        let meminfo = "MemTotal:       1000 kB\nMemFree:         1 kB\nMemAvailable:    500 kB\n";
        let psi = "some avg10=12.34 avg60=0.00 avg300=0.00 total=7\nfull avg10=1.00 total=3\n";
        let (_root, machine) = board(meminfo, Some(psi));
        let sample = machine.sample();
        assert_eq!(sample.memory_total, Ok(Bytes::new(1_024_000)));
        assert_eq!(sample.memory_available, Ok(Bytes::new(512_000)));
        assert_eq!(sample.memory_pressure, Ok(Some(Percent::from_permyriad(1234))));
    }

    #[test]
    fn a_kernel_without_psi_has_no_pressure_and_that_is_no_error() {
        let (_root, machine) = board("MemTotal: 1 kB\nMemAvailable: 1 kB\n", None);
        assert_eq!(machine.sample().memory_pressure, Ok(None));
    }

    #[test]
    fn what_cannot_be_read_says_which_and_why() {
        let (_root, machine) = board("MemTotal: many\n", Some("nonsense"));
        let sample = machine.sample();
        let error = sample.memory_available.unwrap_err().to_string();
        assert!(error.contains("MemAvailable") && error.contains("not there"), "{error}");
        assert!(sample.memory_total.is_err() && sample.memory_pressure.is_err());
        let nowhere = MemoryBoard::below(Path::new("/nonexistent"));
        assert!(nowhere.sample().memory_total.unwrap_err().what.ends_with("proc/meminfo"));
    }

    #[test]
    fn this_machine_can_be_read() {
        let sample = MemoryBoard::below(Path::new("/")).sample();
        assert!(sample.memory_available.unwrap() <= sample.memory_total.unwrap());
    }
}
