//! Who wrote a record about an experiment.
//!
//! Every process may send a record to journald and choose all of its fields but those whose names begin
//! with an underscore, which journald writes itself (systemd.journal-fields(7), "Trusted Journal Fields").
//! So a record is about an experiment only if one of these is true:
//!
//! - a process of the experiment's unit wrote it: `_SYSTEMD_UNIT`;
//! - the unit's own manager wrote it, and names the unit in `UNIT`;
//! - root, or under a user's own manager that user, wrote it on behalf of the unit that
//!   `OBJECT_SYSTEMD_UNIT` names: the last words of a hook, which has ended before journald looks its
//!   unit up.
//!
//! These are the rules of `journalctl --unit` as well (`add_matches_for_unit()` of systemd's
//! logs-show.c). `_COMM` and `_CMDLINE` prove nothing: a process chooses its own name.

use bij_core::{ExperimentId, InvocationId};
use nix::unistd::Uid;

use super::record::Record;

/// Which writers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// PID 1, and root on behalf of others.
    System,
    /// One user's own service manager, and this user on behalf of others.
    User {
        /// The user.
        uid: Uid,
    },
}

/// Where the hooks are installed.
const HOOK: &str = "/usr/libexec/brain-in-jar/bij-hook";
const HOOK_IDENTIFIER: &str = "bij-hook";

/// The unit that a manager's own process is in, directly below PID 1 or below `user@UID.service`
/// (systemd.special(7)).
const MANAGER_UNIT: &str = "init.scope";

/// The writer of a line of an experiment's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The experiment: it wrote to its output.
    Experiment,
    /// A process of the experiment's unit that names itself so (`SYSLOG_IDENTIFIER`). It may take any
    /// name, also that of a hook or of the service manager.
    Process(String),
    /// The service manager.
    Manager,
    /// A hook of the unit.
    Hook,
    /// A program that root runs, or the user whose manager it is, on behalf of the unit; by the name
    /// that it gives itself.
    OnBehalf(String),
}

/// A record's writer, and the unit and life that it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Author {
    pub(super) writer: Writer,
    pub(super) experiment: ExperimentId,
    pub(super) invocation: Option<InvocationId>,
}

impl Trust {
    /// Returns who wrote a record about an experiment; `None` if it is not about one, or only says so.
    pub(super) fn author(self, record: &Record) -> Option<Author> {
        self.manager(record).or_else(|| self.process(record)).or_else(|| self.on_behalf(record))
    }

    fn manager(self, record: &Record) -> Option<Author> {
        let (unit, invocation) = match self {
            Self::System if is(record, "_PID", "1") => ("UNIT", "INVOCATION_ID"),
            Self::User { .. }
                if self.is_trusted_uid(record)
                    && is(record, "_SYSTEMD_USER_UNIT", MANAGER_UNIT) =>
            {
                ("USER_UNIT", "USER_INVOCATION_ID")
            }
            Self::System | Self::User { .. } => return None,
        };
        Some(Author {
            writer: Writer::Manager,
            experiment: experiment(record, unit)?,
            invocation: record.number(invocation),
        })
    }

    fn process(self, record: &Record) -> Option<Author> {
        let experiment = match self {
            Self::System => experiment(record, "_SYSTEMD_UNIT"),
            Self::User { .. } => {
                experiment(record, "_SYSTEMD_USER_UNIT").filter(|_| self.is_trusted_uid(record))
            }
        }?;
        let identifier = record.text("SYSLOG_IDENTIFIER");
        let writer = match identifier {
            Some(name) if name == HOOK_IDENTIFIER && self.is_hook(record) => Writer::Hook,
            Some(name) if name != experiment.syslog_identifier() => Writer::Process(name),
            Some(_) | None => Writer::Experiment,
        };
        let invocation = record.number("_SYSTEMD_INVOCATION_ID");
        Some(Author { writer, experiment, invocation })
    }

    fn on_behalf(self, record: &Record) -> Option<Author> {
        let unit = match self {
            Self::System => "OBJECT_SYSTEMD_UNIT",
            Self::User { .. } => "OBJECT_SYSTEMD_USER_UNIT",
        };
        let experiment = experiment(record, unit).filter(|_| self.is_trusted_uid(record))?;
        let writer = match record.text("SYSLOG_IDENTIFIER") {
            Some(name) if name == HOOK_IDENTIFIER => Writer::Hook,
            name => Writer::OnBehalf(name.unwrap_or_default()),
        };
        Some(Author { writer, experiment, invocation: record.number("INVOCATION_ID") })
    }

    /// Whether a process of a unit that calls itself a hook is one. The hooks of the system's units run
    /// as root; an experiment may do so as well, but is another program.
    fn is_hook(self, record: &Record) -> bool {
        // A process that has ended by now has no program any more.
        let program = record.text("_EXE");
        self.is_trusted_uid(record) && program.is_none_or(|program| program == HOOK)
    }

    fn is_trusted_uid(self, record: &Record) -> bool {
        let trusted = match self {
            Self::System => Uid::from_raw(0),
            Self::User { uid } => uid,
        };
        record.number("_UID") == Some(trusted.as_raw())
    }

    /// Matches by which journalctl finds every record that can be about an experiment, and others: a
    /// record is about one if [`author`](Self::author) says so.
    pub(super) fn candidates(self) -> Vec<String> {
        match self {
            Self::System => ["BIJ_KIND=experiment", "+", "_PID=1"].map(ToOwned::to_owned).to_vec(),
            Self::User { uid } => vec![format!("_UID={uid}")],
        }
    }

    /// Matches for what the manager wrote about one life of a unit.
    pub(super) fn manager_on(self, invocation: InvocationId) -> Vec<String> {
        match self {
            Self::System => vec!["_PID=1".to_owned(), format!("INVOCATION_ID={invocation}")],
            Self::User { uid } => vec![
                format!("_UID={uid}"),
                format!("_SYSTEMD_USER_UNIT={MANAGER_UNIT}"),
                format!("USER_INVOCATION_ID={invocation}"),
            ],
        }
    }
}

fn is(record: &Record, name: &str, value: &str) -> bool {
    record.text(name).as_deref() == Some(value)
}

fn experiment(record: &Record, name: &str) -> Option<ExperimentId> {
    ExperimentId::from_unit_name(&record.text(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "brain-experiment@x.service";
    const USER: Trust = Trust::User { uid: Uid::from_raw(1000) };

    fn record(fields: &[(&str, &str)]) -> Record {
        let all: serde_json::Map<String, serde_json::Value> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        Record::parse(&serde_json::to_vec(&all).unwrap()).unwrap()
    }

    fn writer(trust: Trust, fields: &[(&str, &str)]) -> Option<Writer> {
        trust.author(&record(fields)).map(|author| author.writer)
    }

    #[test]
    fn what_a_stranger_forges_is_about_no_experiment() {
        let forged = [
            ("UNIT", UNIT),
            ("USER_UNIT", UNIT),
            ("OBJECT_SYSTEMD_UNIT", UNIT),
            ("OBJECT_SYSTEMD_USER_UNIT", UNIT),
            ("BIJ_KIND", "experiment"),
            ("BIJ_EXPERIMENT", "x"),
            ("INVOCATION_ID", "07070707070707070707070707070707"),
        ];
        for identifier in ["systemd", "bij-hook", "brain-experiment-x"] {
            // The name of a process is its own choice.
            for (uid, unit) in [("1001", "session-3.scope"), ("1001", "user@1001.service")] {
                let own = [
                    ("SYSLOG_IDENTIFIER", identifier),
                    ("_COMM", "systemd"),
                    ("_UID", uid),
                    ("_PID", "77"),
                    ("_SYSTEMD_UNIT", unit),
                    ("_SYSTEMD_USER_UNIT", MANAGER_UNIT),
                ];
                let fields = [&forged[..], &own[..]].concat();
                assert_eq!(writer(Trust::System, &fields), None, "{identifier} in {unit}");
                assert_eq!(writer(USER, &fields), None, "{identifier} in {unit}");
            }
        }
    }

    #[test]
    fn another_experiment_speaks_for_itself_only_even_as_root() {
        let forged = [
            ("_SYSTEMD_UNIT", "brain-experiment@evil.service"),
            ("_UID", "0"),
            ("_PID", "77"),
            ("_EXE", "/usr/bin/python3.11"),
            ("OBJECT_SYSTEMD_UNIT", UNIT),
            ("UNIT", UNIT),
            ("INVOCATION_ID", "07070707070707070707070707070707"),
            ("SYSLOG_IDENTIFIER", "bij-hook"),
        ];
        let author = Trust::System.author(&record(&forged)).unwrap();
        assert_eq!(author.experiment.as_str(), "evil");
        assert_eq!(author.writer, Writer::Process("bij-hook".to_owned()));
        assert_eq!(author.invocation, None, "a life that it chose itself");
    }

    #[test]
    fn a_users_unit_of_the_same_name_is_not_the_systems() {
        let users = [("_SYSTEMD_UNIT", "user@1000.service"), ("_SYSTEMD_USER_UNIT", UNIT)];
        let of_uid = |uid| [&users[..], &[("_UID", uid)]].concat();
        assert_eq!(writer(Trust::System, &of_uid("1000")), None);
        assert_eq!(writer(USER, &of_uid("1000")), Some(Writer::Experiment));
        assert_eq!(writer(USER, &of_uid("1001")), None, "of another user");
    }

    #[test]
    fn the_manager_and_the_hooks_are_heard() {
        let manager = [("_PID", "1"), ("_UID", "0"), ("UNIT", UNIT)];
        assert_eq!(writer(Trust::System, &manager), Some(Writer::Manager));
        let manager = [("_UID", "1000"), ("_SYSTEMD_USER_UNIT", MANAGER_UNIT), ("USER_UNIT", UNIT)];
        assert_eq!(writer(USER, &manager), Some(Writer::Manager));
        let hook = [("_UID", "0"), ("SYSLOG_IDENTIFIER", "bij-hook")];
        let in_unit = [&hook[..], &[("_SYSTEMD_UNIT", UNIT), ("_EXE", HOOK)]].concat();
        assert_eq!(writer(Trust::System, &in_unit), Some(Writer::Hook));
        let late = [&hook[..], &[("OBJECT_SYSTEMD_UNIT", UNIT)]].concat();
        assert_eq!(writer(Trust::System, &late), Some(Writer::Hook));
    }
}
