//! Starts that the coordinator could not decide: the hook writes them to disk, and the coordinator queues them as
//! soon as it can.
//!
//! Each is a file with the experiment's name, which contains the reason as text. The directory is below the runtime
//! directory, so it is empty after a boot, when enabled units start again anyway.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use bij_core::ExperimentId;
use bij_host::{HostContext, files};

/// Writes a deferred start to disk, with the reason.
///
/// # Errors
/// The error of the system; the start is then not deferred.
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

/// Returns the experiments whose start is deferred. An unreadable directory has none.
pub fn list(host: &HostContext) -> Vec<ExperimentId> {
    let entries = fs::read_dir(directory(host)).into_iter().flatten().flatten();
    // The temporary name of a file that is being written is not a valid id.
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Removes a deferred start, which is now queued.
///
/// # Errors
/// The error of the system; a missing file is no error.
pub fn remove(host: &HostContext, id: &ExperimentId) -> io::Result<()> {
    files::remove(&directory(host).join(id.as_str()))
}

fn directory(host: &HostContext) -> PathBuf {
    host.layout().runtime().join("asked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_deferred_once_until_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let host = HostContext::system(root.path());
        let id: ExperimentId = "x".parse().unwrap();
        assert!(list(&host).is_empty());
        keep(&host, &id, "why").unwrap();
        keep(&host, &id, "why else").unwrap();
        assert_eq!(list(&host), std::slice::from_ref(&id));
        remove(&host, &id).unwrap();
        remove(&host, &id).unwrap();
        assert!(list(&host).is_empty());
    }
}
