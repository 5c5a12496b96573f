//! A client's socket, held to what a client may say and to how long it may keep others' bytes.

mod framing;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;
use zbus::fdo::ConnectionCredentials;

use super::clients::Seat;
use framing::Framing;

/// A client that has not taken a whole message within this time is not waited for.
const TAKES_WITHIN: Duration = Duration::from_secs(30);

/// The socket to one client.
#[derive(Debug)]
pub(super) struct ClientSocket {
    pub(super) stream: UnixStream,
    /// Who is at the other end, by the kernel.
    pub(super) uid: u32,
    /// The longest message that is taken.
    pub(super) at_most: usize,
    /// Its seat.
    pub(super) seat: Arc<Seat>,
}

#[derive(Debug)]
pub(super) struct Reader {
    stream: OwnedReadHalf,
    uid: u32,
    framing: Framing,
    seat: Arc<Seat>,
}

#[derive(Debug)]
pub(super) struct Writer {
    stream: OwnedWriteHalf,
    uid: u32,
    seat: Arc<Seat>,
    /// When the message that is being written has to be taken.
    due: Option<Instant>,
}

impl Socket for ClientSocket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let Self { stream, uid, at_most, seat } = self;
        let (read, write) = stream.into_split();
        let writer = Writer { stream: write, uid, seat: Arc::clone(&seat), due: None };
        let reader = Reader { stream: read, uid, framing: Framing::new(at_most), seat };
        Split::new(reader, writer)
    }
}

fn credentials(uid: u32) -> ConnectionCredentials {
    ConnectionCredentials::default().set_unix_user_id(uid)
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let count = self.stream.read(buffer).await?;
        let heard = self.framing.hear(&buffer[..count]);
        heard.map_err(|misframed| io::Error::new(io::ErrorKind::InvalidData, misframed))?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.seat.heard();
        Ok((count, Vec::new()))
    }

    async fn peer_credentials(&mut self) -> io::Result<ConnectionCredentials> {
        Ok(credentials(self.uid))
    }
}

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        // Called with what is left of one message, until nothing is.
        let due = *self.due.get_or_insert_with(|| Instant::now() + TAKES_WITHIN);
        let written = tokio::time::timeout_at(due, self.stream.write(buffer)).await;
        let written = written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if written == buffer.len() {
            self.due = None;
            self.seat.answered();
        }
        Ok(written)
    }

    async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    async fn peer_credentials(&mut self) -> io::Result<ConnectionCredentials> {
        Ok(credentials(self.uid))
    }
}
