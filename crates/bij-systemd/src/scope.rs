//! Which of systemd's managers.

/// The service manager that is meant, systemd's "runtime scope".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuntimeScope {
    /// PID 1.
    #[default]
    System,
    /// The caller's own `systemd --user`.
    User,
}

impl RuntimeScope {
    /// The option by which systemctl(1) and journalctl(1) are told.
    pub const fn option(self) -> &'static str {
        match self {
            Self::System => "--system",
            Self::User => "--user",
        }
    }
}
