//! The calls of a client, with their types on the wire.

use bij_core::queue::Event;
use bij_core::request::{GroupStatus, QueueEntry, RunOutcome, Submit};

use crate::dictionary::{Dictionary, ReceivedList, SentList};

#[zbus::proxy(
    interface = "org.braininjar.Coordinator1",
    default_service = "org.braininjar.Coordinator1",
    default_path = "/org/braininjar/Coordinator1"
)]
pub(crate) trait Coordinator {
    fn submit(
        &self,
        runs: SentList<&[Submit]>,
        options: Dictionary,
    ) -> zbus::Result<ReceivedList<QueueEntry>>;
    fn edit(&self, run: &str, edit: Dictionary) -> zbus::Result<Dictionary>;
    fn act(&self, act: Dictionary, runs: &[String]) -> zbus::Result<ReceivedList<RunOutcome>>;
    fn pause(&self, request: Dictionary) -> zbus::Result<bool>;
    fn set_group(&self, group: Dictionary) -> zbus::Result<bool>;
    fn remove_group(&self, name: &str) -> zbus::Result<bool>;
    fn set_power_mode(&self, setting: Dictionary) -> zbus::Result<Dictionary>;
    fn admit(&self, experiment: &str, request: Dictionary) -> zbus::Result<Dictionary>;
    fn steer_unit(&self, experiment: &str, request: Dictionary) -> zbus::Result<Dictionary>;
    fn reload(&self) -> zbus::Result<()>;
    fn queue_text(&self, query: Dictionary) -> zbus::Result<(String, u32, u32, u64)>;
    fn why(&self, run: &str) -> zbus::Result<Dictionary>;
    fn groups(&self) -> zbus::Result<ReceivedList<GroupStatus>>;
    fn events(&self, query: Dictionary) -> zbus::Result<ReceivedList<Event>>;
    fn board_text(&self, query: Dictionary) -> zbus::Result<String>;
    fn attempts_text(&self, query: Dictionary) -> zbus::Result<String>;
    fn tallies_text(&self, query: Dictionary) -> zbus::Result<String>;
    fn minutes_text(&self, query: Dictionary) -> zbus::Result<(String, i64)>;
    fn status(&self) -> zbus::Result<Dictionary>;

    #[zbus(signal)]
    fn changed(&self, seq: u64) -> zbus::Result<()>;
}
