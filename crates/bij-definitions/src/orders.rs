//! Tells the hooks who ends an experiment, and the experiment that its end is near.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bij_core::{ExperimentId, Layout, Order};

/// An order that was put down for one experiment.
#[derive(Debug)]
pub struct PutDown {
    paths: Vec<PathBuf>,
    failed: Option<io::Error>,
}

/// Puts down who wants the end of an experiment, for example `bij stop by alice`, and its stop
/// file.
///
/// It goes before the request to the manager, so that the experiment may leave before the signal
/// and the `end` hook finds who asked. A caller without rights there puts down nothing: the hook
/// then tells that systemd's job ended it.
pub fn put_down(layout: &Layout, id: &ExperimentId, order: &Order) -> PutDown {
    let (order_path, stop_path) = (layout.order(id), layout.stop_file(id));
    let text = serde_json::to_string(order).unwrap_or_default();
    let mut down = PutDown { paths: Vec::new(), failed: None };
    for (path, text) in [(order_path, text.as_str()), (stop_path, "")] {
        match put(&path, text) {
            Ok(()) => down.paths.push(path),
            Err(error) => down.failed = Some(error),
        }
    }
    down
}

impl PutDown {
    /// Why a part of it is not in place, if one is not.
    pub fn into_failure(self) -> Option<io::Error> {
        self.failed
    }

    /// Takes it back: nothing was there to be stopped, or nobody could.
    pub fn take_back(self) {
        for path in self.paths {
            let _ = fs::remove_file(path);
        }
    }
}

/// Puts a file in place whole. Gone after a reboot, it need not be on any disk.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    // Never written through what another process has put there: only what a process of this number left
    // when it died can have the name.
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_its_author_and_can_be_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::system(root.path());
        let id = ExperimentId::new("x").unwrap();
        let down = put_down(&layout, &id, &Order::stop("bij stop by alice"));
        let order: Order =
            serde_json::from_str(&fs::read_to_string(layout.order(&id)).unwrap()).unwrap();
        assert_eq!(order.kind, bij_core::OrderKind::Stop);
        assert_eq!(order.by, "bij stop by alice");
        assert!(layout.stop_file(&id).exists());
        down.take_back();
        assert!(!layout.stop_file(&id).exists() && !layout.order(&id).exists());
    }

    #[test]
    fn where_nothing_may_be_written_nothing_is_claimed() {
        let layout = Layout::system(Path::new("/proc"));
        let down = put_down(&layout, &ExperimentId::new("x").unwrap(), &Order::stop(""));
        assert!(down.paths.is_empty() && down.into_failure().is_some());
    }
}
