//! The state of a service, for a hook that the service does not answer.

/// The state of a service with `Restart=always`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// The service is stopped, or was never started, and has no start job.
    Stopped,
    /// The service runs, starts, stops, or waits for a restart.
    Up,
    /// The service has failed and is not restarted.
    Failed,
}

impl ServiceState {
    /// Derives the state from `ActiveState=` and from whether the unit has a job (org.freedesktop.systemd1(5)).
    pub(super) fn new(active_state: &str, has_job: bool) -> Self {
        match active_state {
            "inactive" if !has_job => Self::Stopped,
            "failed" if !has_job => Self::Failed,
            // Every other state leads to one of these.
            _ => Self::Up,
        }
    }

    /// Parses the output of `systemctl show`: `ActiveState=` and, while the unit has a job, its number as `Job=`.
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
    fn the_output_of_systemctl_show_is_parsed() {
        assert_eq!(ServiceState::parse("ActiveState=active\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=activating\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=inactive\n"), ServiceState::Stopped);
        assert_eq!(ServiceState::parse("Job=0\nActiveState=inactive\n"), ServiceState::Stopped);
        assert_eq!(ServiceState::parse("Job=71\nActiveState=inactive\n"), ServiceState::Up);
        assert_eq!(ServiceState::parse("ActiveState=failed\n"), ServiceState::Failed);
        assert_eq!(ServiceState::parse("Job=71\nActiveState=failed\n"), ServiceState::Up);
    }
}
