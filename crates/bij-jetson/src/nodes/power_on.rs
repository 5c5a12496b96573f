//! The trap of nvgpu: most nodes of the GPU appear only when it is switched on for the first time.
//!
//! A unit's `DeviceAllow=char-…` is resolved when the unit starts. If the driver has not yet registered
//! its second region by then, the unit can never open the GPU, although it is allowed to. On a desktop
//! the X server has switched it on long before; on a headless board it may be the first experiment that
//! would.

use std::io;

use bij_core::Outcome;
use thiserror::Error;

use crate::Files;

const DIRECTORY: &str = "dev/nvgpu";

/// Why the GPU could not be switched on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PowerOnError {
    /// Its driver did not take the order; only root may give it.
    #[error("cannot switch the GPU on by {node}")]
    Refused {
        /// The node that was written to.
        node: String,
        /// What the system said.
        source: io::Error,
    },
    /// The order was taken, and its nodes did not appear.
    #[error("the GPU was switched on by {node}, and its other nodes did not appear beside it")]
    NoNodes {
        /// The node that was written to.
        node: String,
    },
}

/// Whether there is a GPU that was not used since boot.
pub(crate) fn never_powered_on(files: &dyn Files) -> bool {
    !asleep(files).is_empty()
}

/// The nodes by which GPUs that were never on are switched on.
fn asleep(files: &dyn Files) -> Vec<String> {
    let gpus = files.names(DIRECTORY).unwrap_or_default();
    let asleep = gpus.into_iter().filter(|gpu| {
        let nodes = files.names(&format!("{DIRECTORY}/{gpu}")).unwrap_or_default();
        nodes.iter().any(|node| node == "power") && !nodes.iter().any(|node| node == "as")
    });
    asleep.map(|gpu| format!("{DIRECTORY}/{gpu}/power")).collect()
}

/// Switches the GPU on if it never was, so that all of its nodes exist; to be done before a unit that
/// uses it starts.
///
/// `again` is asked after each look in vain: it waits a moment, or ends the wait by `false`.
///
/// # Errors
/// [`PowerOnError`] if that did not help.
pub fn power_on(
    files: &dyn Files,
    mut again: impl FnMut() -> bool,
) -> Result<Outcome, PowerOnError> {
    let asleep_now = asleep(files);
    for node in &asleep_now {
        files
            .write(node, "1")
            .map_err(|source| PowerOnError::Refused { node: format!("/{node}"), source })?;
    }
    loop {
        match asleep(files).first() {
            None if asleep_now.is_empty() => return Ok(Outcome::Unchanged),
            None => return Ok(Outcome::Changed),
            Some(node) if !again() => {
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

    /// A driver that makes its nodes some looks after it was told to.
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
    fn a_gpu_that_was_never_on_is_switched_on_and_waited_for() {
        let driver = Driver::new(&["power"]);
        assert!(never_powered_on(&driver));
        let mut looks = 0;
        let outcome = power_on(&driver, || {
            looks += 1;
            if looks == 3 {
                driver.tree.lock().unwrap().set("dev/nvgpu/igpu0/as", "");
            }
            true
        });
        assert_eq!((outcome.unwrap(), looks), (Outcome::Changed, 3));
        let written = driver.written.into_inner().unwrap();
        assert_eq!(written, [("dev/nvgpu/igpu0/power".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn one_that_is_on_or_not_there_is_left_alone() {
        for nodes in [&["power", "as"][..], &[], &["as"]] {
            let driver = Driver::new(nodes);
            assert_eq!(power_on(&driver, || false).unwrap(), Outcome::Unchanged);
            assert!(driver.written.into_inner().unwrap().is_empty());
        }
    }

    #[test]
    fn one_whose_nodes_do_not_come_is_told() {
        let error = power_on(&Driver::new(&["power"]), || false).unwrap_err();
        assert!(matches!(error, PowerOnError::NoNodes { .. }), "{error}");
        let mut captured = CapturedTree::default();
        captured.set("dev/nvgpu/igpu0/power", "");
        let error = power_on(&captured, || false).unwrap_err();
        assert_eq!(error.to_string(), "cannot switch the GPU on by /dev/nvgpu/igpu0/power");
    }
}
