use std::error::Error as _;
use std::io::{BufReader, Read};
use std::sync::Mutex;

use bij_core::port::{Ledger, RunQueue};
use bij_core::{is_printable, printable};
use bij_fuzz::FuzzTarget;
use bij_sim::contract::{ledger_fixture as fixture, run_queue_fixture as queue};

use super::*;

fn exported(store: &Store) -> String {
    let mut lines = Vec::new();
    store.export(&mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}

/// Returns a store with one record of most kinds.
fn store() -> Store {
    let mut store = Store::in_memory().unwrap();
    let opening = fixture::fresh("x", 1, 1);
    store.close(&fixture::end(&opening, fixture::oom_kill())).unwrap();
    store.close(&fixture::end(&fixture::fresh("x", 1, 2), fixture::success())).unwrap();
    store.submit(&[queue::submission("x"), queue::submission("y")], fixture::at(0)).unwrap();
    store.change(&[queue::move_to("x#3", 70), queue::hold("y#1")], fixture::at(1)).unwrap();
    store.mark_clean_shutdown(fixture::boot(1), fixture::at(2)).unwrap();
    store
}

/// Imports lines that are refused. Returns the number of the line and the reason.
fn refusal(lines: &str) -> (u64, String) {
    let mut store = store();
    let before = exported(&store);
    let error = store.import(lines.as_bytes(), fixture::at(3)).unwrap_err();
    assert_eq!(exported(&store), before, "nothing has changed");
    let ImportError::Line { line, source } = error else { panic!("{error:?}") };
    (line, source.to_string())
}

/// Returns the export of [`store`] with each `from` replaced, which must be in it.
fn replaced(from: &str, to: &str) -> String {
    let lines = exported(&store());
    assert!(lines.contains(from), "{lines}");
    lines.replace(from, to)
}

#[test]
fn a_refusal_names_the_line_and_the_reason() {
    let header = "it is not the first line of an export: {\"format\":\"bij-store\",\"version\":1}";
    for lines in ["", "\n", "{}", "{\"format\":\"other\",\"version\":1}\n", "SQLite format 3\0"] {
        assert_eq!(refusal(lines), (1, header.to_owned()), "{lines:?}");
    }
    let newer = "the export has version 2; this bij knows versions up to 1";
    assert_eq!(refusal(&replaced("\"version\":1", "\"version\":2")), (1, newer.to_owned()));
    let all = exported(&store());
    let (cut, last) = all.trim_end().rsplit_once('\n').unwrap();
    let count = u64::try_from(all.lines().count()).unwrap();
    let why = "the export ends here, without its last line";
    assert_eq!(refusal(&format!("{cut}\n")), (count - 1, why.to_owned()));
    let after = (count + 1, "a record of kind any cannot follow the line before it".to_owned());
    assert_eq!(refusal(&format!("{all}\n")), after);
    assert_eq!(refusal(&format!("{all}{last}\n")), after);
    let fewer = refusal(&all.replacen("{\"run\":\"x#1\"}\n", "", 1));
    let missing =
        format!("lines are missing: there were {}, and {} were written", count - 2, count - 1);
    assert_eq!(fewer, (count - 1, missing));
}

#[test]
fn a_hostile_record_is_refused() {
    let line = |from, to| refusal(&replaced(from, to));
    let (number, why) = line("{\"run\":\"x#3\"}", "{\"run\":\"../x#3\"}");
    assert_eq!(number, 4);
    assert!(why.starts_with("it is not a whole record: \"../x#3\" is not a run"), "{why}");
    let (_, why) = line("{\"run\":\"x#3\"}", "{\"run\":\"x#4294967295\"}");
    assert_eq!(why, "the number of the run is too high");
    let (_, why) = line("{\"run\":\"x#3\"}", "{\"ru\u{1b}[2J\":\"x#3\"}");
    assert!(why.chars().all(is_printable), "{why}");
    let (_, why) = line("\"cause\":\"oom-kill\",\"evidence\"", "\"cause\":\"fate\",\"evidence\"");
    assert!(why.starts_with("it is not a whole record: "), "{why}");
    let (_, why) = line("\"last_position\":70", "\"last_position\":9223372036854775807");
    assert_eq!(why, "the last position is too high");
    let (_, why) = line("{\"run-end\":{\"run\":\"x#2\"", "{\"run-end\":{\"run\":\"x#9\"");
    assert_eq!(why, "there is no run x#9");
    let (_, why) = line("{\"event\":{\"seq\":2,", "{\"event\":{\"seq\":7,");
    assert_eq!(why, "event 7 does not follow event 1");
    let (_, why) = line("\"number\":1,\"key\"", "\"number\":2,\"key\"");
    assert!(why.starts_with("attempt b170"), "{why}");
}

#[test]
fn a_rule_of_the_database_refuses_what_no_ledger_holds() {
    let lines = replaced("\"number\":1,\"key\"", "\"number\":0,\"key\"");
    let mut empty = Store::in_memory().unwrap();
    let error = empty.import(lines.as_bytes(), fixture::at(3)).unwrap_err();
    assert_eq!(error.to_string(), "line 6 cannot be imported");
    assert_eq!(
        error.source().unwrap().to_string(),
        "the database has another history of x, which does not continue"
    );
    let open = replaced("{\"run-end\":", "{\"queued-end\":");
    assert!(empty.import(open.as_bytes(), fixture::at(3)).is_err());
}

#[test]
fn a_run_without_end_and_entry_is_refused() {
    let all = exported(&store());
    let lines: Vec<&str> = all.lines().filter(|line| !line.starts_with("{\"queued\"")).collect();
    let mut text = lines[..lines.len() - 1].join("\n");
    let end = format!("\n{{\"end\":{{\"lines\":{}}}}}\n", lines.len() - 1);
    text.push_str(&end);
    let mut empty = Store::in_memory().unwrap();
    let ImportError::Line { source, .. } =
        empty.import(text.as_bytes(), fixture::at(3)).unwrap_err()
    else {
        panic!("it is the fault of the lines")
    };
    assert_eq!(source.to_string(), "run x#3 has neither ended nor is it in the queue");
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let mut store = Store::in_memory().unwrap();
    let endless = BufReader::new(io::repeat(b' '));
    let error = store.import(endless, fixture::at(3)).unwrap_err();
    let too_long =
        |error| matches!(error, ImportError::Line { line: 1, source: InvalidLine::TooLong { .. } });
    assert!(too_long(error));
}

#[test]
fn an_input_that_cannot_be_read_changes_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let lines = exported(&store());
    let (first, _) = lines.split_at(200);
    let input = BufReader::new(first.as_bytes().chain(Broken));
    let mut empty = Store::in_memory().unwrap();
    let before = exported(&empty);
    let error = empty.import(input, fixture::at(3)).unwrap_err();
    assert!(matches!(error, ImportError::Read { .. }), "{error:?}");
    assert_eq!(exported(&empty), before);
}

/// Checks that an error and its sources can be written to a terminal.
fn assert_is_harmless(error: &dyn Error) {
    let text = error.to_string();
    assert_eq!(printable(&text), text);
    error.source().into_iter().for_each(assert_is_harmless);
}

/// A hostile export is refused and changes nothing, or is imported so that it is exported without a difference and the
/// store can still be used.
#[test]
fn fuzz_import() {
    let lines = exported(&store());
    let target = FuzzTarget::new("import", env!("CARGO_MANIFEST_DIR"));
    let tokens = &[
        "{\"removed\":{\"experiment\":\"x\",\"attempts\":9223372036854775807,\"crashes\":1,\"crashes_by_cause\":{},\"last_cause\":null,\"last_checkpoint\":null}}\n",
        "{\"run\":\"x#2147483647\"}\n",
        "{\"admission\":{\"last_position\":6917529027641081853,\"paused\":null}}\n",
        "{\"end\":{\"lines\":2}}",
        "18446744073709551615",
        "-9223372036854775808",
        "null",
        "\n",
    ];
    let new = |is_restore: bool| if is_restore { Store::in_memory().unwrap() } else { store() };
    let stores = [Mutex::new(new(false)), Mutex::new(new(true))];
    target.also([lines.into_bytes()]).tokens(tokens).run(|bytes| {
        let is_restore = bytes.len() % 2 == 0;
        let mut kept = stores[usize::from(is_restore)].lock().unwrap();
        let before = exported(&kept);
        if let Err(error) = kept.import(bytes, fixture::at(3)) {
            assert_is_harmless(&error);
            assert_eq!(exported(&kept), before);
        } else {
            let mut store = std::mem::replace(&mut *kept, new(is_restore));
            let lines = exported(&store);
            assert_eq!(store.import(bytes, fixture::at(4)).unwrap(), Imported::default());
            assert_eq!(exported(&store), lines);
            let mut copy = Store::in_memory().unwrap();
            copy.import(lines.as_bytes(), fixture::at(4)).unwrap();
            assert_eq!(exported(&copy), lines);
            store.submit(&[queue::submission("x")], fixture::at(5)).unwrap();
            store.open(&fixture::fresh("x", 9, 999)).unwrap();
            store.tallies().unwrap();
        }
    });
}
