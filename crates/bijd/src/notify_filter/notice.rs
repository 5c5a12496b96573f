//! The messages that an experiment may send to its service manager (`sd_notify(3)`).

/// Longest status that is passed on, in bytes.
const STATUS_MAX: usize = 1024;

/// The assignments of a datagram that are passed on; all others are dropped.
///
/// An experiment must not extend its time-outs (`EXTEND_TIMEOUT_USEC=`, `RELOADING=1`), change its watchdog
/// (`WATCHDOG_USEC=`), name another main process (`MAINPID=`) or store descriptors in the manager (`FDSTORE=1`). The
/// assignments listed here cannot do that. Assignments of future versions of systemd are dropped too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notice {
    ready: bool,
    stopping: bool,
    status: Option<String>,
    errno: Option<u32>,
    heartbeat: Option<Heartbeat>,
}

/// An assignment to `WATCHDOG=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Heartbeat {
    /// `1`: the experiment is alive.
    Alive,
    /// `trigger`: the manager shall act as if heartbeats were missing.
    Trigger,
}

impl Notice {
    /// Parses a datagram with one assignment per line.
    pub(super) fn parse(datagram: &[u8]) -> Self {
        let text = String::from_utf8_lossy(datagram);
        let mut notice = Self::default();
        for line in text.trim_end_matches('\0').split('\n') {
            notice.read(line);
        }
        notice
    }

    fn read(&mut self, line: &str) {
        match line.split_once('=') {
            Some(("READY", "1")) => self.ready = true,
            Some(("STOPPING", "1")) => self.stopping = true,
            Some(("STATUS", text)) => self.status = Some(one_line(text)),
            Some(("ERRNO", number)) => self.errno = number.parse().ok().or(self.errno),
            Some(("WATCHDOG", "1")) => self.beat(Heartbeat::Alive),
            Some(("WATCHDOG", "trigger")) => self.beat(Heartbeat::Trigger),
            _ => {}
        }
    }

    fn beat(&mut self, heartbeat: Heartbeat) {
        self.heartbeat = self.heartbeat.max(Some(heartbeat));
    }

    /// Returns whether there is nothing to pass on.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a later datagram, whose status replaces an earlier one.
    pub(super) fn merge(&mut self, later: Self) {
        let Self { ready, stopping, status, errno, heartbeat } = later;
        self.ready |= ready;
        self.stopping |= stopping;
        self.status = status.or(self.status.take());
        self.errno = errno.or(self.errno);
        self.heartbeat = self.heartbeat.max(heartbeat);
    }

    /// Removes and returns the heartbeat.
    pub(super) fn take_heartbeat(&mut self) -> Self {
        Self { heartbeat: self.heartbeat.take(), ..Self::default() }
    }

    /// Removes and returns everything but the heartbeat.
    pub(super) fn take_words(&mut self) -> Self {
        let heartbeat = self.heartbeat.take();
        std::mem::replace(self, Self { heartbeat, ..Self::default() })
    }

    /// Returns whether there is a heartbeat.
    pub(super) fn has_heartbeat(&self) -> bool {
        self.heartbeat.is_some()
    }

    /// Returns whether there is anything but a heartbeat.
    pub(super) fn has_words(&self) -> bool {
        let Self { ready, stopping, status, errno, heartbeat: _ } = self;
        *ready || *stopping || status.is_some() || errno.is_some()
    }

    /// Returns the datagram for the service manager.
    pub(super) fn to_datagram(&self) -> String {
        let Self { ready, stopping, status, errno, heartbeat } = self;
        let lines = [
            ready.then(|| "READY=1".to_owned()),
            stopping.then(|| "STOPPING=1".to_owned()),
            status.as_ref().map(|text| format!("STATUS={text}")),
            errno.map(|number| format!("ERRNO={number}")),
            heartbeat.map(|heartbeat| match heartbeat {
                Heartbeat::Alive => "WATCHDOG=1".to_owned(),
                Heartbeat::Trigger => "WATCHDOG=trigger".to_owned(),
            }),
        ];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// Returns the text without control characters, which a terminal would interpret, cut to [`STATUS_MAX`].
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    let end = (0..=STATUS_MAX.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    line[..end.unwrap_or(0)].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed(datagram: &str) -> String {
        Notice::parse(datagram.as_bytes()).to_datagram()
    }

    #[test]
    fn allowed_assignments_are_passed_on() {
        for datagram in ["READY=1", "STOPPING=1", "STATUS=epoch 3", "ERRNO=2", "WATCHDOG=1"] {
            assert_eq!(passed(datagram), datagram);
        }
        assert_eq!(passed("WATCHDOG=1\nSTATUS=a\n\0"), "STATUS=a\nWATCHDOG=1");
        assert_eq!(passed("STATUS="), "STATUS=", "an empty status clears the last one");
        assert_eq!(passed("WATCHDOG=trigger\nWATCHDOG=1"), "WATCHDOG=trigger");
    }

    #[test]
    fn assignments_that_change_limits_are_dropped() {
        for datagram in [
            "EXTEND_TIMEOUT_USEC=60000000",
            "WATCHDOG_USEC=0",
            "MAINPID=1",
            "MAINPIDFDID=1",
            "RELOADING=1\nMONOTONIC_USEC=1",
            "FDSTORE=1\nFDNAME=x",
            "FDSTOREREMOVE=1",
            "BUSERROR=x",
            "VARLINKERROR=x",
            "NOTIFYACCESS=none",
            "RESTART_RESET=1",
            "BARRIER=1",
            "READY=0",
            "READY=1 ",
            " READY=1",
            "X_READY=1",
            "ready=1",
            "",
            "\n\n",
        ] {
            assert!(Notice::parse(datagram.as_bytes()).is_empty(), "{datagram:?}");
        }
        assert_eq!(passed("EXTEND_TIMEOUT_USEC=1\nREADY=1\nMAINPID=1"), "READY=1");
    }

    #[test]
    fn a_status_is_one_printable_line_of_bounded_length() {
        assert_eq!(passed("STATUS= a\x1b[31m\rMAINPID=1 "), "STATUS=a [31m MAINPID=1");
        let long = passed(&format!("STATUS=x{}", "é".repeat(3000)));
        assert!(long.len() <= "STATUS=".len() + STATUS_MAX, "{}", long.len());
        assert!(long.ends_with('é'));
        assert_eq!(Notice::parse(b"STATUS=\xff").to_datagram(), "STATUS=\u{fffd}");
    }

    #[test]
    fn a_later_status_wins_and_other_assignments_are_kept() {
        let mut notice = Notice::parse(b"READY=1\nSTATUS=a\nWATCHDOG=trigger");
        notice.merge(Notice::parse(b"STATUS=b\nERRNO=5\nWATCHDOG=1"));
        assert_eq!(notice.to_datagram(), "READY=1\nSTATUS=b\nERRNO=5\nWATCHDOG=trigger");
        assert_eq!(notice.take_heartbeat().to_datagram(), "WATCHDOG=trigger");
        assert!(notice.has_words() && !notice.has_heartbeat());
        assert_eq!(notice.take_words().to_datagram(), "READY=1\nSTATUS=b\nERRNO=5");
        assert!(notice.is_empty());
    }

    #[test]
    fn fuzz_notice() {
        bij_fuzz::FuzzTarget::new("notice", env!("CARGO_MANIFEST_DIR"))
            .tokens(&["READY=1", "STATUS=", "WATCHDOG=", "ERRNO=", "MAINPID=1", "BARRIER=1", "\n"])
            .run(|datagram| {
                let notice = Notice::parse(datagram);
                let text = notice.to_datagram();
                assert_eq!(Notice::parse(text.as_bytes()), notice, "{text:?}");
                let status = text.lines().find_map(|line| line.strip_prefix("STATUS="));
                assert!(status.is_none_or(|status| status.len() <= STATUS_MAX), "{text:?}");
                assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            });
    }

    proptest! {
        #[test]
        fn only_known_assignments_are_passed_on(datagram in "(READY|STATUS|MAINPID|WATCHDOG|X)?[=\n\r\0\u{2028}A-Z_1]{0,40}") {
            for line in Notice::parse(datagram.as_bytes()).to_datagram().lines() {
                let name = line.split('=').next().unwrap();
                prop_assert!(["READY", "STOPPING", "STATUS", "ERRNO", "WATCHDOG"].contains(&name), "{line:?}");
            }
        }
    }
}
