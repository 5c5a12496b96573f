//! Reads the progress that an experiment has written to `$BIJ_PROGRESS`.
//!
//! The file belongs to the experiment, so neither its size nor its type can be trusted.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bij_core::Progress;
use nix::fcntl::OFlag;

/// Bytes read from the end of the file. Progress is its last line.
const TAIL: u64 = 64 * 1024;

/// Returns the newest progress; `None` if the file has none or is no regular file.
pub(crate) fn read_progress(path: &Path) -> Option<Progress> {
    // A link could lead to a file that the experiment may not read; opening a pipe would block.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    String::from_utf8_lossy(&tail).parse().ok()
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn the_last_line_is_found_in_any_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("progress");
        assert_eq!(read_progress(&path), None);
        let noise = "step=1 checkpoint=/old\n".repeat(10_000);
        std::fs::write(&path, format!("{noise}\u{fffd}\nstep=2 checkpoint=/new\n")).unwrap();
        let progress = read_progress(&path).unwrap();
        assert_eq!((progress.step, progress.checkpoint.as_deref()), (Some(2), Some("/new")));
    }

    #[test]
    fn a_path_that_is_no_regular_file_has_no_progress_and_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        assert_eq!(read_progress(&pipe), None);
        let target = directory.path().join("target");
        std::fs::write(&target, "step=1\n").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(read_progress(&link), None);
        assert_eq!(read_progress(directory.path()), None);
    }
}
