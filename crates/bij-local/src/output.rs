//! What an attempt prints, as lines.

mod framer;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

pub(crate) use framer::Framer;

use crate::event::CancellationFlag;
use crate::log_line::Stream;

/// How much is read at once.
const READ_SIZE: usize = 64 * 1024;

/// How long an empty pipe is waited for whose writers are gone, as far as the supervisor knows.
const SILENCE: Duration = Duration::from_secs(2);

/// How often it is waited for: a writer that has left the group may print now and then for ever.
const WAITS: u32 = 8;

/// The most that pipes hold where the system's `pipe-max-size` is the kernel's own (pipe(7)).
const PIPE_MAX: usize = 1 << 20;

/// A line, or a piece of one that is too long for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) stream: Stream,
    /// Whether it carries on the piece before it.
    pub(crate) continued: bool,
    pub(crate) text: String,
}

/// Reads a pipe to its end and hands over each line; a pipe that fails has ended.
///
/// Once the attempt is over, what its group has written is in the pipe and is read, however long that
/// takes. A process outside of the group can hold the pipe open; what it prints from then on is not waited
/// for.
pub(crate) async fn read_lines<R, F, W>(
    mut pipe: R,
    stream: Stream,
    over: CancellationFlag,
    mut hand_over: F,
) where
    R: AsyncRead + Unpin,
    F: FnMut(Piece) -> W,
    W: Future<Output = ()>,
{
    let mut framer = Framer::default();
    let mut buffer = vec![0; READ_SIZE];
    let mut rest = Rest { waits: WAITS, bytes: PIPE_MAX };
    let mut is_over = false;
    // Asked for once, not with each read.
    let mut raised = std::pin::pin!(over.raised());
    loop {
        let read = if is_over {
            rest.read(&mut pipe, &mut buffer).await
        } else {
            // Cancel-safe: a read that is given up has taken nothing.
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
            hand_over(Piece { stream, continued, text }).await;
        }
    }
    if let Some((continued, text)) = framer.finish() {
        hand_over(Piece { stream, continued, text }).await;
    }
}

/// What is still read after the attempt is over.
struct Rest {
    waits: u32,
    bytes: usize,
}

impl Rest {
    /// Reads on; 0 when everything that the attempt wrote has been read.
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
        let read = timeout(SILENCE, read).await.unwrap_or(Ok(0));
        self.waits -= u32::from(has_waited);
        self.bytes = self.bytes.saturating_sub(*read.as_ref().unwrap_or(&0));
        read
    }
}
