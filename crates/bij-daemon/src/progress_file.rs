//! The file that an experiment writes its progress to.

use std::path::Path;

use bij_core::Progress;

use crate::files;

/// So much of the file's end is read.
const CAP: u64 = 64 * 1024;
/// The longest path that Linux takes (`PATH_MAX`), and so the longest checkpoint.
const LONGEST_PATH: usize = 4096;
/// Longer texts are cut: they are shown to people and kept for ever.
const LONGEST_TEXT: usize = 1000;

/// The newest progress; `None` if there is none that can be read.
///
/// The file is the experiment's own, so nothing in it is believed: what could not be a path is no
/// checkpoint, and text is cut and cleaned of control characters.
pub(crate) fn read_progress(path: &Path) -> Option<Progress> {
    let bytes = files::read_tail(path, CAP)
        .inspect_err(|error| log::debug!("cannot read {}: {error}", path.display()))
        .ok()??;
    let mut progress: Progress = complete(&String::from_utf8_lossy(&bytes)).parse().ok()?;
    let possible = |path: &String| path.len() <= LONGEST_PATH && !path.contains(char::is_control);
    progress.checkpoint = progress.checkpoint.filter(possible);
    progress.text = progress
        .text
        .map(|text| text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect());
    Some(progress)
}

/// The text up to the last newline: what follows may be half a line that a crash cut short. A text
/// of a single line without a newline is taken as it is.
fn complete(text: &str) -> &str {
    text.rfind('\n').map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(bytes: &[u8]) -> Option<Progress> {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("progress");
        fs::write(&path, bytes).unwrap();
        read_progress(&path)
    }

    #[test]
    fn the_last_complete_line_counts() {
        let progress = read(b"step=1 checkpoint=/a\nstep=2 checkpoint=/b\nstep=3 check").unwrap();
        assert_eq!((progress.step, progress.checkpoint.as_deref()), (Some(2), Some("/b")));
        assert_eq!(read(b"step=5").unwrap().step, Some(5));
        let long = "x".repeat(200_000) + "\nstep=9\n";
        assert_eq!(read(long.as_bytes()).unwrap().step, Some(9));
    }

    #[test]
    fn hostile_progress_does_no_harm() {
        assert_eq!(read(b""), None);
        assert_eq!(read(&[0xff; 4096]), None);
        let progress = read(b"step=1 text=a\x1b[2Jb checkpoint=/a\0b\n").unwrap();
        assert_eq!((progress.text.as_deref(), progress.checkpoint), (Some("a[2Jb"), None));
        let long = format!("step=1 checkpoint=/{}\n", "x".repeat(5000));
        assert_eq!(read(long.as_bytes()).unwrap().checkpoint, None);
    }
}
