//! Spool files of hostile content: set aside, or read and written again without a difference.

use bij_fuzz::{Target, assert_harmless};
use bij_sim::contract::ledger_fixture as fixture;

use super::*;

#[test]
fn fuzz_spool_record() {
    let opening = fixture::restart("x", 1, 7);
    let evidence = fixture::with_checkpoint(3, fixture::oom_kill());
    let closing = fixture::end(&opening, evidence);
    let opening = Record::Open(opening);
    let seeds =
        [&opening, &Record::Close(Box::new(closing))].map(|record| record.to_json(42).into_bytes());
    // Nobody counts so far, but a file may say so.
    let last = opening.to_json(u64::MAX).into_bytes();
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::new(directory.path().to_owned());
    let file = directory.path().join("hostile.json");
    Target::new("spool-record", env!("CARGO_MANIFEST_DIR"))
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
            match Record::from_json(bytes) {
                Err(error) => assert_harmless(&error.to_string()),
                Ok((sequence, record)) => {
                    let text = record.to_json(sequence);
                    let again = Record::from_json(text.as_bytes()).unwrap();
                    assert_eq!(again, (sequence, record.clone()), "{text}");
                    let name = record.file_name();
                    assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
                }
            }
            // Whatever lies there, another record can be put beside it and is read again.
            fs::write(&file, bytes).unwrap();
            spool.put(&opening).unwrap();
            let contents = spool.contents().unwrap();
            assert!(contents.records.iter().any(|kept| kept.record == opening));
            for kept in contents.records {
                remove(&kept.file).unwrap();
            }
        });
}
