//! The socket of a client, with limits of message length and writing time.

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

use super::clients::ConnectionSlot;
use framing::Framing;

/// Time for a client to read a whole message.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The socket to one client.
#[derive(Debug)]
pub(super) struct ClientSocket {
    pub(super) stream: UnixStream,
    /// The user at the other end, as identified by the kernel.
    pub(super) uid: u32,
    /// Length of the longest message that is accepted.
    pub(super) at_most: usize,
    pub(super) slot: Arc<ConnectionSlot>,
}

#[derive(Debug)]
pub(super) struct ClientReader {
    stream: OwnedReadHalf,
    uid: u32,
    framing: Framing,
    slot: Arc<ConnectionSlot>,
}

#[derive(Debug)]
pub(super) struct ClientWriter {
    stream: OwnedWriteHalf,
    uid: u32,
    slot: Arc<ConnectionSlot>,
    /// Deadline of the message that is being written.
    due: Option<Instant>,
}

impl Socket for ClientSocket {
    type ReadHalf = ClientReader;
    type WriteHalf = ClientWriter;

    fn split(self) -> Split<ClientReader, ClientWriter> {
        let Self { stream, uid, at_most, slot } = self;
        let (read, write) = stream.into_split();
        let writer = ClientWriter { stream: write, uid, slot: Arc::clone(&slot), due: None };
        let reader = ClientReader { stream: read, uid, framing: Framing::new(at_most), slot };
        Split::new(reader, writer)
    }
}

fn credentials(uid: u32) -> ConnectionCredentials {
    ConnectionCredentials::default().set_unix_user_id(uid)
}

#[async_trait]
impl ReadHalf for ClientReader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let count = self.stream.read(buffer).await?;
        let fed = self.framing.feed(&buffer[..count]);
        fed.map_err(|misframed| io::Error::new(io::ErrorKind::InvalidData, misframed))?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.slot.received();
        Ok((count, Vec::new()))
    }

    async fn peer_credentials(&mut self) -> io::Result<ConnectionCredentials> {
        Ok(credentials(self.uid))
    }
}

#[async_trait]
impl WriteHalf for ClientWriter {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        // Called repeatedly with the rest of one message, until it is written.
        let due = *self.due.get_or_insert_with(|| Instant::now() + WRITE_TIMEOUT);
        let written = tokio::time::timeout_at(due, self.stream.write(buffer)).await;
        let written = written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if written == buffer.len() {
            self.due = None;
            self.slot.written();
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
