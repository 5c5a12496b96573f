//! What an attempt prints, as lines.

mod framer;

use tokio::io::{AsyncRead, AsyncReadExt as _};

pub(crate) use framer::Framer;

use crate::log_line::Stream;

/// How much is read at once.
const READ_SIZE: usize = 64 * 1024;

/// A line, or a piece of one that is too long for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) stream: Stream,
    /// Whether it carries on the piece before it.
    pub(crate) continued: bool,
    pub(crate) text: String,
}

/// Reads a pipe to its end and hands over each line; a pipe that fails has ended.
pub(crate) async fn read_lines<R, F, W>(mut pipe: R, stream: Stream, mut hand_over: F)
where
    R: AsyncRead + Unpin,
    F: FnMut(Piece) -> W,
    W: Future<Output = ()>,
{
    let mut framer = Framer::default();
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let lines = match pipe.read(&mut buffer).await {
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
