//! Without a coordinator: what changes something says how to get one, and looking still works.

use serde_json::json;

use super::bij::Bij;

#[test]
fn what_would_change_something_ends_with_104_and_a_remedy() {
    let bij = Bij::new();
    bij.define("x.toml", "command = [\"true\"]\n");
    for words in [
        "submit x",
        "submit x --param n=1..3",
        "submit -- true",
        "hold x",
        "release x",
        "cancel x",
        "requeue x",
        "priority 1 x",
        "move x --first",
        "edit x --now",
        "pause",
        "resume",
        "groups",
        "groups set g --slots 1",
        "reload",
    ] {
        let said = bij.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((said.code, said.out.as_str()), (104, ""), "{words}: {said:?}");
        assert!(
            said.err.starts_with("error: no coordinator runs here\nhint: "),
            "{words}: {said:?}"
        );
    }
    assert!(!bij.path("var/lib/brain-in-jar/definitions").exists(), "nothing was written");
}

#[test]
fn looking_tells_what_is_on_disk() {
    let bij = Bij::new();
    let queue = bij.call(&["--json", "queue"]);
    assert_eq!((queue.code, queue.json()), (0, json!([])), "{queue:?}");
    assert!(queue.err.starts_with("warning: no coordinator runs here: "), "{queue:?}");
    assert!(queue.err.contains("on disk") && queue.err.contains("hint: "), "{queue:?}");
    assert_eq!(bij.call(&["events"]).code, 0);
    let why = bij.call(&["why", "x"]);
    assert_eq!(why.code, 102, "{why:?}");
    assert!(why.err.contains("there is no run x"), "{why:?}");
}
