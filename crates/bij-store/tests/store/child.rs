//! Further processes: this test binary started again, with an order.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use bij_core::port::{AttemptQuery, Ledger, RunQueue};
use bij_sim::contract::ledger_fixture::{self as fixture, end, restart};
use bij_sim::contract::run_queue_fixture as queue;
use bij_store::{Reader, RobustLedger, Store};

use crate::faults;
use crate::lock::Lock;

const ORDER: &str = "BIJ_STORE_TEST_ORDER";
const NOBODY: u32 = 65534;

/// What a further process is to do.
pub(crate) enum Order<'a> {
    /// Read all attempts, and say how many there are.
    Read,
    /// Keep the database locked for so many milliseconds.
    Hold(u64),
    /// Live on a disk that fills up and is given room again; must be the only one on it.
    FillUp,
    /// Lead so many lives of an experiment, whose first one has this number; every life ends in a
    /// crash. Says `opened N` and `closed N` as soon as the ledger has said so.
    Live { name: &'a str, first: u32, lives: u32 },
    /// Submit runs of an experiment, one and three in turn, until killed. Says `submitted N` of each
    /// run as soon as the queue has said so.
    Submit { name: &'a str },
}

/// A further process; it is ended with this value.
pub(crate) struct Further {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Further {
    /// Starts one on the database `state.db` and the spool `spool` of a directory.
    pub(crate) fn start(directory: &Path, order: &Order<'_>) -> Self {
        Self::start_within(&[], directory, order)
    }

    /// As [`Further::start`], started by another command, which is given it as its last arguments.
    pub(crate) fn start_within(outer: &[&str], directory: &Path, order: &Order<'_>) -> Self {
        Self::spawn(command(outer, &env::current_exe().unwrap(), directory, order))
    }

    /// As [`Further::start`], as somebody who may write nothing in that directory.
    pub(crate) fn start_as_somebody_else(directory: &Path, order: &Order<'_>) -> Self {
        // They might not be let in where this one lies.
        let binary = directory.join("tests");
        std::fs::copy(env::current_exe().unwrap(), &binary).unwrap();
        let mut command = command(&[], &binary, directory, order);
        if nobody_can_be_had() {
            command.uid(NOBODY).gid(NOBODY);
        }
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// The next thing it says, without what the test harness says around it.
    pub(crate) fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once("child: ") {
                return line.ends_with('\n').then(|| said.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }

    /// Kills it with SIGKILL, and gives what it had said and nobody heard yet.
    pub(crate) fn kill(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Waits for its end, and gives all it says until then.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        let said = std::iter::from_fn(|| self.next()).collect();
        assert!(self.child.wait().unwrap().success());
        said
    }
}

impl Drop for Further {
    fn drop(&mut self) {
        // It has ended already where all went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether this process may start others as nobody; where it may not, it is not root itself.
pub(crate) fn nobody_can_be_had() -> bool {
    Command::new("true").uid(NOBODY).gid(NOBODY).status().is_ok_and(|status| status.success())
}

fn command(outer: &[&str], binary: &Path, directory: &Path, order: &Order<'_>) -> Command {
    let order = match order {
        Order::Read => "read".to_owned(),
        Order::Hold(millis) => format!("hold {millis}"),
        Order::FillUp => "fill-up".to_owned(),
        Order::Live { name, first, lives } => format!("live {name} {first} {lives}"),
        Order::Submit { name } => format!("submit {name}"),
    };
    let test = ["--exact", "child::further_process", "--nocapture", "--test-threads=1"];
    let mut words = outer.iter().map(AsRef::as_ref).chain([binary.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(test).env(ORDER, order).current_dir(directory);
    command
}

/// Does what it is ordered; nothing when it runs as one of the tests.
#[test]
fn further_process() {
    let Ok(order) = env::var(ORDER) else { return };
    let words: Vec<&str> = order.split(' ').collect();
    let database = Path::new("state.db");
    match words[..] {
        ["read"] => {
            let attempts = Reader::new(database.into()).attempts(&AttemptQuery::default());
            let tallies = Reader::new(database.into()).tallies();
            say(&match (attempts, tallies) {
                (Ok(attempts), Ok(tallies)) => format!("{} of {}", attempts.len(), tallies.len()),
                (attempts, tallies) => format!("{attempts:?} {tallies:?}"),
            });
        }
        ["hold", millis] => {
            let lock = Lock::hold(database);
            say("held");
            thread::sleep(Duration::from_millis(millis.parse().unwrap()));
            lock.release();
        }
        ["fill-up"] => faults::live_on_a_disk_that_fills_up(),
        ["live", name, first, lives] => live(name, first.parse().unwrap(), lives.parse().unwrap()),
        ["submit", name] => submit(name),
        _ => panic!("no such order: {order}"),
    }
}

fn live(name: &str, first: u32, lives: u32) {
    let mut ledger = RobustLedger::new("state.db".into(), "spool".into());
    for number in first..first + lives {
        let opening = restart(name, 1, number);
        ledger.open(&opening).unwrap();
        say(&format!("opened {number}"));
        ledger.close(&end(&opening, fixture::segfault())).unwrap();
        say(&format!("closed {number}"));
    }
}

fn submit(name: &str) {
    let mut store = Store::open(Path::new("state.db")).unwrap();
    for runs in [1, 3].into_iter().cycle() {
        let taken = store.submit(&vec![queue::submission(name); runs], fixture::at(0)).unwrap();
        for queued in taken {
            say(&format!("submitted {}", queued.run.number));
        }
    }
}

/// Says something to who started this process.
pub(crate) fn say(text: &str) {
    // Past the harness, which would keep it back.
    let mut out = std::io::stdout().lock();
    writeln!(out, "child: {text}").unwrap();
    out.flush().unwrap();
}
