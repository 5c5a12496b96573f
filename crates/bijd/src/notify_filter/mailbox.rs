//! How much of what one unit says is passed on, and when.

use std::time::{Duration, Instant};

use super::notice::Notice;

/// States and status lines: each is a signal on the bus to all who watch the unit.
const WORDS: Rate = Rate { every: Duration::from_secs(1), burst: 8 };

/// Heartbeats: they cost the manager little, and a watchdog may be short.
const HEARTBEATS: Rate = Rate { every: Duration::from_millis(50), burst: 8 };

/// How long to wait before a message is offered again that the manager had no room for.
const RETRY: Duration = Duration::from_millis(50);

/// A steady rate, and how many messages may come at once before it holds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    every: Duration,
    burst: u32,
}

/// A token bucket, kept as the time at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    rate: Rate,
    full_at: Instant,
}

impl Allowance {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// When the next message may go.
    fn next(&self, now: Instant) -> Instant {
        let slack = self.rate.every * (self.rate.burst - 1);
        now + self.full_at.saturating_duration_since(now).saturating_sub(slack)
    }

    /// Takes a token if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let allowed = self.next(now) <= now;
        if allowed {
            self.full_at = self.full_at.max(now) + self.rate.every;
        }
        allowed
    }
}

/// What one unit has said and has not been passed on yet. Its size is bounded: a later status replaces an
/// earlier one, and everything else is a flag.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    pending: Notice,
    words: Allowance,
    heartbeats: Allowance,
    /// Nothing is taken before.
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

    /// Adds what the unit says.
    pub(super) fn put(&mut self, notice: Notice) {
        self.pending.merge(notice);
    }

    /// What may be passed on at `now`; it counts as passed on.
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

    /// Takes back what could not be passed on at `now`.
    pub(super) fn put_back(&mut self, notice: Notice, now: Instant) {
        let later = std::mem::replace(&mut self.pending, notice);
        self.pending.merge(later);
        self.not_before = now + RETRY;
    }

    /// When [`take`](Self::take) next returns something; `None` if nothing is pending.
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

    /// Says `text` every millisecond for `span`; returns what is passed on.
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
    fn single_messages_go_at_once() {
        let now = Instant::now();
        let mut mailbox = Mailbox::new(now);
        for text in ["READY=1", "STATUS=a", "WATCHDOG=1", "STATUS=b"] {
            mailbox.put(notice(text));
            assert_eq!(mailbox.take(now).to_datagram(), text);
            assert_eq!(mailbox.due(now), None);
        }
    }

    #[test]
    fn a_flood_of_words_is_thinned_out_and_the_last_one_comes_through() {
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
    fn heartbeats_are_not_held_up_by_words() {
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
    fn what_could_not_be_passed_on_is_tried_again_after_what_came_meanwhile() {
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
