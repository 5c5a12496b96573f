//! Hostile content of spool files is refused, or read and written again without a difference.

use bij_fuzz::{FuzzTarget, assert_harmless};
use bij_sim::contract::ledger_fixture as fixture;

use super::*;

#[test]
fn fuzz_spool_record() {
    let opening = fixture::restart("x", 1, 7);
    let evidence = fixture::with_checkpoint(3, fixture::oom_kill());
    let closing = fixture::end(&opening, evidence);
    let opening = SpoolRecord::Open(opening);
    let seeds = [&opening, &SpoolRecord::Close(Box::new(closing))]
        .map(|record| record.to_json(42).into_bytes());
    // No real sequence number is that high, but a file can hold it.
    let last = opening.to_json(u64::MAX).into_bytes();
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::new(directory.path().to_owned());
    let file = directory.path().join("hostile.json");
    FuzzTarget::new("spool-record", env!("CARGO_MANIFEST_DIR"))
        .also(seeds)
        .also([last])
        .tokens(&[
            "\"sequence\":18446744073709551615",
            "\"format\":1",
            "\"kind\":\"",
            "\"open\"",
            "null",
        ])
        .run(|bytes| {
            match SpoolRecord::from_json(bytes) {
                Err(error) => assert_harmless(&error.to_string()),
                Ok((sequence, record)) => {
                    let text = record.to_json(sequence);
                    let again = SpoolRecord::from_json(text.as_bytes()).unwrap();
                    assert_eq!(again, (sequence, record.clone()), "{text}");
                    let name = record.file_name();
                    assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
                }
            }
            // Beside any content, another record can be written and is read again.
            fs::write(&file, bytes).unwrap();
            spool.put(&opening).unwrap();
            let contents = spool.contents().unwrap();
            assert!(contents.records.iter().any(|entry| entry.record == opening));
            for entry in contents.records {
                remove(&entry.file).unwrap();
            }
        });
}
