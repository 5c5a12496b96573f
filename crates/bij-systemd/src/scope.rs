//! The system's service manager or a user's.

/// A service manager: PID 1, or that of a user. systemd calls this the "runtime scope".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuntimeScope {
    /// PID 1.
    #[default]
    System,
    /// The caller's `systemd --user`.
    User,
}

impl RuntimeScope {
    /// Returns the option that selects this manager in systemctl(1) and journalctl(1).
    pub const fn option(self) -> &'static str {
        match self {
            Self::System => "--system",
            Self::User => "--user",
        }
    }
}
