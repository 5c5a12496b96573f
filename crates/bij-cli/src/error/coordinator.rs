//! Errors of the coordinator's client, with their remedies.

use bij_api::{ClientError, Refusal, RefusalKind};

use super::{CliError, Kind};

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::Late { .. } => Self::from_error(Kind::Unreachable, &error)
                .hint("the change may have been made: see `bij queue` and `bij events`"),
            ClientError::NoCoordinator | ClientError::NotListening => {
                Self::from_error(Kind::Unreachable, &error)
            }
            ClientError::Unreachable(_) => Self::from_error(Kind::Unreachable, &error)
                .hint("if this was a change, `bij events` shows whether it was made"),
            _ => Self::from_error(Kind::Internal, &error),
        }
    }
}

impl CliError {
    /// Adds the remedies for a change of units that systemd permits to root only and that the
    /// coordinator did not make for the caller.
    #[must_use]
    pub(crate) fn hint_at_coordinator(self, refused: &ClientError) -> Self {
        match refused {
            ClientError::Refused(Refusal { remedy: Some(remedy), .. }) => self.hint(remedy.as_str()),
            ClientError::NoCoordinator | ClientError::NotListening => self
                .hint("members of group bij need the coordinator for this: `sudo systemctl enable --now brain-experiment-coordinator`")
                .hint("or repeat the command with sudo"),
            _ => self.hint("repeat the command with sudo"),
        }
    }
}

impl From<&Refusal> for CliError {
    fn from(Refusal { kind, text, remedy }: &Refusal) -> Self {
        let error = Self::new(Kind::from(*kind), text.as_str());
        remedy.iter().fold(error, |error, remedy| error.hint(remedy.as_str()))
    }
}

impl From<RefusalKind> for Kind {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Denied => Self::Permission,
            RefusalKind::NotFound => Self::NotFound,
            RefusalKind::Invalid => Self::Usage,
            RefusalKind::Impossible => Self::Failed,
            RefusalKind::Store => Self::Database,
            RefusalKind::Trouble => Self::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_remedy_and_gets_a_code() {
        for (kind, code) in [
            (RefusalKind::Denied, 103),
            (RefusalKind::NotFound, 102),
            (RefusalKind::Invalid, 2),
            (RefusalKind::Impossible, 1),
            (RefusalKind::Store, 106),
            (RefusalKind::Trouble, 104),
        ] {
            let refusal = Refusal::new(kind, "you may not").remedy("join group bij");
            let error = CliError::from(ClientError::from(refusal));
            assert_eq!((error.kind.code(), error.sentence().as_str()), (code, "you may not"));
            assert_eq!(error.hints, ["join group bij"]);
        }
    }
}
