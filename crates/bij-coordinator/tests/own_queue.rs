//! The example `own_queue`, as its reader would run it.
#![expect(clippy::disallowed_methods, reason = "a test that runs a program")]

use std::process::Command;

#[test]
fn it_says_why_each_job_waits_until_all_have_ended() {
    // Cargo builds the examples beside the tests.
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/own_queue");
    assert!(program.exists(), "{} is missing: build the examples, too", program.display());
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        [
            "fetch-a#1 is queued at 1",
            "fetch-b#1 is queued at 2",
            "train#1 is queued at 3",
            "sweep#1 is queued at 4",
            "refused: whale could never start: claims 60.0G of memory, more than the budget of 32.0G",
            "fetch-b#1 starts",
            "sweep#1 starts",
            "fetch-a#1 waits: 1 of 1 slots of group downloads are taken",
            "train#1 waits: claims 20.0G of memory, 15.0G of the budget of 32.0G are free",
            "fetch-b#1 ends: exit status: 0",
            "fetch-a#1 starts",
            "train#1 waits: claims 20.0G of memory, 15.0G of the budget of 32.0G are free",
            "sweep#1 ends: exit status: 0",
            "train#1 starts",
            "fetch-a#1 ends: exit status: 0",
            "train#1 ends: exit status: 0",
        ]
    );
}
