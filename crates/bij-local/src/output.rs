//! Reads the output of an attempt as lines.

mod framer;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

pub(crate) use framer::Framer;

use crate::event::CancellationFlag;
use crate::log_line::Stream;

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
    pub(crate) stream: Stream,
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
    stream: Stream,
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
