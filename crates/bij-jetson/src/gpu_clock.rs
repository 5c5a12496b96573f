//! Reads and sets the limit of the GPU's clock.

use bij_core::Hertz;
use bij_core::port::{BoardReadError, GpuClock, GpuClockError, GpuClocks};

use crate::{Files, Hardware, Reading, WhyNot, gpu, parse};

impl GpuClock for Hardware {
    fn clocks(&self) -> Result<GpuClocks, BoardReadError> {
        self.read_with_deadline(read_clocks).map_err(|why| unread(&why))
    }

    fn set_max(&self, max: Hertz) -> Result<(), GpuClockError> {
        self.read_with_deadline(move |files| set_max(files, max))
    }
}

fn set_max(files: &dyn Files, max: Hertz) -> Result<(), GpuClockError> {
    let directory = gpu::devfreq(files).map_err(|why| unread(&why))?;
    let (path, text) = (format!("{directory}/max_freq"), format!("{}\n", max.get()));
    let what = format!("/{path}");
    files
        .write(&path, &text)
        .map_err(|source| GpuClockError::Refused { what: what.clone(), source: source.into() })?;
    // The kernel accepts a rate that it does not have, or that something else limits further, so the result is read.
    match read_clocks(files).map_err(|why| unread(&why))?.max {
        is if is == max => Ok(()),
        is => Err(GpuClockError::NoEffect { what, to: max, is }),
    }
}

fn unread(why: &WhyNot) -> BoardReadError {
    BoardReadError { what: "the GPU's clock".to_owned(), why: why.to_string() }
}

/// Reads the rates and the limit of the GPU's clock from devfreq (the kernel's
/// Documentation/ABI/testing/sysfs-class-devfreq).
fn read_clocks(files: &dyn Files) -> Reading<GpuClocks> {
    let directory = gpu::devfreq(files)?;
    let text = files.text(&format!("{directory}/available_frequencies"))?;
    let rates = text.split_ascii_whitespace().map(|rate| match parse::number(rate.as_bytes()) {
        Ok(rate) => {
            u64::try_from(rate).map(Hertz::new).map_err(|_| WhyNot::Unparsable(text.clone()))
        }
        Err(why) => Err(why),
    });
    let mut rates = rates.collect::<Reading<Vec<_>>>()?;
    rates.sort_unstable();
    rates.dedup();
    if rates.is_empty() {
        return Err(WhyNot::Absent);
    }
    let max = files.count(&format!("{directory}/max_freq")).map(Hertz::new)?;
    Ok(GpuClocks { rates, max })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use bij_sim::contract::gpu_clock_contract;

    use super::*;
    use crate::CapturedTree;

    const DEVFREQ: &str = "sys/class/devfreq/17000000.gpu";

    #[test]
    fn the_machine_keeps_the_gpu_clock_contract() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join(DEVFREQ);
        fs::create_dir_all(&directory).unwrap();
        let rates = "306000000 612000000 918000000 1300500000\n";
        fs::write(directory.join("available_frequencies"), rates).unwrap();
        fs::write(directory.join("max_freq"), "1300500000\n").unwrap();
        // Another device has a clock of the same kind.
        let other = root.path().join("sys/class/devfreq/15340000.vic");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("max_freq"), "1\n").unwrap();
        gpu_clock_contract(&Hardware::below(root.path()));
        assert_eq!(fs::read_to_string(other.join("max_freq")).unwrap(), "1\n");
        let left = fs::read_to_string(directory.join("max_freq")).unwrap();
        assert_eq!(left.trim(), "1300500000");
    }

    #[test]
    fn a_clock_that_cannot_be_limited_gives_a_reason() {
        let machine = |files: &[(&str, &str)]| {
            let mut tree = CapturedTree::default();
            for (name, text) in files {
                tree.set(&format!("{DEVFREQ}/{name}"), *text);
            }
            Hardware::new(Arc::new(tree))
        };
        let message = |files: &[(&str, &str)]| machine(files).clocks().unwrap_err().to_string();
        assert_eq!(message(&[]), "cannot read the GPU's clock: absent");
        assert_eq!(message(&[("max_freq", "1\n")]), "cannot read the GPU's clock: absent");
        let odd = [("available_frequencies", "-1 2\n"), ("max_freq", "2\n")];
        assert!(message(&odd).contains("unparsable"), "{}", message(&odd));
        let error = machine(&[]).set_max(Hertz::new(1)).unwrap_err();
        assert!(matches!(error, GpuClockError::Read(_)), "{error:?}");
    }
}
