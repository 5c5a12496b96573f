//! Prints the queue of this machine's coordinator, and again after every change.

use std::path::Path;

use bij_api::{Client, ClientError};
use bij_core::request::QueueQuery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let client = Client::connect(Path::new("/run/brain-in-jar/coordinator.sock")).await?;
    // Subscribe before the queue is read, so that no change is missed.
    let mut changes = client.changes().await?;
    loop {
        for entry in client.queue(&QueueQuery::default()).await? {
            let reasons: Vec<&str> = entry.waiting_on.iter().map(|gate| &*gate.text).collect();
            print(&format!("{} {}: {}", entry.id(), entry.state.as_str(), reasons.join("; ")));
        }
        if changes.next().await.is_none() {
            return Ok(());
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is a program")]
fn print(line: &str) {
    println!("{line}");
}
