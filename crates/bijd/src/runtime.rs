//! Runtimes and their threads, among them a runtime that no sender of messages can block.
//!
//! A process that may send to a Unix socket may also pass descriptors (unix(7), `SCM_RIGHTS`), and the receiver may have
//! to close the last copy. Closing a TCP socket with `SO_LINGER` (socket(7)) takes as long as its sender has chosen,
//! possibly hours. A signal interrupts it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::libc;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Time without a pause after which a runtime's thread gets a signal, again and again. One signal ends the closing of
/// all descriptors of one message.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(20);

/// A signal that is ignored by default and not used otherwise.
const SIGNAL: Signal = Signal::SIGURG;

thread_local! {
    /// The timer that sends the signal to this thread.
    static TIMER: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

/// Returns a runtime on the calling thread, for receiving messages from sockets that other processes can send to.
///
/// System calls of that thread may be interrupted; the kernel restarts them if it can (`SA_RESTART`).
///
/// # Errors
/// If the kernel provides no descriptors or no timer.
pub(crate) fn interrupted_runtime() -> io::Result<Runtime> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(|| set_timer(SIGNAL_INTERVAL))
        .on_thread_park(|| set_timer(Duration::ZERO))
        .build()?;
    {
        let _context = runtime.enter();
        // The handler stays when this is dropped; without one the kernel does not deliver the signal.
        drop(signal(SignalKind::from_raw(SIGNAL as libc::c_int))?);
    }
    let to_this_thread =
        SigevNotify::SigevThreadId { signal: SIGNAL, thread_id: gettid().as_raw(), si_value: 0 };
    let timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(to_this_thread))?;
    TIMER.with_borrow_mut(|slot| *slot = Some(timer));
    set_timer(SIGNAL_INTERVAL);
    Ok(runtime)
}

/// Returns a runtime on the calling thread.
///
/// # Errors
/// If the kernel provides no descriptors.
pub(crate) fn plain_runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot build a runtime")
}

/// Sets this thread's timer; zero stops it.
fn set_timer(every: Duration) {
    TIMER.with_borrow_mut(|timer| {
        let Some(timer) = timer else { return };
        let expiration = Expiration::IntervalDelayed(every.into(), every.into());
        // Cannot fail: the timer exists, and the time is valid.
        let _ = timer.set(expiration, TimerSetTimeFlags::empty());
    });
}

/// A task on its own thread, which ends when this is dropped.
pub(crate) struct RuntimeThread {
    /// Ends the thread when it is dropped.
    end: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl RuntimeThread {
    /// Spawns the thread, and returns when `begin` has run in its runtime. `serve` then runs with the value of `begin`
    /// until the end, when it is dropped and `leave` is called with that value.
    ///
    /// # Errors
    /// The error of `begin`, or if no thread can be spawned.
    pub(crate) fn spawn<T: Send + 'static>(
        name: &str,
        begin: impl FnOnce() -> Result<T> + Send + 'static,
        serve: impl AsyncFnOnce(&T) + Send + 'static,
        leave: impl FnOnce(T) + Send + 'static,
    ) -> Result<Self> {
        let runtime = plain_runtime()?;
        let (end, ended) = oneshot::channel();
        let (send_result, result) = mpsc::channel();
        let run = move || {
            runtime.block_on(async move {
                let value = match begin() {
                    Ok(value) => value,
                    Err(error) => return drop(send_result.send(Err(error))),
                };
                // The spawning thread receives it below.
                drop(send_result.send(Ok(())));
                tokio::select! {
                    () = serve(&value) => {}
                    // The sender never sends, and was dropped.
                    _ = ended => {}
                }
                leave(value);
            });
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.context("cannot spawn a thread")?;
        let this = Self { end: Some(end), thread: Some(thread) };
        result.recv().unwrap_or_else(|_| Err(anyhow!("the thread {name} has panicked")))?;
        Ok(this)
    }
}

impl Drop for RuntimeThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("a thread has panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg, setsockopt, sockopt};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Longer than a test may take.
    const LINGER: i32 = 3600;

    /// Returns a connection that takes an hour to close, and its other end, which receives nothing.
    fn lingering() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.write(&[0; 4096]).is_ok() {}
        socket.set_nonblocking(false).unwrap();
        let linger = libc::linger { l_onoff: 1, l_linger: LINGER };
        setsockopt(&socket, sockopt::Linger, &linger).unwrap();
        (socket, other)
    }

    fn send(to: &UnixStream, passed: &[TcpStream]) {
        let descriptors: Vec<_> = passed.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&descriptors)];
        let parts = [IoSlice::new(b"hello")];
        sendmsg::<()>(to.as_raw_fd(), &parts, &control, MsgFlags::empty(), None).unwrap();
    }

    #[test]
    fn descriptors_that_are_slow_to_close_do_not_block_the_runtime() {
        let (client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        // One message is read, the other is dropped with its connection.
        let mut others = Vec::new();
        for _ in 0..2 {
            let (passed, their_ends): (Vec<_>, Vec<_>) = (0..20).map(|_| lingering()).unzip();
            send(&client, &passed);
            others.push(their_ends);
        }
        let started = Instant::now();
        interrupted_runtime().unwrap().block_on(async {
            let mut server = tokio::net::UnixStream::from_std(server).unwrap();
            let mut buffer = [0; 5];
            server.read_exact(&mut buffer).await.unwrap();
            tokio::task::yield_now().await;
            drop(server);
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        drop(others);
    }
}
