//! Limits the rate of the messages of one unit.

use std::time::{Duration, Instant};

use super::notice::Notice;

/// Rate of states and status lines, each of which causes a signal on the bus.
const WORDS: Rate = Rate { every: Duration::from_secs(1), burst: 8 };

/// Rate of heartbeats, which cost the manager little and may be frequent.
const HEARTBEATS: Rate = Rate { every: Duration::from_millis(50), burst: 8 };

/// How soon to send a message again after the manager's socket was full.
const RETRY: Duration = Duration::from_millis(50);

/// A steady rate, and the number of messages that may exceed it at once.
#[derive(Clone, Copy, Debug)]
struct Rate {
    every: Duration,
    burst: u32,
}

/// A token bucket, stored as the time at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    rate: Rate,
    full_at: Instant,
}

impl Allowance {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// Returns when the next message may be sent.
    fn next(&self, now: Instant) -> Instant {
        let slack = self.rate.every * (self.rate.burst - 1);
        now + self.full_at.saturating_duration_since(now).saturating_sub(slack)
    }

    /// Takes a token; returns `false` if there is none.
    fn take(&mut self, now: Instant) -> bool {
        let allowed = self.next(now) <= now;
        if allowed {
            self.full_at = self.full_at.max(now) + self.rate.every;
        }
        allowed
    }
}

/// Messages of one unit that have not been passed on yet. Its size is bounded: a later status replaces an
/// earlier one, and everything else is a flag.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    pending: Notice,
    words: Allowance,
    heartbeats: Allowance,
    /// Nothing may be sent before.
    not_before: Instant,
}

impl Mailbox {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pending: Notice::default(),
            words: Allowance::new(WORDS, now),
            heartbeats: Allowance::new(HEARTBEATS, now),
            not_before: now,
        }
    }

    /// Adds a message of the unit.
    pub(super) fn put(&mut self, notice: Notice) {
        self.pending.merge(notice);
    }

    /// Takes the messages that may be passed on at `now`.
    pub(super) fn take(&mut self, now: Instant) -> Notice {
        let mut taken = Notice::default();
        if now < self.not_before {
            return taken;
        }
        if self.pending.has_words() && self.words.take(now) {
            taken.merge(self.pending.take_words());
        }
        if self.pending.has_heartbeat() && self.heartbeats.take(now) {
            taken.merge(self.pending.take_heartbeat());
        }
        taken
    }

    /// Puts back messages that could not be passed on at `now`.
    pub(super) fn put_back(&mut self, notice: Notice, now: Instant) {
        let later = std::mem::replace(&mut self.pending, notice);
        self.pending.merge(later);
        self.not_before = now + RETRY;
    }

    /// Returns when [`take`](Self::take) next returns messages; `None` if none are pending.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let words = self.pending.has_words().then(|| self.words.next(now));
        let heartbeats = self.pending.has_heartbeat().then(|| self.heartbeats.next(now));
        words.into_iter().chain(heartbeats).min().map(|due| due.max(self.not_before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(text: &str) -> Notice {
        Notice::parse(text.as_bytes())
    }

    /// Adds `text` every millisecond for `span`; returns the messages that are passed on.
    fn flood(mailbox: &mut Mailbox, start: Instant, span: Duration, text: &str) -> Vec<String> {
        let mut passed = Vec::new();
        for millis in 0..u64::try_from(span.as_millis()).unwrap() {
            let now = start + Duration::from_millis(millis);
            mailbox.put(notice(&format!("{text}{millis}")));
            let taken = mailbox.take(now);
            if !taken.is_empty() {
                passed.push(taken.to_datagram());
            }
        }
        passed
    }

    #[test]
    fn single_messages_are_passed_on_at_once() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        for text in ["READY=1", "STATUS=a", "WATCHDOG=1", "STATUS=b"] {
            mailbox.put(notice(text));
            assert_eq!(mailbox.take(now).to_datagram(), text);
            assert_eq!(mailbox.due(now), None);
        }
    }

    #[test]
    fn a_flood_of_states_is_limited_and_the_last_one_is_passed_on() {
        let start = Instant::now();
        let mut mailbox = Mailbox::new(start);
        let passed = flood(&mut mailbox, start, Duration::from_secs(10), "READY=1\nSTATUS=");
        assert_eq!(passed.len(), 8 + 9, "{passed:?}");
        let now = start + Duration::from_secs(10);
        let due = mailbox.due(now).unwrap();
        assert!(due <= now + WORDS.every);
        assert_eq!(mailbox.take(due).to_datagram(), "READY=1\nSTATUS=9999");
        assert_eq!(mailbox.due(due), None);
    }

    #[test]
    fn heartbeats_are_not_delayed_by_states() {
        let start = Instant::now();
        let mut mailbox = Mailbox::new(start);
        flood(&mut mailbox, start, Duration::from_secs(5), "STATUS=");
        let now = start + Duration::from_secs(5);
        mailbox.put(notice("WATCHDOG=1"));
        let passed = mailbox.take(now).to_datagram();
        assert!(passed.ends_with("WATCHDOG=1"), "{passed:?}");
    }

    #[test]
    fn a_flood_of_heartbeats_is_passed_on_twenty_times_a_second() {
        let start = Instant::now();
        let mut mailbox = Mailbox::new(start);
        let mut passed = 0;
        for millis in 0..10_000 {
            mailbox.put(notice("WATCHDOG=1"));
            passed += u32::from(!mailbox.take(start + Duration::from_millis(millis)).is_empty());
        }
        assert!((200..=210).contains(&passed), "{passed}");
    }

    #[test]
    fn messages_that_could_not_be_passed_on_are_merged_with_later_ones() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        mailbox.put(notice("READY=1\nSTATUS=old"));
        let taken = mailbox.take(now);
        mailbox.put(notice("STATUS=new"));
        mailbox.put_back(taken, now);
        assert!(mailbox.take(now).is_empty(), "not at once");
        let due = mailbox.due(now).unwrap();
        assert_eq!(due, now + RETRY);
        assert_eq!(mailbox.take(due).to_datagram(), "READY=1\nSTATUS=new");
    }
}
