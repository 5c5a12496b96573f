//! Hostile clients: too many, too large messages, or connections that break.

use std::io::Write as _;
use std::os::unix::net::UnixStream as Stream;

use bij_core::request::{QueueQuery, Submit, SubmitOptions};
use proptest::prelude::*;

use super::*;
use crate::RefusalKind;

const HANDSHAKE_OF_ROOT: &[u8] = b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n";

#[tokio::test]
async fn a_submission_of_a_megabyte_is_refused_with_a_reason() {
    let served = Served::start();
    let client = served.client().await;
    let huge = Submit { extras: "x".repeat(1 << 20), ..Submit::new("x".parse().unwrap()) };
    let error = client.submit(&[huge], SubmitOptions::default()).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    assert_eq!(refusal.text, "x: its extra settings have 1.0M, but at most 64.0K are allowed");
}

#[tokio::test]
async fn too_many_at_once_are_refused_also_by_the_coordinator_itself() {
    let served = Served::start();
    let client = served.client().await;
    let many = vec![Submit::new("x".parse().unwrap()); 100_000];
    let error = client.submit(&many, SubmitOptions::default()).await.unwrap_err();
    assert!(error.refusal().unwrap().text.starts_with("100000 runs are too many"));
    // A client with another library.
    let runs = vec![Submit::new("x".parse().unwrap()); limits::MAX_RUNS + 1];
    let runs = crate::dictionary::SentList(runs.as_slice());
    let peer = connection::Builder::unix_stream(Stream::connect(served.socket()).unwrap())
        .p2p()
        .build()
        .await
        .unwrap();
    let proxy = crate::proxy::CoordinatorProxy::new(&peer).await.unwrap();
    let error = proxy.submit(runs, crate::dictionary::Dictionary::default()).await.unwrap_err();
    let error = crate::ClientError::from(error);
    assert!(error.refusal().unwrap().text.contains("too many"), "{error:?}");
}

#[tokio::test]
async fn two_hundred_clients_are_served_at_the_same_time() {
    let served = Served::start();
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(served.client().await);
    }
    let mut asking = JoinSet::new();
    for client in &clients {
        let client = client.clone();
        asking.spawn(async move {
            let one = [Submit::new("x".parse().unwrap())];
            client.submit(&one, SubmitOptions::default()).await.unwrap();
        });
    }
    asking.join_all().await;
    assert_eq!(clients[0].status().await.unwrap().waiting, 200);
}

#[tokio::test]
async fn idle_connections_do_not_block_other_clients() {
    let model = Served::start();
    let owners = model.directory.path().join("owner.sock");
    let listener = Listener::bind_owners(&owners).unwrap();
    let (_newest, watched) = watch::channel(0);
    let uid = nix::unistd::geteuid().as_raw();
    let server = Server::new(Arc::new(Model::default()), Rights::User { uid }, watched);
    let serving = tokio::spawn(async move { server.serve_owners_socket(&listener).await });
    // They send nothing, and stay open. In this test all are of the owner.
    let idle: Vec<Stream> = (0..600).map(|_| Stream::connect(model.socket()).unwrap()).collect();
    let asked = std::time::Instant::now();
    assert_eq!(Client::connect(&owners).await.unwrap().status().await.unwrap().waiting, 0);
    assert_eq!(model.client().await.status().await.unwrap().waiting, 0);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    drop(idle);
    serving.abort();
}

#[tokio::test]
async fn a_connection_that_breaks_during_a_call_does_not_affect_others() {
    let served = Served::start();
    for cut in [1, 10, HANDSHAKE_OF_ROOT.len(), HANDSHAKE_OF_ROOT.len() + 9] {
        let mut bytes = HANDSHAKE_OF_ROOT.to_vec();
        bytes.extend(b"l\x01\x00\x01\xff\x00\x00\x00\x01\x00\x00\x00");
        Stream::connect(served.socket()).unwrap().write_all(&bytes[..cut]).unwrap();
    }
    assert_eq!(served.client().await.status().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_delay_others() {
    let served = Served::start();
    let client = served.client().await;
    let runs = vec![Submit::new("x".parse().unwrap()); 2000];
    client.submit(&runs, SubmitOptions::default()).await.unwrap();
    // Unread answers: many times what a socket holds.
    let deaf = served.client().await;
    let mut asked = JoinSet::new();
    for _ in 0..50 {
        let deaf = deaf.clone();
        asked.spawn(async move { deaf.queue(&QueueQuery::default()).await.map(drop) });
    }
    tokio::task::yield_now().await;
    assert_eq!(client.queue(&QueueQuery::default()).await.unwrap().len(), 2000);
    asked.abort_all();
}

#[tokio::test]
async fn no_memory_is_allocated_for_a_huge_message() {
    let served = Served::start();
    let mut loud = Stream::connect(served.socket()).unwrap();
    // The header announces a body of 100 MB, which never comes.
    let uid = nix::unistd::geteuid().as_raw().to_string();
    let digits = uid.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap()).collect();
    loud.write_all(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes()).unwrap();
    let mut header = b"l\x01\x00\x01".to_vec();
    header.extend(100_000_000_u32.to_le_bytes());
    header.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    loud.write_all(&header).unwrap();
    let hung_up = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        let mut answer = Vec::new();
        loud.read_to_end(&mut answer)
    });
    assert!(hung_up.await.unwrap().is_ok(), "the connection is closed");
    assert_eq!(served.client().await.status().await.unwrap().waiting, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..400), greeted in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_newest, watched) = watch::channel(0);
            let server = Server::new(Arc::new(Model::default()), Rights::system(), watched);
            let (ours, theirs) = UnixStream::pair().unwrap();
            let slot = Arc::new(Clients::default().slot(0, Pool::Others).unwrap());
            let served = tokio::spawn(server.client(theirs, 0, slot));
            let mut ours = ours.into_std().unwrap();
            ours.set_nonblocking(false).unwrap();
            if greeted {
                ours.write_all(HANDSHAKE_OF_ROOT).unwrap();
            }
            // The connection may be closed already.
            drop(ours.write_all(&noise));
            drop(ours);
            prop_assert!(served.await.is_ok(), "it panicked");
            Ok(())
        })?;
    }
}
