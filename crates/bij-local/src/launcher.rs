//! The thread that starts processes.
//!
//! `PR_SET_PDEATHSIG` acts when the *thread* that started a process ends, not its program
//! (prctl(2)). A runtime may end its threads at any time, so processes are started by a thread that
//! lives exactly as long as the supervisor.

use std::io;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct LaunchRequest {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Starts processes from one thread.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    requests: mpsc::Sender<LaunchRequest>,
}

impl Launcher {
    /// Starts the thread, which ends when the last clone is dropped.
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<LaunchRequest>();
        thread::Builder::new().name("bij-launcher".to_owned()).spawn(move || {
            for LaunchRequest { command, runtime, reply } in inbox {
                let _entered = runtime.enter();
                // If the caller was cancelled, dropping the child kills it.
                let _ = reply.send(spawn(command));
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts a process. Cancelling this kills the process.
    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the launcher's thread has ended");
        let launch = LaunchRequest { command, runtime: Handle::current(), reply };
        self.requests.send(launch).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn spawn(command: Command) -> io::Result<Child> {
    tokio::process::Command::from(command).kill_on_drop(true).spawn()
}
