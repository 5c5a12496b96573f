//! The file that an experiment writes its progress to, `$BIJ_PROGRESS`.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bij_core::{PathStepKind, Progress};
use bij_definition::{Walked, walk};

/// How much of the end of the file is read, in bytes.
const TAIL: u64 = 64 * 1024;
/// Length of the longest checkpoint, in bytes: `PATH_MAX` of Linux.
const LONGEST_PATH: usize = 4096;
/// Length of the longest text, in characters; longer texts are cut.
const LONGEST_TEXT: usize = 1000;

/// Returns the newest progress, the last complete line of the file; `None` if there is none.
///
/// The file belongs to the experiment, so its content is checked: a checkpoint that cannot be a path is
/// dropped, and control characters are removed from the text. A link, a pipe, and a file that does not belong to
/// the owner of its directory are not read; the latter could be a hard link to another account's file.
pub fn read_progress(path: &Path) -> Option<Progress> {
    let tail = read_tail(path)
        .inspect_err(|error| log::debug!("cannot read {}: {error}", path.display()))
        .ok()??;
    let mut progress: Progress = complete_lines(&String::from_utf8_lossy(&tail)).parse().ok()?;
    let can_be_path =
        |path: &String| path.len() <= LONGEST_PATH && !path.contains(char::is_control);
    progress.checkpoint = progress.checkpoint.filter(can_be_path);
    progress.text = progress
        .text
        .map(|text| text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect());
    Some(progress)
}

/// Returns the end of a regular file; `None` if there is no file.
fn read_tail(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let walked = walk(path).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let Some(Walked { mut file, len, ownership, steps }) = walked else { return Ok(None) };
    let directory = steps.iter().rev().find(|step| step.kind == PathStepKind::Directory);
    let is_link = steps.iter().any(|step| step.kind == PathStepKind::Link && step.path == path);
    if is_link || directory.is_none_or(|directory| directory.ownership.uid != ownership.uid) {
        let message = format!("it belongs to uid {}, and its directory does not", ownership.uid);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Returns the text up to the last newline: a crash may have cut short what follows it. A text without a newline
/// is returned whole.
fn complete_lines(text: &str) -> &str {
    text.rfind('\n').map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn read(bytes: &[u8]) -> Option<Progress> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("progress");
        fs::write(&path, bytes).unwrap();
        read_progress(&path)
    }

    #[test]
    fn the_last_complete_line_counts() {
        let progress = read(b"step=1 checkpoint=/a\nstep=2 checkpoint=/b\nstep=3 check").unwrap();
        assert_eq!((progress.step, progress.checkpoint.as_deref()), (Some(2), Some("/b")));
        assert_eq!(read(b"step=5").unwrap().step, Some(5));
    }

    #[test]
    fn the_last_line_of_a_megabyte_is_read() {
        let file = "step=1 checkpoint=/old\n".repeat(50_000) + "step=2 checkpoint=/new\nstep=3";
        assert!(file.len() > 1_000_000);
        let progress = read(file.as_bytes()).unwrap();
        assert_eq!((progress.step, progress.checkpoint.as_deref()), (Some(2), Some("/new")));
        let line = "x".repeat(200_000) + "\nstep=9\n";
        assert_eq!(read(line.as_bytes()).unwrap().step, Some(9));
    }

    #[test]
    fn hostile_progress_is_cleaned() {
        assert_eq!(read(b""), None);
        assert_eq!(read(&[0xff; 4096]), None);
        let progress = read(b"step=1 text=a\x1b[2Jb checkpoint=/a\0b\n").unwrap();
        assert_eq!((progress.text.as_deref(), progress.checkpoint), (Some("a[2Jb"), None));
        let long = format!("step=1 checkpoint=/{}\n", "x".repeat(5000));
        assert_eq!(read(long.as_bytes()).unwrap().checkpoint, None);
    }

    #[test]
    fn only_a_regular_file_is_read_and_a_pipe_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        assert_eq!(read_progress(&pipe), None);
        let target = directory.path().join("target");
        fs::write(&target, "step=1\n").unwrap();
        assert!(read_progress(&target).is_some());
        fs::set_permissions(&target, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read_progress(&target).is_some(), "its mode does not matter");
        let link = directory.path().join("link");
        symlink(&target, &link).unwrap();
        assert_eq!(read_progress(&link), None);
        assert_eq!(read_progress(directory.path()), None);
        assert_eq!(read_progress(&directory.path().join("missing")), None);
    }
}
