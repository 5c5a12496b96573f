//! Reads the output of an attempt as lines.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::event::CancellationFlag;
use crate::log_file::LogStream;

/// Size of one read, in bytes.
const READ_SIZE: usize = 64 * 1024;

/// How long to wait for output after the attempt has ended: a process outside its group may write.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How often to wait so: such a process may print now and then for ever.
const DRAIN_WAITS: u32 = 8;

/// Capacity of a pipe in bytes, at most, with the kernel's default `pipe-max-size` (pipe(7)).
const PIPE_MAX: usize = 1 << 20;

/// A line, or a piece of one that is too long for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputPiece {
    pub(crate) stream: LogStream,
    /// Whether this continues the line of the piece before.
    pub(crate) continued: bool,
    pub(crate) text: String,
}

/// Reads a pipe to its end and hands over each line; an error counts as the end.
///
/// When the attempt is over, the output of its group is in the pipe and is read completely. A process
/// outside the group can keep the pipe open; its later output is not waited for.
pub(crate) async fn read_lines<R, F, W>(
    mut pipe: R,
    stream: LogStream,
    over: CancellationFlag,
    mut hand_over: F,
) where
    R: AsyncRead + Unpin,
    F: FnMut(OutputPiece) -> W,
    W: Future<Output = ()>,
{
    let mut framer = Framer::default();
    let mut buffer = vec![0; READ_SIZE];
    let mut remaining = RemainingOutput { waits: DRAIN_WAITS, bytes: PIPE_MAX };
    let mut is_over = false;
    // Made once, not with each read.
    let mut raised = std::pin::pin!(over.raised());
    loop {
        let read = if is_over {
            remaining.read(&mut pipe, &mut buffer).await
        } else {
            // Cancel-safe: a cancelled read has consumed nothing.
            tokio::select! {
                biased;
                () = &mut raised => {
                    is_over = true;
                    continue;
                }
                read = pipe.read(&mut buffer) => read,
            }
        };
        let lines = match read {
            Ok(0) | Err(_) => break,
            Ok(length) => framer.take(&buffer[..length]),
        };
        for (continued, text) in lines {
            hand_over(OutputPiece { stream, continued, text }).await;
        }
    }
    if let Some((continued, text)) = framer.finish() {
        hand_over(OutputPiece { stream, continued, text }).await;
    }
}

/// How much is still read after the attempt is over.
struct RemainingOutput {
    waits: u32,
    bytes: usize,
}

impl RemainingOutput {
    /// Reads more output. Returns 0 when all output of the attempt has been read.
    async fn read(
        &mut self,
        pipe: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if self.waits == 0 || self.bytes == 0 {
            return Ok(0);
        }
        let mut has_waited = false;
        let read = std::future::poll_fn(|context| {
            let read = std::pin::pin!(pipe.read(buffer)).poll(context);
            has_waited |= read.is_pending();
            read
        });
        let read = timeout(DRAIN_TIMEOUT, read).await.unwrap_or(Ok(0));
        self.waits -= u32::from(has_waited);
        self.bytes = self.bytes.saturating_sub(*read.as_ref().unwrap_or(&0));
        read
    }
}

/// Longest piece, in bytes; a longer line is returned in several.
pub(crate) const PIECE_MAX: usize = 64 * 1024;

/// Cuts a stream of bytes into lines, with bounded memory.
///
/// A carriage return restarts the line, as on a terminal: only the last frame of a progress bar
/// becomes a line. Invalid UTF-8 becomes U+FFFD, NUL becomes U+2400, so that every line is text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framer {
    line: Vec<u8>,
    /// Whether a piece of this line has been returned.
    continued: bool,
    /// Whether a carriage return came last, so that the next byte restarts the line.
    returned: bool,
}

/// Whether this continues the line of the frame before, and its text.
type Frame = (bool, String);

impl Framer {
    /// Takes bytes and returns the complete lines, or pieces of a long line.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, end) = match part.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (part, None),
            };
            self.add(text, &mut frames);
            match end {
                Some(b'\n') => frames.push(self.end_line()),
                Some(_) => self.returned = true,
                None => {}
            }
        }
        frames
    }

    /// Returns the last line if it has no line end.
    pub(crate) fn finish(&mut self) -> Option<Frame> {
        (!self.line.is_empty()).then(|| self.end_line())
    }

    fn add(&mut self, mut text: &[u8], frames: &mut Vec<Frame>) {
        if text.is_empty() {
            return;
        }
        if self.returned {
            self.line.clear();
            self.returned = false;
        }
        while self.line.len() + text.len() > PIECE_MAX {
            let (head, tail) = text.split_at(PIECE_MAX - self.line.len());
            self.line.extend_from_slice(head);
            let rest = self.line.split_off(char_boundary(&self.line));
            frames.push((self.continued, decode(&self.line)));
            self.line = rest;
            self.continued = true;
            text = tail;
        }
        self.line.extend_from_slice(text);
    }

    fn end_line(&mut self) -> Frame {
        let frame = (self.continued, decode(&self.line));
        *self = Self::default();
        frame
    }
}

fn decode(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{2400}")
}

/// Returns the length of `bytes` without an incomplete character at the end.
fn char_boundary(bytes: &[u8]) -> usize {
    let is_continuation = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let tail = bytes.iter().rev().take(3).take_while(|byte| is_continuation(byte)).count();
    let start = bytes.len().saturating_sub(tail + 1);
    match bytes.get(start) {
        // A leading byte that announces more bytes than have come.
        Some(lead) if lead.leading_ones() as usize > tail + 1 => start,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(chunks: &[&[u8]]) -> Vec<Frame> {
        let mut framer = Framer::default();
        let mut all: Vec<Frame> = chunks.iter().flat_map(|chunk| framer.take(chunk)).collect();
        all.extend(framer.finish());
        all
    }

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        framed(chunks).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn lines_do_not_depend_on_chunks() {
        assert_eq!(texts(&[b"a\nb\n\nc"]), ["a", "b", "", "c"]);
        assert_eq!(texts(&[b"a", b"b", b"\n", b"c\n"]), ["ab", "c"]);
        assert_eq!(texts(&[b"dos\r\nline\r", b"\n"]), ["dos", "line"]);
    }

    #[test]
    fn a_progress_bar_becomes_its_last_frame() {
        assert_eq!(texts(&[b" 1%\r 50%\r100%\ndone\n"]), ["100%", "done"]);
        assert_eq!(texts(&[b" 1%\r", b" 50%\r"]), [" 50%"]);
        assert_eq!(texts(&[b"\r\r\rx\r\r\n"]), ["x"]);
    }

    #[test]
    fn every_line_is_text() {
        assert_eq!(texts(&[b"a\0b\xffc\n"]), ["a\u{2400}b\u{fffd}c"]);
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_split_no_character() {
        let long = "é".repeat(PIECE_MAX);
        // One byte first, so that the border falls into a character.
        let frames = framed(&[b"x", long.as_bytes(), b"\nnext\n"]);
        let lengths: Vec<(bool, usize)> =
            frames.iter().map(|(continued, text)| (*continued, text.len())).collect();
        let full = PIECE_MAX - 1;
        assert_eq!(lengths, [(false, full), (true, PIECE_MAX), (true, 2), (false, 4)]);
        let whole: String = frames[..3].iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(whole, format!("x{long}"));
    }

    #[test]
    fn memory_stays_bounded_without_line_ends() {
        let mut framer = Framer::default();
        for _ in 0..100 {
            framer.take(&vec![0xff; 50_000]);
            assert!(framer.line.len() <= PIECE_MAX);
            framer.take(b"frame\r");
        }
    }

    proptest! {
        #[test]
        fn chunks_do_not_change_the_frames(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..400),
            cuts in proptest::collection::vec(0usize..400, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(framed(&chunks), framed(&[&bytes]));
        }
    }
}
