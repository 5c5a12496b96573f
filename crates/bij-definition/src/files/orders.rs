//! Orders to stop: files for the hooks and for the experiment.

use std::path::PathBuf;
use std::{fs, io};

use bij_core::{ExperimentId, Layout, Order};

use super::replace::replace_volatile;

/// The files of an order to stop an experiment.
#[derive(Debug)]
pub struct OrderFiles {
    paths: Vec<PathBuf>,
    failed: Option<io::Error>,
}

/// Writes an order to stop an experiment, for example `bij stop by alice`, and its stop file.
///
/// Call it before the request to the manager, so that the experiment can exit before the signal and the `end`
/// hook finds the order. For a caller without permission it writes nothing, and the hook reports that
/// systemd's job ended the attempt.
pub fn write_order(layout: &Layout, id: &ExperimentId, order: &Order) -> OrderFiles {
    let (order_path, stop_path) = (layout.order(id), layout.stop_file(id));
    let text = serde_json::to_string(order).unwrap_or_default();
    let mut files = OrderFiles { paths: Vec::new(), failed: None };
    for (path, text) in [(order_path, text.as_str()), (stop_path, "")] {
        match replace_volatile(&path, text.as_bytes()) {
            Ok(()) => files.paths.push(path),
            Err(error) => files.failed = Some(error),
        }
    }
    files
}

impl OrderFiles {
    /// Returns the error of a file that was not written, if any.
    pub fn into_failure(self) -> Option<io::Error> {
        self.failed
    }

    /// Removes the files, because there was nothing to stop or the stop failed.
    pub fn take_back(self) {
        for path in self.paths {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_order_names_its_origin_and_can_be_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::system(root.path());
        let id = ExperimentId::new("x").unwrap();
        let files = write_order(&layout, &id, &Order::stop("bij stop by alice"));
        let order: Order =
            serde_json::from_str(&fs::read_to_string(layout.order(&id)).unwrap()).unwrap();
        assert_eq!(order.kind, bij_core::OrderKind::Stop);
        assert_eq!(order.by, "bij stop by alice");
        assert!(layout.stop_file(&id).exists());
        files.take_back();
        assert!(!layout.stop_file(&id).exists() && !layout.order(&id).exists());
    }

    #[test]
    fn an_order_that_cannot_be_written_reports_the_error() {
        let layout = Layout::system(Path::new("/proc"));
        let files = write_order(&layout, &ExperimentId::new("x").unwrap(), &Order::stop(""));
        assert!(files.paths.is_empty() && files.into_failure().is_some());
    }
}
