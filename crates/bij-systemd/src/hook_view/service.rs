//! Whether a service is there, for a hook that has no answer from it.

/// How a service stands that systemd starts again whenever it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It is stopped, or was never started, and nothing is about to start it.
    Stopped,
    /// It runs, comes up, goes down, or waits to be started again.
    Up,
    /// It has failed for good.
    Failed,
}

impl ServiceState {
    /// `ActiveState=`, and whether a job is under way (org.freedesktop.systemd1(5)).
    pub(super) fn new(active_state: &str, has_job: bool) -> Self {
        match active_state {
            "inactive" if !has_job => Self::Stopped,
            "failed" if !has_job => Self::Failed,
            // Every other state is on the way to one of these.
            _ => Self::Up,
        }
    }

    /// What `systemctl show` says: `ActiveState=` and, while a job is under way, its number as `Job=`.
    pub(super) fn parse(show: &str) -> Self {
        let value =
            |name: &str| show.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let has_job = value("Job").is_some_and(|job| !job.is_empty() && job != "0");
        Self::new(value("ActiveState").unwrap_or_default(), has_job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_shows_is_understood() {
        assert_eq!(ServiceState::parse("ActiveState=active\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=activating\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=inactive\n"), ServiceState::Stopped);
        assert_eq!(ServiceState::parse("Job=0\nActiveState=inactive\n"), ServiceState::Stopped);
        assert_eq!(ServiceState::parse("Job=71\nActiveState=inactive\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=failed\n"), ServiceState::Failed);
        assert_eq!(ServiceState::parse("Job=71\nActiveState=failed\n"), ServiceState::Up);
    }
}
