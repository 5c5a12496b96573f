//! The interface on the wire. The comments of its methods are the documentation in its introspection data.

#![expect(clippy::doc_markdown, reason = "introspection data is read as plain text")]

use std::sync::Arc;

use bij_core::queue::{Event, RunRef};
use bij_core::request::{
    Act, AdmissionRequest, AttemptsQuery, BoardQuery, Edit, EventQuery, GroupSetting, GroupStatus,
    Minutes, MinutesQuery, Page, PauseRequest, PowerModeRequest, QueueEntry, QueueQuery,
    RunOutcome, Submit, SubmitOptions, TalliesQuery, UnitRequest, Why,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

use super::caller_source::CallerSource;
use super::handler::RequestHandler;
use crate::dictionary::{Dictionary, ReceivedList, SentList};
use crate::queue_text::QueueText;
use crate::{Refusal, RefusalKind, limits};

/// The object path of the interface.
pub(super) const PATH: &str = "/org/braininjar/Coordinator1";

/// The object that serves one connection.
pub(super) struct Interface<H> {
    pub(super) handler: Arc<H>,
    pub(super) source: CallerSource,
}

// Calls of one connection are answered one after another, so that a client that sends without reading blocks only
// itself.
#[zbus::interface(name = "org.braininjar.Coordinator1", spawn = false)]
impl<H: RequestHandler> Interface<H> {
    /// Submits runs to the queue, all or none; they are on disk before the answer.
    ///
    /// Keys of a run: experiment (s), and to override the definition:
    /// extras (s, TOML that overrides the definition in this run only), priority (x), group (s),
    /// after (a{sv}: "all" or "any", a list of "calibrate", "calibrate#3" or "end:calibrate"),
    /// not_before (s, RFC 3339) or delay (x, microseconds from now), hold (b), now (b, bypasses the gates). Keys of the options:
    /// dry_run (b). Returns the runs as Queue does. For root and members of group bij.
    #[zbus(out_args("queued"))]
    async fn submit(
        &self,
        runs: ReceivedList<Submit, { limits::MAX_RUNS }>,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<SentList<Vec<QueueEntry>>, Refusal> {
        let caller = self.source.caller(&header, "submit runs").await?;
        if runs.count() > limits::MAX_RUNS {
            return Err(limits::too_many(runs.count()));
        }
        let runs = runs.read().map_err(|error| invalid(&error))?;
        limits::check(&runs)?;
        let options: SubmitOptions = request(options)?;
        let taken = self.handler.submit(&caller, runs, options).await?;
        Ok(SentList(taken))
    }

    /// Changes a waiting or held run, named "ID#NUMBER" or, for the newest run, "ID".
    ///
    /// Keys: priority (x), group (s), after (a{sv}), not_before (s) or delay (x), any_time (b, removes not_before),
    /// now (b). Absent values stay as they are. Returns the run. For root and members of group bij.
    #[zbus(out_args("queued"))]
    async fn edit(
        &self,
        run: String,
        edit: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.source.caller(&header, "edit runs").await?;
        let (run, edit): (_, Edit) = (name(&run)?, request(edit)?);
        let edited = self.handler.edit(&caller, run, edit).await?;
        Ok(Dictionary::from_message(&edited))
    }

    /// Applies an action to runs, to all of them or to none.
    ///
    /// The key act (s) names the action: hold, release, cancel, requeue, stop, prioritize with priority
    /// (x), move with to ("first", "last", or a{sv} with "before" or "behind" and a run). Returns
    /// run (s) and changed (b) for each run. For root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn act(
        &self,
        act: Dictionary,
        runs: Vec<String>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<SentList<Vec<RunOutcome>>, Refusal> {
        let caller = self.source.caller(&header, "change runs").await?;
        let act: Act = request(act)?;
        let runs = runs.iter().map(|run| name(run)).collect::<Result<Vec<_>, Refusal>>()?;
        Ok(SentList(self.handler.act(&caller, act, runs).await?))
    }

    /// Pauses (paused, b) or resumes admission, of one group (group, s) or of all. Active runs are not
    /// affected. Returns whether that changed anything. For root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn pause(
        &self,
        pausing: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<bool, Refusal> {
        let caller = self.source.caller(&header, "pause or resume admission").await?;
        let pause: PauseRequest = request(pausing)?;
        self.handler.pause(&caller, pause).await
    }

    /// Creates or changes a group: name (s) and slots (x; if absent, slots of [groups.NAME] in the settings, else
    /// no limit of its own). A number given here overrides that of the settings. Returns whether that changed
    /// anything. For root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn set_group(
        &self,
        group: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<bool, Refusal> {
        let caller = self.source.caller(&header, "change groups").await?;
        let group: GroupSetting = request(group)?;
        self.handler.set_group(&caller, group).await
    }

    /// Removes a group, whose runs then have no limit of slots of their own. Returns whether it existed. For
    /// root and members of group bij.
    #[zbus(out_args("changed"))]
    async fn remove_group(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<bool, Refusal> {
        let caller = self.source.caller(&header, "change groups").await?;
        let name = name.parse().map_err(|error| invalid(&error))?;
        self.handler.remove_group(&caller, name).await
    }

    /// Switches the board to a power mode, for all experiments. Refused while an active run needs another mode.
    ///
    /// Keys of the setting: mode (s, its name or number), allow_reboot_later (b: a mode that needs a
    /// reboot takes effect at the next boot; nothing is rebooted). Keys of the answer: id (x), name (s),
    /// at_next_boot (b), changed (b). Returns when that is done, after about a second. For root and members
    /// of group bij.
    #[zbus(out_args("set"))]
    async fn set_power_mode(
        &self,
        setting: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.source.caller(&header, "switch the board").await?;
        let setting: PowerModeRequest = request(setting)?;
        Ok(Dictionary::from_message(&self.handler.set_power_mode(&caller, setting).await?))
    }

    /// Returns whether the unit of an experiment may start now; its ExecCondition= asks this.
    ///
    /// Keys of the request: at_boot (b), until (x, microseconds since the boot, after which the request
    /// is ignored), invocation (s: the unit's invocation id). Keys of the answer: admitted (b), run (x), text (s),
    /// waiting_on (av), unrecorded (b: the run could not be queued, so the caller must defer the start). A run that
    /// may not start is queued. For root, which runs the hooks; in a user's own coordinator for that user.
    #[zbus(out_args("admission"))]
    async fn admit(
        &self,
        experiment: String,
        admission: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.source.caller(&header, "ask for admission").await?;
        caller.ensure_operator("ask for admission")?;
        let experiment = experiment.parse().map_err(|error| invalid(&error))?;
        let admission: AdmissionRequest = request(admission)?;
        Ok(Dictionary::from_message(&self.handler.admit(&caller, experiment, admission).await?))
    }

    /// Starts, stops, restarts or resets the unit of an experiment, which systemd lets only root do. It
    /// returns when the job is done, which may take long. So it works on the socket only, where no other
    /// caller waits for it.
    ///
    /// Keys of the request: verb (s: start, stop, restart, reset-failed). Keys of the answer: effect
    /// (s: changed, unchanged, skipped, failed), result (s: of a failed job, as systemd names it).
    /// For root and members of group bij.
    #[zbus(out_args("done"))]
    async fn steer_unit(
        &self,
        experiment: String,
        request: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = self.source.caller(&header, "start or stop experiments").await?;
        self.source.ensure_socket("start or stop experiments")?;
        let experiment = experiment.parse().map_err(|error| invalid(&error))?;
        let UnitRequest { verb } = self::request(request)?;
        Ok(Dictionary::from_message(&self.handler.steer_unit(&caller, experiment, verb).await?))
    }

    /// Reloads the settings. If they are invalid the old ones stay in force, and the error names the
    /// first mistake. For root and members of group bij.
    async fn reload(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Refusal> {
        let caller = self.source.caller(&header, "reload the settings").await?;
        self.handler.reload(&caller).await
    }

    /// Returns the runs that have not ended, in starting order, active runs first; at most 1000 at once.
    ///
    /// Keys of the query: experiment (s), group (s), state (s), skip (x, number of runs at the front to
    /// leave out). Keys of a run: run (x), experiment (s), state (s: waiting, held, starting,
    /// running), priority (x), group (s), submitted (s), by (s), origin (s), place (x), memory (x,
    /// bytes), gpu (s), not_before (s), after (a{sv}), now (b), bypassed (x), extras (s), health
    /// (s), health_reason (s), stop_requested_by (s), waiting_on (av of a{sv}: gate, need, have,
    /// since, text). Also returns the length of the whole list, and the number of the newest event at that time.
    /// For all users.
    #[zbus(out_args("runs", "total", "seq"))]
    async fn queue(
        &self,
        query: Dictionary,
    ) -> Result<(SentList<Vec<QueueEntry>>, u32, u64), Refusal> {
        let query: QueueQuery = request(query)?;
        self.source.large_answer().await;
        let page = self.handler.queue(query).await?;
        Ok((SentList(page.items), page.total, page.seq))
    }

    /// As Queue, with the runs as one text, which is many times cheaper for thousands of runs. The text is a
    /// JSON object. Its key gates is an array of gates as in waiting_on, each without since; its key runs is
    /// the array that "bij --json queue" prints, except for waiting_on, which has a pair for each closed gate:
    /// its position in gates, and since in microseconds since 1970. Also returns the number of runs in this
    /// text, and the rest as in Queue. For all users.
    #[zbus(out_args("text", "count", "total", "seq"))]
    async fn queue_text(&self, query: Dictionary) -> Result<(String, u32, u32, u64), Refusal> {
        let query: QueueQuery = request(query)?;
        self.source.large_answer().await;
        let Page { items, total, seq } = self.handler.queue(query).await?;
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let text = text(&QueueText::from_entries(items))?;
        Ok((text, count, total, seq))
    }

    /// Returns a run as Queue does, and ahead (av of s): the waiting runs that go before it. An ended run
    /// has the state ended, and ended (s). For all users.
    #[zbus(out_args("run"))]
    async fn why(&self, run: String) -> Result<Dictionary, Refusal> {
        let Why { entry, ahead } = self.handler.why(name(&run)?).await?;
        Ok(Dictionary::from_message(&Why { entry, ahead }))
    }

    /// Returns the groups: name (s), slots (x), paused_by (s), paused_since (s), running (x), waiting (x).
    /// For all users.
    #[zbus(out_args("groups"))]
    async fn groups(&self) -> Result<SentList<Vec<GroupStatus>>, Refusal> {
        Ok(SentList(self.handler.groups().await?))
    }

    /// Returns the events after the number since (x), oldest first, at most at_most (x) and 1000.
    ///
    /// Keys: seq (x), at (s), kind (s), experiment (s), run (x), attempt (x), and more by kind. For
    /// all users.
    #[zbus(out_args("events"))]
    async fn events(&self, query: Dictionary) -> Result<SentList<Vec<Event>>, Refusal> {
        let query: EventQuery = request(query)?;
        self.source.large_answer().await;
        Ok(SentList(self.handler.events(query).await?))
    }

    /// Returns the samples of the board of the last hour in which an experiment ran, later than after_usec
    /// (x, microseconds since the boot), oldest first and at most 1000, as one text: a JSON array of the
    /// objects that "bij --json board --samples" prints. For all users.
    #[zbus(out_args("samples"))]
    async fn board_text(&self, query: Dictionary) -> Result<String, Refusal> {
        let query: BoardQuery = request(query)?;
        self.source.large_answer().await;
        text(&self.handler.board(query).await?)
    }

    /// Returns attempts in the ledger, oldest first and at most 250, as one text: a JSON array of
    /// objects.
    ///
    /// Keys of the query: experiment (s), run (x), after (a{sv}: boot (s) and invocation (s) of an attempt).
    /// The answer begins with the oldest attempt that was opened after that one. For the next page, pass the
    /// last attempt of this one; attempts that begin meanwhile then appear once and hide no others. With
    /// newest (x) instead of after, the answer has up to this number of the newest attempts, without the
    /// skip_newest (x) newest. For all users.
    #[zbus(out_args("attempts"))]
    async fn attempts_text(&self, query: Dictionary) -> Result<String, Refusal> {
        let query: AttemptsQuery = request(query)?;
        self.source.large_answer().await;
        text(&self.handler.attempts(query).await?)
    }

    /// Returns the tallies of experiments, in the order of their ids and at most 250, as one text: a JSON
    /// object by experiment.
    ///
    /// Keys of the query: experiment (s, only this one), after (s, only experiments after this one). For
    /// all users.
    #[zbus(out_args("tallies"))]
    async fn tallies_text(&self, query: Dictionary) -> Result<String, Refusal> {
        let query: TalliesQuery = request(query)?;
        self.source.large_answer().await;
        text(&self.handler.tallies(query).await?)
    }

    /// Returns the minutes of the board in which an experiment ran, oldest first and at most 1000, as one
    /// text: a JSON array of objects. Also returns the number of the first minute.
    ///
    /// Keys of the query: newest (x, up to this number of the newest), before (x, only minutes before the
    /// one with this number). For all users.
    #[zbus(out_args("minutes", "first"))]
    async fn minutes_text(&self, query: Dictionary) -> Result<(String, i64), Refusal> {
        let query: MinutesQuery = request(query)?;
        self.source.large_answer().await;
        let Minutes { first, minutes } = self.handler.minutes(query).await?;
        Ok((text(&minutes)?, first))
    }

    /// Returns the status of the coordinator: version (s), since (s), seq (x), waiting (x), held (x), running (x),
    /// slots (x), memory_budget (x), memory_claimed (x), gpu_memory (a{sv}: bytes by active experiment, if the GPU
    /// shares the machine's memory), gpu_memory_why (s: why that is unknown), paused_by (s), paused_since (s),
    /// troubles (av of s). For all users.
    #[zbus(out_args("status"))]
    async fn status(&self) -> Result<Dictionary, Refusal> {
        Ok(Dictionary::from_message(&self.handler.status().await?))
    }

    /// Emitted when there are events up to this number. One signal can stand for several.
    #[zbus(signal)]
    pub(super) async fn changed(emitter: &SignalEmitter<'_>, seq: u64) -> zbus::Result<()>;
}

/// Serializes an answer as one text.
fn text(answer: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(answer)
        .map_err(|error| Refusal::new(RefusalKind::Trouble, error.to_string()))
}

/// Converts a dictionary into a request.
fn request<T: DeserializeOwned>(dictionary: Dictionary) -> Result<T, Refusal> {
    dictionary.read().map_err(|error| invalid(&error))
}

fn name(text: &str) -> Result<RunRef, Refusal> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(80).collect();
        let text = format!("{text:?} is not a run: write calibrate or calibrate#3");
        Refusal::new(RefusalKind::Invalid, text)
    })
}

fn invalid(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(RefusalKind::Invalid, error.to_string())
}
