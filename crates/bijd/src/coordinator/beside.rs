//! A thread with a runtime of its own, for what must not wait for others.

use std::convert::Infallible;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::oneshot;

/// Runs something on a thread of its own until this is dropped.
pub(super) struct Beside {
    /// Dropped, it tells the thread to end.
    end: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    /// Begins, in the thread's runtime, and returns when that has been done. `serve` is given what
    /// `begin` has returned, and is dropped at the end; then `leave` is called with it.
    ///
    /// # Errors
    /// What `begin` says, or that there can be no thread.
    pub(super) fn spawn<T: Send + 'static>(
        name: &str,
        begin: impl FnOnce() -> Result<T> + Send + 'static,
        serve: impl AsyncFnOnce(&T) + Send + 'static,
        leave: impl FnOnce(T) + Send + 'static,
    ) -> Result<Self> {
        let runtime = super::run::runtime()?;
        let (end, ended) = oneshot::channel();
        let (first_word, heard) = mpsc::channel();
        let run = move || {
            runtime.block_on(async move {
                let it = match begin() {
                    Ok(it) => it,
                    Err(error) => return drop(first_word.send(Err(error))),
                };
                // It is waited for below.
                drop(first_word.send(Ok(())));
                tokio::select! {
                    () = serve(&it) => {}
                    // Dropped, not sent.
                    _ = ended => {}
                }
                leave(it);
            });
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.context("no thread can be made")?;
        let this = Self { end: Some(end), thread: Some(thread) };
        heard.recv().unwrap_or_else(|_| Err(anyhow!("the thread {name} has panicked")))?;
        Ok(this)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.end.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("a thread has panicked");
        }
    }
}
