//! Determines who wrote a record about an experiment.
//!
//! Every process may send a record to journald and choose all of its fields except those whose names begin with an
//! underscore, which journald sets itself (systemd.journal-fields(7), "Trusted Journal Fields"). So a record is
//! about an experiment only if one of these is true:
//!
//! - a process of the experiment's unit wrote it (`_SYSTEMD_UNIT`);
//! - the unit's manager wrote it and names the unit in `UNIT`;
//! - root, or under a user's manager that user, wrote it on behalf of the unit in `OBJECT_SYSTEMD_UNIT`. Such are
//!   the last records of a hook that ended before journald looked up its unit.
//!
//! `journalctl --unit` applies the same rules (`add_matches_for_unit()` of systemd's logs-show.c). `_COMM` and
//! `_CMDLINE` prove nothing, because a process chooses its own name.

use bij_core::{ExperimentId, InvocationId};

use crate::journal::{MANAGER_UNIT, Record, TrustedWriters};

/// Path of the installed hooks.
const HOOK: &str = "/usr/libexec/brain-in-jar/bij-hook";
const HOOK_IDENTIFIER: &str = "bij-hook";

/// The writer of a line of an experiment's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The experiment, on its standard output or error.
    Experiment,
    /// A process of the experiment's unit under another identifier (`SYSLOG_IDENTIFIER`). It may use any name,
    /// even that of a hook or of the service manager.
    Process(String),
    /// The service manager itself.
    Manager,
    /// A hook of the unit.
    Hook,
    /// A program that runs as root, or as the user of the user manager, on behalf of the unit; with the identifier that
    /// it chose.
    OnBehalf(String),
}

/// A record's writer, and the unit and invocation that it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Author {
    pub(super) writer: Writer,
    pub(super) experiment: ExperimentId,
    pub(super) invocation: Option<InvocationId>,
}

impl TrustedWriters {
    /// Returns the author of a record about an experiment; `None` if the record is not about one, or only claims to be.
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

    /// Returns `true` if a process of a unit that claims to be a hook is one. The hooks of the system's units run as
    /// root; an experiment may do so too, but has another executable.
    fn is_hook(self, record: &Record) -> bool {
        // journald cannot tell the executable of a process that has ended.
        let program = record.text("_EXE");
        self.is_trusted_uid(record) && program.is_none_or(|program| program == HOOK)
    }

    /// Returns journalctl matches that select every record that can be about an experiment, among others;
    /// [`author`](Self::author) decides which of them are.
    pub(super) fn candidate_matches(self) -> Vec<String> {
        match self {
            Self::System => ["BIJ_KIND=experiment", "+", "_PID=1"].map(ToOwned::to_owned).to_vec(),
            Self::User { uid } => vec![format!("_UID={uid}")],
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
    use nix::unistd::Uid;

    use super::*;

    const UNIT: &str = "brain-experiment@x.service";
    const USER: TrustedWriters = TrustedWriters::User { uid: Uid::from_raw(1000) };

    fn record(fields: &[(&str, &str)]) -> Record {
        let all: serde_json::Map<String, serde_json::Value> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        Record::parse(&serde_json::to_vec(&all).unwrap()).unwrap()
    }

    fn writer(trust: TrustedWriters, fields: &[(&str, &str)]) -> Option<Writer> {
        trust.author(&record(fields)).map(|author| author.writer)
    }

    #[test]
    fn forged_fields_of_other_processes_are_ignored() {
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
            // A process chooses its own name.
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
                assert_eq!(writer(TrustedWriters::System, &fields), None, "{identifier} in {unit}");
                assert_eq!(writer(USER, &fields), None, "{identifier} in {unit}");
            }
        }
    }

    #[test]
    fn an_experiment_cannot_forge_records_of_another_even_as_root() {
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
        let author = TrustedWriters::System.author(&record(&forged)).unwrap();
        assert_eq!(author.experiment.as_str(), "evil");
        assert_eq!(author.writer, Writer::Process("bij-hook".to_owned()));
        assert_eq!(author.invocation, None, "an invocation that it chose itself");
    }

    #[test]
    fn a_users_unit_is_not_mistaken_for_the_systems_unit_of_the_same_name() {
        let users = [("_SYSTEMD_UNIT", "user@1000.service"), ("_SYSTEMD_USER_UNIT", UNIT)];
        let of_uid = |uid| [&users[..], &[("_UID", uid)]].concat();
        assert_eq!(writer(TrustedWriters::System, &of_uid("1000")), None);
        assert_eq!(writer(USER, &of_uid("1000")), Some(Writer::Experiment));
        assert_eq!(writer(USER, &of_uid("1001")), None, "of another user");
    }

    #[test]
    fn records_of_the_manager_and_of_hooks_are_recognised() {
        let manager = [("_PID", "1"), ("_UID", "0"), ("UNIT", UNIT)];
        assert_eq!(writer(TrustedWriters::System, &manager), Some(Writer::Manager));
        let manager = [("_UID", "1000"), ("_SYSTEMD_USER_UNIT", MANAGER_UNIT), ("USER_UNIT", UNIT)];
        assert_eq!(writer(USER, &manager), Some(Writer::Manager));
        let hook = [("_UID", "0"), ("SYSLOG_IDENTIFIER", "bij-hook")];
        let in_unit = [&hook[..], &[("_SYSTEMD_UNIT", UNIT), ("_EXE", HOOK)]].concat();
        assert_eq!(writer(TrustedWriters::System, &in_unit), Some(Writer::Hook));
        let late = [&hook[..], &[("OBJECT_SYSTEMD_UNIT", UNIT)]].concat();
        assert_eq!(writer(TrustedWriters::System, &late), Some(Writer::Hook));
    }
}
