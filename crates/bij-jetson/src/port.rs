//! The machine as the coordinator's policy sees it.

use bij_core::port::{Board, Sample, Unread};
use bij_core::{Bytes, Percent};

use crate::{Machine, Reading, WhyNot};

impl Board for Machine {
    fn sample(&self) -> Sample {
        let memory = self.memory();
        let mut sample = Sample::new(Bytes::new(0), Bytes::new(0));
        sample.memory_total = part("MemTotal", memory.total);
        sample.memory_available = part("MemAvailable", memory.available);
        sample.memory_pressure = pressure(memory.pressure);
        sample
    }
}

fn part<T>(what: &str, reading: Reading<T>) -> Result<T, Unread> {
    reading.map_err(|why| Unread { what: what.to_owned(), why: why.to_string() })
}

/// A kernel without PSI does not tell, and that is no error.
fn pressure(reading: Reading<Percent>) -> Result<Option<Percent>, Unread> {
    match reading {
        Err(WhyNot::Absent) => Ok(None),
        other => part("the pressure on memory", other).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::CapturedTree;

    fn board(meminfo: &str, pressure: Option<&str>) -> Sample {
        let mut tree = CapturedTree::default();
        tree.set("proc/meminfo", meminfo);
        if let Some(pressure) = pressure {
            tree.set("proc/pressure/memory", pressure);
        }
        Board::sample(&Machine::new(Arc::new(tree)))
    }

    #[test]
    fn memory_and_its_pressure_are_told() {
        let meminfo = "MemTotal: 1000 kB\nMemAvailable: 500 kB\n";
        let sample = board(meminfo, Some("some avg10=12.34 avg60=0.00 avg300=0.00 total=7\n"));
        assert_eq!(sample.memory_total, Ok(Bytes::new(1_024_000)));
        assert_eq!(sample.memory_available, Ok(Bytes::new(512_000)));
        assert_eq!(sample.memory_pressure, Ok(Some(Percent::from_permyriad(1234))));
        assert_eq!(board(meminfo, None).memory_pressure, Ok(None));
    }

    #[test]
    fn what_cannot_be_read_says_which_and_why() {
        let sample = board("MemTotal: many kB\n", Some("nonsense"));
        let told = sample.memory_total.unwrap_err().to_string();
        assert_eq!(told, "cannot read MemTotal: unparsable: \"many kB\"");
        let told = sample.memory_available.unwrap_err().to_string();
        assert_eq!(told, "cannot read MemAvailable: absent");
        assert!(sample.memory_pressure.is_err());
    }
}
