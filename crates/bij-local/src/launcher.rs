//! The thread that starts processes.
//!
//! `PR_SET_PDEATHSIG` acts when the *thread* that started a process ends, not its program
//! (prctl(2)). A runtime may end its threads whenever it likes, so processes are started by a
//! thread of our own that lives exactly as long as the supervisor.

use std::io;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Launch {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Starts processes from one thread.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    orders: mpsc::Sender<Launch>,
}

impl Launcher {
    /// Starts the thread; it ends with the last clone of this.
    pub(crate) fn start() -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Launch>();
        thread::Builder::new().name("bij-launcher".to_owned()).spawn(move || {
            for Launch { command, runtime, reply } in inbox {
                let _entered = runtime.enter();
                // Whoever asked may have gone; dropping the child then kills it.
                let _ = reply.send(spawn(command));
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a process. Only cancel this if it does not matter that the process is killed.
    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the launcher's thread has ended");
        let launch = Launch { command, runtime: Handle::current(), reply };
        self.orders.send(launch).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn spawn(command: Command) -> io::Result<Child> {
    tokio::process::Command::from(command).kill_on_drop(true).spawn()
}
