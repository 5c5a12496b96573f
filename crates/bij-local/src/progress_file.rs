//! Reads what an experiment has written to `$BIJ_PROGRESS`.
//!
//! The file is the experiment's own, so nothing about it can be trusted: not its size, not even
//! that it is a file.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bij_core::Progress;
use nix::fcntl::OFlag;

/// How much of the end of the file is read, in bytes. Progress is its last line.
const TAIL: u64 = 64 * 1024;

/// The newest progress; `None` if there is none, or something else in its place.
pub(crate) fn read_progress(path: &Path) -> Option<Progress> {
    // A link could lead to what the experiment may not read; a pipe would be waited for.
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
    fn the_last_line_is_found_in_whatever_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("progress");
        assert_eq!(read_progress(&path), None);
        let noise = "step=1 checkpoint=/old\n".repeat(10_000);
        std::fs::write(&path, format!("{noise}\u{fffd}\nstep=2 checkpoint=/new\n")).unwrap();
        let progress = read_progress(&path).unwrap();
        assert_eq!((progress.step, progress.checkpoint.as_deref()), (Some(2), Some("/new")));
    }

    #[test]
    fn what_is_no_file_is_no_progress_and_holds_up_nobody() {
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
