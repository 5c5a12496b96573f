//! Switches on the GPU of a Tegra, because most of its device nodes appear only at its first use.
//!
//! A unit's `DeviceAllow=char-…` is resolved when the unit starts. If nvgpu has not yet registered its second region
//! by then, the unit cannot open the GPU although it is allowed to. On a desktop the X server uses the GPU long before;
//! on a headless board the first experiment may be its first user.

use std::io;

use bij_core::Outcome;
use thiserror::Error;

use crate::Files;

const DIRECTORY: &str = "dev/nvgpu";

/// Why the GPU could not be switched on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PowerOnError {
    /// The driver refused; only root may switch the GPU on.
    #[error("cannot switch the GPU on by {node}")]
    Refused {
        /// Path of the node that was written to.
        node: String,
        /// The system's error.
        source: io::Error,
    },
    /// The driver accepted, but the other nodes did not appear.
    #[error("the GPU was switched on by {node}, but its other nodes did not appear beside it")]
    NoNodes {
        /// Path of the node that was written to.
        node: String,
    },
}

/// Returns `true` if there is a GPU that was not used since boot.
pub(crate) fn never_powered_on(files: &dyn Files) -> bool {
    !unpowered_nodes(files).is_empty()
}

/// Returns the nodes that switch on the GPUs that were not used since boot.
fn unpowered_nodes(files: &dyn Files) -> Vec<String> {
    let gpus = files.names(DIRECTORY).unwrap_or_default();
    let unpowered_nodes = gpus.into_iter().filter(|gpu| {
        let nodes = files.names(&format!("{DIRECTORY}/{gpu}")).unwrap_or_default();
        nodes.iter().any(|node| node == "power") && !nodes.iter().any(|node| node == "as")
    });
    unpowered_nodes.map(|gpu| format!("{DIRECTORY}/{gpu}/power")).collect()
}

/// Switches the GPU on if it was not used since boot, so that all of its nodes exist. To be called before the start
/// of a unit that uses the GPU.
///
/// `retry` is called after each check that failed. It should wait a moment, and return `false` to give up.
///
/// # Errors
/// [`PowerOnError`] if the GPU cannot be switched on, or its nodes do not appear.
pub fn power_on(
    files: &dyn Files,
    mut retry: impl FnMut() -> bool,
) -> Result<Outcome, PowerOnError> {
    let powered_on = unpowered_nodes(files);
    for node in &powered_on {
        files
            .write(node, "1")
            .map_err(|source| PowerOnError::Refused { node: format!("/{node}"), source })?;
    }
    loop {
        match unpowered_nodes(files).first() {
            None if powered_on.is_empty() => return Ok(Outcome::Unchanged),
            None => return Ok(Outcome::Changed),
            Some(node) if !retry() => {
                return Err(PowerOnError::NoNodes { node: format!("/{node}") });
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::CapturedTree;

    /// A driver whose nodes appear some checks after the power node is written.
    struct Driver {
        tree: Mutex<CapturedTree>,
        written: Mutex<Vec<(String, String)>>,
    }

    impl Driver {
        fn new(nodes: &[&str]) -> Self {
            let mut tree = CapturedTree::default();
            for node in nodes {
                tree.set(&format!("dev/nvgpu/igpu0/{node}"), "");
            }
            Self { tree: Mutex::new(tree), written: Mutex::default() }
        }
    }

    impl Files for Driver {
        fn read(&self, path: &str) -> io::Result<Vec<u8>> {
            self.tree.lock().unwrap().read(path)
        }
        fn list(&self, directory: &str) -> io::Result<Vec<String>> {
            self.tree.lock().unwrap().list(directory)
        }
        fn write(&self, path: &str, text: &str) -> io::Result<()> {
            self.written.lock().unwrap().push((path.to_owned(), text.to_owned()));
            Ok(())
        }
    }

    #[test]
    fn an_unused_gpu_is_switched_on_and_waited_for() {
        let driver = Driver::new(&["power"]);
        assert!(never_powered_on(&driver));
        let mut checks = 0;
        let outcome = power_on(&driver, || {
            checks += 1;
            if checks == 3 {
                driver.tree.lock().unwrap().set("dev/nvgpu/igpu0/as", "");
            }
            true
        });
        assert_eq!((outcome.unwrap(), checks), (Outcome::Changed, 3));
        let written = driver.written.into_inner().unwrap();
        assert_eq!(written, [("dev/nvgpu/igpu0/power".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_gpu_that_is_on_or_missing_is_left_alone() {
        for nodes in [&["power", "as"][..], &[], &["as"]] {
            let driver = Driver::new(nodes);
            assert_eq!(power_on(&driver, || false).unwrap(), Outcome::Unchanged);
            assert!(driver.written.into_inner().unwrap().is_empty());
        }
    }

    #[test]
    fn missing_nodes_and_a_refusal_are_errors() {
        let error = power_on(&Driver::new(&["power"]), || false).unwrap_err();
        assert!(matches!(error, PowerOnError::NoNodes { .. }), "{error}");
        let mut captured = CapturedTree::default();
        captured.set("dev/nvgpu/igpu0/power", "");
        let error = power_on(&captured, || false).unwrap_err();
        assert_eq!(error.to_string(), "cannot switch the GPU on by /dev/nvgpu/igpu0/power");
    }
}
