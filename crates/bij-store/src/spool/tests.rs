use bij_fuzz::{FuzzTarget, assert_harmless};
use bij_sim::contract::ledger_fixture as fixture;

use super::*;

fn spool() -> (tempfile::TempDir, Spool) {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::new(directory.path().join("run/spool"));
    (directory, spool)
}

fn names(spool: &Spool) -> Vec<String> {
    let entries = fs::read_dir(&spool.directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn records_are_read_in_the_order_in_which_they_were_written() {
    let (_directory, spool) = spool();
    assert!(spool.contents().unwrap().records.is_empty(), "there is no directory yet");
    let mut put = Vec::new();
    // Keys that sort in reverse.
    for invocation in (1..=12).rev() {
        let opening = fixture::fresh("x", 1, invocation);
        let closing = fixture::end(&opening, fixture::segfault());
        put.extend([SpoolRecord::Open(opening), SpoolRecord::Close(Box::new(closing))]);
    }
    for record in &put {
        assert!(spool.put(record).unwrap().is_some());
    }
    let found = spool.contents().unwrap().records;
    assert_eq!(found.into_iter().map(|entry| entry.record).collect::<Vec<_>>(), put);
    assert_eq!(names(&spool).len(), put.len(), "nothing else is left behind");
}

#[test]
fn the_first_of_two_records_of_the_same_end_is_kept() {
    let (_directory, spool) = spool();
    let opening = fixture::fresh("x", 1, 1);
    let first = SpoolRecord::Close(Box::new(fixture::end(&opening, fixture::oom_kill())));
    let second = SpoolRecord::Close(Box::new(fixture::end(&opening, fixture::segfault())));
    assert!(spool.put(&first).unwrap().is_some());
    assert_eq!(spool.put(&second).unwrap(), None);
    let found = spool.contents().unwrap().records;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].record, first);
}

#[test]
fn damaged_files_are_renamed_and_never_overwrite_each_other() {
    let (_directory, spool) = spool();
    let record = SpoolRecord::Open(fixture::fresh("x", 1, 1));
    for content in ["{", "half a rec"] {
        let file = spool.put(&record).unwrap().unwrap();
        fs::write(&file, content).unwrap();
        let damaged = spool.contents().unwrap().damaged;
        assert_eq!(damaged.len(), 1);
        let aside = move_aside(&damaged[0].0).unwrap().unwrap();
        assert_eq!(fs::read_to_string(aside).unwrap(), content);
    }
    assert_eq!(names(&spool).len(), 2);
    let contents = spool.contents().unwrap();
    assert!(contents.records.is_empty() && contents.damaged.is_empty());
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let opening = fixture::restart("x", 1, 7);
    let evidence = fixture::with_checkpoint(3, fixture::oom_kill());
    let closing = fixture::end(&opening, evidence);
    for record in [SpoolRecord::Open(opening), SpoolRecord::Close(Box::new(closing))] {
        let text = record.to_json(42);
        assert_eq!(SpoolRecord::from_json(text.as_bytes()).unwrap(), (42, record), "{text}");
    }
}

#[test]
fn a_damaged_record_is_refused() {
    let text = SpoolRecord::Open(fixture::fresh("x", 1, 1)).to_json(1);
    for cut in 0..text.len() {
        assert!(SpoolRecord::from_json(&text.as_bytes()[..cut]).is_err(), "{cut}");
    }
    let newer = text.replace("\"format\":1", "\"format\":2");
    assert!(matches!(SpoolRecord::from_json(newer.as_bytes()), Err(InvalidSpoolRecord::Format(2))));
    let elsewhere = text.replace("\"experiment\":\"x\"", "\"experiment\":\"../x\"");
    assert!(SpoolRecord::from_json(elsewhere.as_bytes()).is_err());
}

/// Hostile content of spool files is refused, or read and written again without a difference.
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
