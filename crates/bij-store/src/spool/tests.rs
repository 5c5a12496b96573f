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
