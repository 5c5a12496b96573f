//! All requests and their answers.

use bij_core::port::AttemptScan;
use bij_core::queue::RunRef;
use bij_core::request::{
    Act, AdmissionRequest, AttemptsQuery, Edit, EntryState, EventQuery, GroupSetting,
    HISTORY_PAGE_LEN, MoveTo, PAGE_LEN, PauseRequest, PowerModeRequest, QueueEntry, QueueQuery,
    Submit, SubmitOptions,
};

use super::*;
use crate::dictionary::Dictionary;
use crate::queue_text::QueueText;
use crate::{ClientError, RefusalKind};

fn runs(count: usize) -> Vec<Submit> {
    (0..count).map(|n| Submit::new(format!("x{n}").parse().unwrap())).collect()
}

fn run(text: &str) -> RunRef {
    text.parse().unwrap()
}

#[tokio::test]
async fn submitted_runs_are_in_the_queue_with_their_gates() {
    let served = Served::start();
    let client = served.client().await;
    let wanted = Submit { priority: Some(-3), extras: "a = 1".into(), ..runs(1).remove(0) };
    let taken = client.submit(&[wanted], SubmitOptions::default()).await.unwrap();
    let queue = client.queue(&QueueQuery::default()).await.unwrap();
    assert_eq!(queue, taken);
    let entry = &queue[0];
    assert_eq!((entry.id().to_string().as_str(), entry.state), ("x0#1", EntryState::Waiting));
    assert_eq!((entry.priority, entry.extras.as_str()), (-3, "a = 1"));
    assert_eq!(&*entry.waiting_on[0].gate, "slots");
    assert_eq!(&*entry.waiting_on[0].text, "4 of 4 slots are taken");
}

#[tokio::test]
async fn a_queue_longer_than_one_answer_is_read_completely_and_in_order() {
    let served = Served::start();
    let client = served.client().await;
    let count = PAGE_LEN as usize * 2 + 7;
    client.submit(&runs(count), SubmitOptions::default()).await.unwrap();
    let queue = client.queue(&QueueQuery::default()).await.unwrap();
    let expected: Vec<String> = (0..count).map(|n| format!("x{n}")).collect();
    assert_eq!(names(&queue), expected);
    let why = client.why(&run("x2000")).await.unwrap();
    assert_eq!(why.ahead.len(), 2000);
    let one = QueueQuery { experiment: Some("x9".parse().unwrap()), ..QueueQuery::default() };
    assert_eq!(client.queue(&one).await.unwrap().len(), 1);
}

fn names(queue: &[QueueEntry]) -> Vec<String> {
    queue.iter().map(|entry| entry.experiment.to_string()).collect()
}

#[tokio::test]
async fn the_queue_is_complete_for_every_page_length() {
    let count = PAGE_LEN as usize + 7;
    for piece in [PAGE_LEN as usize / 3, count, PAGE_LEN as usize * 2] {
        let served = Served::with(Model::with_page_len(piece));
        let client = served.client().await;
        client.submit(&runs(count), SubmitOptions::default()).await.unwrap();
        let queue = client.queue(&QueueQuery::default()).await.unwrap();
        let expected: Vec<String> = (0..count).map(|n| format!("x{n}")).collect();
        assert_eq!(names(&queue), expected, "{piece} at a time");
    }
}

#[tokio::test]
async fn empty_pages_do_not_cause_an_endless_loop() {
    let served = Served::with(Model::with_page_len(0));
    let client = served.client().await;
    client.submit(&runs(3), SubmitOptions::default()).await.unwrap();
    assert_eq!(client.queue(&QueueQuery::default()).await.unwrap(), []);
}

#[tokio::test]
async fn a_queue_that_changes_while_it_is_read_is_read_again() {
    let served = Served::with(Model::with_page_len(10).with_removals(1));
    let client = served.client().await;
    client.submit(&runs(25), SubmitOptions::default()).await.unwrap();
    let queue = client.queue(&QueueQuery::default()).await.unwrap();
    // Without x0, which went, and with x10, which stood in its place when it was skipped.
    let expected: Vec<String> = (1..25).map(|n| format!("x{n}")).collect();
    assert_eq!(names(&queue), expected);
}

#[tokio::test]
async fn an_hour_of_samples_is_read_completely_and_in_order() {
    let served = Served::start();
    let client = served.client().await;
    let samples = client.board().await.unwrap();
    assert!(samples.iter().map(|sample| sample.uptime_usec).eq(1..=model::SAMPLES));
    assert_eq!((&*samples[0].zones[0].name, samples[0].total_milliwatts), ("tj", Some(8918)));
}

#[tokio::test]
async fn every_other_call_arrives_and_is_answered() {
    let served = Served::start();
    let client = served.client().await;
    client.submit(&runs(2), SubmitOptions { dry_run: false }).await.unwrap();
    let edit = Edit { priority: Some(7), ..Edit::default() };
    assert_eq!(client.edit(&run("x0#1"), &edit).await.unwrap().priority, 7);
    for act in [Act::Hold, Act::Prioritize { priority: 2 }, Act::Move { to: MoveTo::First }] {
        let done = client.act(&act, &[run("x0"), run("x1")]).await.unwrap();
        assert!(done.iter().all(|one| one.changed) && done.len() == 2);
    }
    let behind = Act::Move { to: MoveTo::Behind("x1#1".parse().unwrap()) };
    client.act(&behind, &[run("x0")]).await.unwrap();
    let request = PauseRequest { group: None, paused: true };
    assert!(client.pause(&request).await.unwrap());
    assert!(!client.pause(&request).await.unwrap(), "it was so already");
    let group = GroupSetting { name: "gpu".parse().unwrap(), slots: Some(1) };
    assert!(client.set_group(&group).await.unwrap());
    assert_eq!(client.groups().await.unwrap()[0].slots, Some(1));
    assert!(client.remove_group(&group.name).await.unwrap());
    let asked = AdmissionRequest { at_boot: true, until: Some(7), invocation: None };
    let admission = client.admit(&"y".parse().unwrap(), &asked).await.unwrap();
    assert!(!admission.admitted && admission.waiting_on.len() == 1);
    let setting = PowerModeRequest { mode: "MAXN".to_owned(), allow_reboot_later: true };
    let set = client.set_power_mode(&setting).await.unwrap();
    assert_eq!((set.id, set.name.as_str(), set.at_next_boot, set.changed), (1, "MAXN", true, true));
    let status = client.status().await.unwrap();
    assert_eq!((status.slots, status.memory_budget, status.waiting), (Some(4), None, 3));
    assert_eq!(status.troubles, ["the disk is full"]);
    let x = "x".parse().unwrap();
    assert_eq!(status.gpu_memory.unwrap()[&x], bij_core::Bytes::new(5 << 30));
    let events = client.events(&EventQuery { since: 1, at_most: Some(2) }).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
    assert!(events[1].data["text"].starts_with("Hold by "), "{events:?}");
}

#[tokio::test]
async fn a_refusal_has_its_kind_and_its_remedy() {
    let served = Served::start();
    let client = served.client().await;
    let error = client.why(&run("nobody#3")).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.kind, RefusalKind::NotFound);
    assert_eq!(refusal.text, "there is no run nobody#3");
    assert_eq!(refusal.remedy.as_deref(), Some("`bij queue` lists them"));
    let error = client.reload().await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.kind, &refusal.remedy), (RefusalKind::Invalid, &None));
}

#[tokio::test]
async fn a_change_is_signalled_to_subscribers() {
    let served = Served::start();
    let client = served.client().await;
    let mut changes = client.changes().await.unwrap();
    // What is answered has been connected: the change comes after.
    client.status().await.unwrap();
    served.newest.send_replace(7);
    assert_eq!(changes.next().await, Some(7));
    served.newest.send_replace(9);
    assert_eq!(changes.next().await, Some(9));
    drop(served);
    assert_eq!(changes.next().await, None, "the coordinator is gone");
}

/// The queue of a connection takes 64 messages of a stream that is not read.
#[tokio::test]
async fn unread_changes_delay_no_answer() {
    let served = Served::start();
    let client = served.client().await.with_timeout(Duration::from_secs(10));
    let mut changes = client.changes().await.unwrap();
    client.status().await.unwrap();
    for seq in 1..=500 {
        served.newest.send_replace(seq);
        tokio::task::yield_now().await;
        if seq % 10 == 0 {
            client.status().await.unwrap();
        }
    }
    while changes.next().await != Some(500) {}
}

#[tokio::test]
async fn a_missing_coordinator_differs_from_a_killed_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("coordinator.sock");
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::NoCoordinator), "{error:?}");
    // Dropping it leaves the socket file, as SIGKILL does.
    drop(Listener::bind(&path).unwrap());
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::NotListening), "{error:?}");
    let next = Listener::bind(&path).unwrap();
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    next.remove();
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::NoCoordinator), "{error:?}");
}

#[tokio::test]
async fn a_call_without_an_answer_times_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("coordinator.sock");
    let _listener = Listener::bind(&path).unwrap();
    tokio::time::pause();
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::Late { .. }), "{error:?}");
}

/// Returns a connection that uses plain D-Bus.
async fn peer() -> (Connection, watch::Sender<u64>) {
    let (newest, watched) = watch::channel(0);
    let uid = nix::unistd::geteuid().as_raw();
    let server = Server::new(Arc::new(Model::default()), Rights::User { uid }, watched);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let slot = Arc::new(Clients::default().slot(uid, Pool::Others).unwrap());
    tokio::spawn(server.client(theirs, uid, slot));
    let ours = ours.into_std().unwrap();
    (connection::Builder::unix_stream(ours).p2p().build().await.unwrap(), newest)
}

#[tokio::test]
async fn introspection_data_documents_the_interface() {
    let (peer, _newest) = peer().await;
    let proxy = zbus::fdo::IntrospectableProxy::builder(&peer)
        .destination(NAME)
        .path(PATH)
        .build()
        .await
        .unwrap();
    let xml = proxy.introspect().await.unwrap();
    let ours = xml.split("<interface ").find(|part| part.contains(NAME)).unwrap();
    insta::assert_snapshot!("introspection", ours);
}

#[tokio::test]
async fn the_queue_reads_the_same_as_dictionaries_and_as_text() {
    let (peer, _newest) = peer().await;
    let ask = async |method: &'static str, body: Vec<Dictionary>| {
        let query = Dictionary::default();
        let call = if method == "Submit" {
            peer.call_method(Some(NAME), PATH, Some(NAME), method, &(body, query)).await
        } else {
            peer.call_method(Some(NAME), PATH, Some(NAME), method, &query).await
        };
        call.unwrap().body()
    };
    ask("Submit", runs(3).iter().map(Dictionary::from_message).collect()).await;
    let queue = ask("Queue", Vec::new()).await;
    let (entries, total, seq): (Vec<Dictionary>, u32, u64) = queue.deserialize().unwrap();
    let entries: Vec<QueueEntry> = entries.into_iter().map(|entry| entry.read().unwrap()).collect();
    let text = ask("QueueText", Vec::new()).await;
    let (text, count, of_text, at): (String, u32, u32, u64) = text.deserialize().unwrap();
    let text: QueueText = serde_json::from_str(&text).unwrap();
    assert_eq!(text.entries().unwrap(), entries);
    assert_eq!((entries.len(), count, total, seq), (3, 3, of_text, at));
}

/// Returns the experiments of a whole scan, in the order of arrival, and the length of the largest page.
async fn scanned(client: &Client) -> (Vec<String>, usize) {
    let (mut scan, mut names, mut largest) = (AttemptScan::default(), Vec::new(), 0);
    loop {
        let piece = client.attempts_after(&scan).await.unwrap();
        let Some(last) = piece.last() else { return (names, largest) };
        scan.after = Some(last.key);
        largest = largest.max(piece.len());
        names.extend(piece.iter().map(|attempt| attempt.run.experiment.to_string()));
    }
}

fn experiments(count: u32) -> Vec<String> {
    (0..count).map(|n| format!("x{n:04}")).collect()
}

#[tokio::test]
async fn a_history_longer_than_one_answer_is_read_completely_and_in_order() {
    let count = HISTORY_PAGE_LEN * 2 + 7;
    let served = Served::with(Model::with_attempts(count));
    let client = served.client().await;
    let piece = HISTORY_PAGE_LEN as usize;
    assert_eq!(scanned(&client).await, (experiments(count), piece));
    let name = async |experiment: Option<&str>, skip| {
        let experiment = experiment.map(|id| id.parse().unwrap());
        let newest = client.newest_attempt(experiment.as_ref(), None, skip).await.unwrap();
        newest.map(|attempt| attempt.run.experiment.to_string())
    };
    assert_eq!(name(None, 0).await.as_deref(), Some("x0506"));
    assert_eq!(name(None, 300).await.as_deref(), Some("x0206"));
    assert_eq!(name(None, 507).await, None);
    assert_eq!(name(Some("x0003"), 0).await.as_deref(), Some("x0003"));
    assert_eq!(client.tallies().await.unwrap().len(), experiments(count).len());
    assert_eq!(client.tally(&"x0003".parse().unwrap()).await.unwrap().attempts, 1);
    assert_eq!(client.tally(&"none".parse().unwrap()).await.unwrap().attempts, 0);
}

#[tokio::test]
async fn attempts_that_begin_between_two_pages_appear_once_and_hide_no_others() {
    let count = HISTORY_PAGE_LEN * 2 + 7;
    let served = Served::with(Model::with_attempts(count).with_more(3));
    let (names, _) = scanned(&served.client().await).await;
    assert_eq!(names, experiments(count + 3));

    let count = PAGE_LEN * 2 + 7;
    let served = Served::with(Model::with_attempts(count).with_more(3));
    let client = served.client().await;
    let minutes = client.board_minutes(usize::MAX).await.unwrap();
    let samples: Vec<u32> = minutes.iter().map(|minute| minute.samples).collect();
    // One was over before the first answer.
    assert_eq!(samples, (1..=count + 1).collect::<Vec<_>>());
    assert_eq!(client.board_minutes(1500).await.unwrap().len(), 1500);
}

#[tokio::test]
async fn a_query_of_both_ends_of_the_history_is_refused() {
    let (peer, _newest) = peer().await;
    let ask = async |query: AttemptsQuery| {
        let query = Dictionary::from_message(&query);
        peer.call_method(Some(NAME), PATH, Some(NAME), "AttemptsText", &query).await.map(drop)
    };
    let both = AttemptsQuery { skip_newest: 1, ..AttemptsQuery::default() };
    let error = ask(both).await.unwrap_err().to_string();
    assert!(error.contains("skip_newest is for the newest attempts"), "{error}");
    ask(AttemptsQuery { newest: Some(u32::MAX), skip_newest: 1, ..AttemptsQuery::default() })
        .await
        .unwrap();
}
