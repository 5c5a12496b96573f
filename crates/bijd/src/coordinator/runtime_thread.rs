//! A thread with its own runtime, for tasks that must not wait for others.

use std::convert::Infallible;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::oneshot;

/// A task on its own thread, which ends when this is dropped.
pub(super) struct RuntimeThread {
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
    pub(super) fn spawn<T: Send + 'static>(
        name: &str,
        begin: impl FnOnce() -> Result<T> + Send + 'static,
        serve: impl AsyncFnOnce(&T) + Send + 'static,
        leave: impl FnOnce(T) + Send + 'static,
    ) -> Result<Self> {
        let runtime = super::run::runtime()?;
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
