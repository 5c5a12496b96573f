//! Starts that were asked for while the coordinator could not be asked: kept on the disk by the hook,
//! taken into the queue by the coordinator as soon as it can.
//!
//! One file for each experiment, by its name; what is in it tells people why. The directory is below
//! the runtime directory, so it is empty after a boot, in which what is enabled asks again.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use bij_core::ExperimentId;
use bij_host::{HostContext, files};

/// Keeps a start.
///
/// # Errors
/// What the system says; the start is not kept then.
pub fn keep(host: &HostContext, id: &ExperimentId, why: &str) -> io::Result<()> {
    let directory = directory(host);
    if !directory.is_dir() {
        files::make_directory(host.layout().runtime())?;
        match DirBuilder::new().mode(0o700).create(&directory) {
            // Another hook was faster.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    files::put(&directory.join(id.as_str()), format!("{why}\n").as_bytes(), 0o600)
}

/// The starts that are kept. What cannot be read is none.
pub fn kept(host: &HostContext) -> Vec<ExperimentId> {
    let entries = fs::read_dir(directory(host)).into_iter().flatten().flatten();
    // A file that is just being written has a name that is no experiment's.
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Forgets a start, which is in the queue now.
///
/// # Errors
/// What the system says; one that is not there is no error.
pub fn forget(host: &HostContext, id: &ExperimentId) -> io::Result<()> {
    files::remove(&directory(host).join(id.as_str()))
}

fn directory(host: &HostContext) -> PathBuf {
    host.layout().runtime().join("asked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_kept_once_until_it_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        let id: ExperimentId = "x".parse().unwrap();
        assert!(kept(&host).is_empty());
        keep(&host, &id, "why").unwrap();
        keep(&host, &id, "why else").unwrap();
        assert_eq!(kept(&host), std::slice::from_ref(&id));
        forget(&host, &id).unwrap();
        forget(&host, &id).unwrap();
        assert!(kept(&host).is_empty());
    }
}
