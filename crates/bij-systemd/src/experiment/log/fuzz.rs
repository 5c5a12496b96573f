//! Parses records of hostile content. Records of other processes must never count as an experiment's lines.

use bij_core::ExperimentId;
use bij_fuzz::FuzzTarget;

use super::{JournalLine, Writer};
use crate::journal::{Record, TrustedWriters, read_end};

/// Replaces the trusted fields of a record with those of an unrelated process.
fn from_stranger(line: &str) -> Option<Record> {
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    fields.retain(|name, _| !name.starts_with('_') || name.starts_with("__"));
    for (name, value) in [("_PID", "77"), ("_UID", "1001"), ("_SYSTEMD_UNIT", "session-3.scope")] {
        fields.insert(name.to_owned(), value.into());
    }
    Record::parse(&serde_json::to_vec(&fields).unwrap()).ok()
}

#[test]
fn fuzz_journal_record() {
    let user = TrustedWriters::User { uid: nix::unistd::Uid::from_raw(1000) };
    FuzzTarget::new("journal-record", env!("CARGO_MANIFEST_DIR"))
        .tokens(&[
            "\"UNIT\":\"brain-experiment@y.service\"",
            "\"_PID\":\"1\"",
            "\"_UID\":\"0\"",
            "\"MESSAGE\":",
            "[1,2,3]",
            "[[104],[105]]",
            "\"\\ud800\"",
        ])
        .run(|bytes| {
            let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            let parsed = lines.iter().filter_map(|line| Record::parse(line).ok());
            let records: Vec<Record> = parsed.collect();
            let _ = read_end(&records);
            for record in &records {
                for trust in [TrustedWriters::System, user] {
                    let Some(line) = JournalLine::from_record(record, trust) else { continue };
                    let name = line.experiment.as_str();
                    assert!(ExperimentId::new(name).is_ok(), "{name:?} is no id");
                    assert!(
                        line.writer != Writer::Manager
                            || trust != TrustedWriters::System
                            || record.text("_PID").as_deref() == Some("1")
                    );
                }
            }
            for line in lines.iter().filter_map(|line| std::str::from_utf8(line).ok()) {
                let Some(record) = from_stranger(line) else { continue };
                for trust in [TrustedWriters::System, user] {
                    let believed = JournalLine::from_record(&record, trust);
                    assert!(believed.is_none(), "a stranger's record is {believed:?}");
                }
            }
        });
}
