//! The interface on the wire. Its comments are the documentation in its introspection data.

#![expect(clippy::doc_markdown, reason = "introspection data is read as plain text")]

use std::sync::Arc;

use bij_core::queue::RunRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

use super::handler::Steer;
use super::who::Who;
use crate::dictionary::{Dictionary, List, Taken};
use crate::message::{
    Act, AdmissionRequest, AttemptsQuery, BoardQuery, Changed, Edit, Entry, Event, EventQuery,
    GroupInfo, GroupSetting, Minutes, MinutesQuery, Page, Pausing, PowerSetting, QueueQuery,
    Submit, SubmitOptions, TalliesQuery, UnitRequest, Why,
};
use crate::queue_text::QueueText;
use crate::{Refusal, RefusalKind, limits};

/// Where the interface is.
pub(super) const PATH: &str = "/org/braininjar/Coordinator1";

/// One object that serves one connection.
pub(super) struct Interface<H> {
    pub(super) handler: Arc<H>,
    pub(super) who: Who,
}

// Calls of one connection are answered one after another: a client that sends without reading
// fills its own socket and nothing else.
#[zbus::interface(name = "org.braininjar.Coordinator1", spawn = false)]
impl<H: Steer> Interface<H> {
    /// Takes runs into the queue, all or none; they are on the disk before the answer.
    ///
    /// Keys of a run: experiment (s), and as far as they are to differ from the definition:
    /// extras (s, TOML laid over the definition in this run only), priority (x), group (s),
    /// after (a{sv}: "all" or "any", a list of "calibrate", "calibrate#3" or "end:calibrate"),
    /// not_before (s, RFC 3339) or delay (x, microseconds from now), hold (b), now (b, passes the gates). Keys of the options:
    /// dry_run (b). Answers with the runs as Queue does. For root and members of group bij.
    #[zbus(out_args("queued"))]
    async fn submit(
        &self,
        runs: Taken<Submit, { limits::RUNS_AT_ONCE }>,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<List<Vec<Entry>>, Refusal> {
        let caller = self.who.allowed(&header, "submit runs").await?;
        if runs.count() > limits::RUNS_AT_ONCE {
            return Err(limits::too_many(runs.count()));
        }
        let runs = runs.read().map_err(|error| invalid(&error))?;
        limits::check(&runs)?;
        let options: SubmitOptions = request(options)?;
        let taken = self.handler.submit(&caller, runs, options).await?;
        Ok(List(taken))
    }

    /// Changes a run that waits or is held, named "ID#NUMBER" or, for the newest run, "ID".
    ///
    /// Keys: priority (x), group (s), after (a{sv}), not_before (s) or delay (x), any_time (b, takes not_before
    /// away), now (b). What is absent stays. Answers with the run. For root and members of group
    /// bij.
    #[zbus(out_args("queued"))]
    async fn edit(
        &self,
        run: String,
        edit: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.who.allowed(&header, "edit runs").await?;
        let (run, edit): (_, Edit) = (name(&run)?, request(edit)?);
        let edited = self.handler.edit(&caller, run, edit).await?;
        Ok(Dictionary::of(&edited))
    }

    /// Does something to runs, to all of them or to none.
    ///
    /// The key act (s) says what: hold, release, cancel, requeue, stop, prioritize with priority
    /// (x), move with to ("first", "last", or a{sv} with "before" or "behind" and a run). Answers
    /// for each run with run (s) and changed (b). For root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn act(
        &self,
        act: Dictionary,
        runs: Vec<String>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<List<Vec<Changed>>, Refusal> {
        let caller = self.who.allowed(&header, "change runs").await?;
        let act: Act = request(act)?;
        let runs = runs.iter().map(|run| name(run)).collect::<Result<Vec<_>, Refusal>>()?;
        Ok(List(self.handler.act(&caller, act, runs).await?))
    }

    /// Pauses (paused, b) or resumes admission, of one group (group, s) or of all. What runs is left
    /// alone. Tells whether that changed anything. For root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn pause(
        &self,
        pausing: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<bool, Refusal> {
        let caller = self.who.allowed(&header, "pause or resume admission").await?;
        let pausing: Pausing = request(pausing)?;
        self.handler.pause(&caller, pausing).await
    }

    /// Sets up a group: name (s) and slots (x; absent is as many as [groups.NAME] slots of the settings
    /// says, else as many as the machine lets). A number given here is stronger than that of the
    /// settings. Tells whether that changed anything. For root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn set_group(
        &self,
        group: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<bool, Refusal> {
        let caller = self.who.allowed(&header, "change groups").await?;
        let group: GroupSetting = request(group)?;
        self.handler.set_group(&caller, group).await
    }

    /// Forgets a group; its runs are then held to no slots of their own. Tells whether there was
    /// one. For root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn remove_group(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<bool, Refusal> {
        let caller = self.who.allowed(&header, "change groups").await?;
        let name = name.parse().map_err(|error| invalid(&error))?;
        self.handler.remove_group(&caller, name).await
    }

    /// Has the board switched to a power mode, for everything that runs. Refused while a run that is up
    /// wants another one.
    ///
    /// Keys of the setting: mode (s, its name or number), allow_reboot_later (b: a mode that needs a
    /// reboot comes with the next boot; nothing is rebooted). Keys of the answer: id (x), name (s),
    /// at_next_boot (b), changed (b). It is answered when that is done, after a second or so. For root
    /// and members of group bij.
    #[zbus(out_args("set"))]
    async fn set_power_mode(
        &self,
        setting: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.who.allowed(&header, "switch the board").await?;
        let setting: PowerSetting = request(setting)?;
        Ok(Dictionary::of(&self.handler.set_power_mode(&caller, setting).await?))
    }

    /// Asks whether the unit of an experiment may start now: what its ExecCondition= asks.
    ///
    /// Keys of the request: at_boot (b), until (x, microseconds since the boot, after which the question
    /// is void), invocation (s: the unit's invocation id). Keys of the answer: admitted (b), run (x), text (s), waiting_on (av), unrecorded (b: it is not
    /// in the queue either, and the caller has to keep the start). A run that may not
    /// start is queued. For root, who runs the hooks; of a user's own coordinator for that user.
    #[zbus(out_args("admission"))]
    async fn admit(
        &self,
        experiment: String,
        admission: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.who.allowed(&header, "ask for admission").await?;
        caller.must_be_operator("ask for admission")?;
        let experiment = experiment.parse().map_err(|error| invalid(&error))?;
        let admission: AdmissionRequest = request(admission)?;
        Ok(Dictionary::of(&self.handler.admit(&caller, experiment, admission).await?))
    }

    /// Starts, stops, restarts or resets the unit of an experiment, which systemd lets only root do. It
    /// is answered when the job is done, which takes as long as the unit takes; so it is answered on
    /// the socket only, where no other caller waits for it.
    ///
    /// Keys of the request: verb (s: start, stop, restart, reset-failed). Keys of the answer: effect
    /// (s: changed, unchanged, skipped, failed), result (s: of a job that failed, in systemd's words).
    /// For root and members of group bij.
    #[zbus(out_args("done"))]
    async fn steer_unit(
        &self,
        experiment: String,
        request: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.who.allowed(&header, "start or stop experiments").await?;
        self.who.must_be_alone("start or stop experiments")?;
        let experiment = experiment.parse().map_err(|error| invalid(&error))?;
        let UnitRequest { verb } = self::request(request)?;
        Ok(Dictionary::of(&self.handler.steer_unit(&caller, experiment, verb).await?))
    }

    /// Reads the settings anew. If they are wrong the old ones stay in force, and the error says
    /// what is wrong where. For root and members of group bij.
    async fn reload(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Refusal> {
        let caller = self.who.allowed(&header, "reload the settings").await?;
        self.handler.reload(&caller).await
    }

    /// The runs that are not over, in starting order, those that are up first; at most 1000 at once.
    ///
    /// Keys of the query: experiment (s), group (s), state (s), skip (x, so many at the front are
    /// left out). Keys of a run: run (x), experiment (s), state (s: waiting, held, starting,
    /// running), priority (x), group (s), submitted (s), by (s), origin (s), place (x), memory (x,
    /// bytes), gpu (s), not_before (s), after (a{sv}), now (b), bypassed (x), extras (s), health
    /// (s), health_reason (s), stop_requested_by (s), waiting_on (av of a{sv}: gate, need, have,
    /// since, text). Then how many there are in all, and the number of the event after which it was
    /// so. For everybody.
    #[zbus(out_args("runs", "total", "seq"))]
    async fn queue(&self, query: Dictionary) -> Result<(List<Vec<Entry>>, u32, u64), Refusal> {
        let query: QueueQuery = request(query)?;
        self.who.large_answer().await;
        let page = self.handler.queue(query).await?;
        Ok((List(page.items), page.total, page.seq))
    }

    /// As Queue, with the runs as one text: many times cheaper for both sides where thousands are
    /// listed. The text is a JSON object. Its key gates is an array of gates as in waiting_on, each
    /// without since; its key runs is the array that "bij --json queue" prints, but for waiting_on: of
    /// each closed gate a pair, its position in gates and since in microseconds since 1970. Then
    /// how many runs are in this text, and the rest as in Queue. For everybody.
    #[zbus(out_args("text", "count", "total", "seq"))]
    async fn queue_text(&self, query: Dictionary) -> Result<(String, u32, u32, u64), Refusal> {
        let query: QueueQuery = request(query)?;
        self.who.large_answer().await;
        let Page { items, total, seq } = self.handler.queue(query).await?;
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let text = text(&QueueText::of(items))?;
        Ok((text, count, total, seq))
    }

    /// One run as Queue tells it, and ahead (av of s): the waiting runs that go before it. One that
    /// is over has the state ended, and ended (s). For everybody.
    #[zbus(out_args("run"))]
    async fn why(&self, run: String) -> Result<Dictionary, Refusal> {
        let Why { entry, ahead } = self.handler.why(name(&run)?).await?;
        Ok(Dictionary::of(&Why { entry, ahead }))
    }

    /// The groups: name (s), slots (x), paused_by (s), paused_since (s), running (x), waiting (x).
    /// For everybody.
    #[zbus(out_args("groups"))]
    async fn groups(&self) -> Result<List<Vec<GroupInfo>>, Refusal> {
        Ok(List(self.handler.groups().await?))
    }

    /// The events after the number since (x), oldest first, at most at_most (x) and 1000.
    ///
    /// Keys: seq (x), at (s), kind (s), experiment (s), run (x), attempt (x), and more by kind. For
    /// everybody.
    #[zbus(out_args("events"))]
    async fn events(&self, query: Dictionary) -> Result<List<Vec<Event>>, Refusal> {
        let query: EventQuery = request(query)?;
        self.who.large_answer().await;
        Ok(List(self.handler.events(query).await?))
    }

    /// The samples of the board of the last hour in which something ran, later than after_usec (x,
    /// microseconds since the boot), oldest first and at most 1000, as one text: a JSON array of what
    /// "bij --json board --samples" prints. For everybody.
    #[zbus(out_args("samples"))]
    async fn board_text(&self, query: Dictionary) -> Result<String, Refusal> {
        let query: BoardQuery = request(query)?;
        self.who.large_answer().await;
        text(&self.handler.board(query).await?)
    }

    /// Attempts that the ledger has, oldest first and at most 250, as one text: a JSON array of
    /// objects.
    ///
    /// Keys of the query: experiment (s), run (x), after (a{sv}: boot (s) and invocation (s) of an attempt).
    /// The answer begins with the oldest attempt that was opened after that one. The next piece is the one
    /// after the last attempt of this piece, so attempts that begin meanwhile are neither told twice nor
    /// hide others. With newest (x) instead of after the answer has up to this number of the newest attempts,
    /// without the skip_newest (x) newest. For everybody.
    #[zbus(out_args("attempts"))]
    async fn attempts_text(&self, query: Dictionary) -> Result<String, Refusal> {
        let query: AttemptsQuery = request(query)?;
        self.who.large_answer().await;
        text(&self.handler.attempts(query).await?)
    }

    /// What the history of each experiment adds up to, in the order of their ids and at most 250, as
    /// one text: a JSON object by experiment.
    ///
    /// Keys of the query: experiment (s, of this one alone), after (s, of those behind this one). For
    /// everybody.
    #[zbus(out_args("tallies"))]
    async fn tallies_text(&self, query: Dictionary) -> Result<String, Refusal> {
        let query: TalliesQuery = request(query)?;
        self.who.large_answer().await;
        text(&self.handler.tallies(query).await?)
    }

    /// How the board was, minute by minute in which something ran, oldest first and at most 1000, as
    /// one text: a JSON array of objects. Then the number of the first of them.
    ///
    /// Keys of the query: newest (x, up to this number of the newest), before (x, only minutes before the
    /// one with this number). For everybody.
    #[zbus(out_args("minutes", "first"))]
    async fn minutes_text(&self, query: Dictionary) -> Result<(String, i64), Refusal> {
        let query: MinutesQuery = request(query)?;
        self.who.large_answer().await;
        let Minutes { first, minutes } = self.handler.minutes(query).await?;
        Ok((text(&minutes)?, first))
    }

    /// How the coordinator is: version (s), since (s), seq (x), waiting (x), held (x), running (x),
    /// slots (x), memory_budget (x), memory_claimed (x), gpu_memory (a{sv}: bytes by experiment that is
    /// up, where the GPU shares the machine's memory), gpu_memory_why (s: why that is not known),
    /// paused_by (s), paused_since (s), troubles (av of s). For everybody.
    #[zbus(out_args("status"))]
    async fn status(&self) -> Result<Dictionary, Refusal> {
        Ok(Dictionary::of(&self.handler.status().await?))
    }

    /// There are events up to this number. One signal can stand for several.
    #[zbus(signal)]
    pub(super) async fn changed(emitter: &SignalEmitter<'_>, seq: u64) -> zbus::Result<()>;
}

/// An answer as one text.
fn text(answer: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(answer)
        .map_err(|error| Refusal::new(RefusalKind::Trouble, error.to_string()))
}

/// A request out of its dictionary.
fn request<T: DeserializeOwned>(dictionary: Dictionary) -> Result<T, Refusal> {
    dictionary.read().map_err(|error| invalid(&error))
}

fn name(text: &str) -> Result<RunRef, Refusal> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(80).collect();
        let text = format!("{text:?} names no run: write calibrate or calibrate#3");
        Refusal::new(RefusalKind::Invalid, text)
    })
}

fn invalid(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(RefusalKind::Invalid, error.to_string())
}
