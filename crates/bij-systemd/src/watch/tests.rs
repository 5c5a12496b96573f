use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zbus::object_server::SignalEmitter;
use zbus::{Guid, connection};

use super::*;
use crate::proxy::unit_path;

const SERVICE: &str = "org.freedesktop.systemd1.Service";

struct Manager(Arc<AtomicUsize>);

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn reloading(emitter: &SignalEmitter<'_>, active: bool) -> zbus::Result<()>;

    /// A reload sends this for every unit, although nothing happens to it.
    #[zbus(signal)]
    async fn unit_removed(
        emitter: &SignalEmitter<'_>,
        unit: &str,
        path: OwnedObjectPath,
    ) -> zbus::Result<()>;
}

/// The manager's end of a peer-to-peer connection.
struct Peer {
    manager: Connection,
    subscribed: Arc<AtomicUsize>,
}

impl Peer {
    async fn new() -> (Connection, Self) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let subscribed = Arc::new(AtomicUsize::new(0));
        let manager = connection::Builder::unix_stream(theirs)
            .server(Guid::generate())
            .p2p()
            .serve_at("/org/freedesktop/systemd1", Manager(Arc::clone(&subscribed)))
            .build();
        let client = connection::Builder::unix_stream(ours).p2p().build();
        let (manager, client) = tokio::try_join!(manager, client).unwrap();
        (client, Self { manager, subscribed })
    }

    fn emitter(&self) -> SignalEmitter<'_> {
        SignalEmitter::new(&self.manager, "/org/freedesktop/systemd1").unwrap()
    }

    async fn properties_changed(&self, unit: &str, interface: &str) {
        self.changed_to(unit, interface, None).await;
    }

    async fn changed_to(&self, unit: &str, interface: &str, to: Option<(&str, zbus::Variant<'_>)>) {
        let (changed, invalidated): (HashMap<&str, zbus::Variant<'_>>, &[&str]) =
            (to.into_iter().collect(), &[]);
        let body = (interface, changed, invalidated);
        let (properties, member) = ("org.freedesktop.DBus.Properties", "PropertiesChanged");
        let path = unit_path(unit);
        let destination = None::<&str>;
        self.manager.emit_signal(destination, path, properties, member, &body).await.unwrap();
    }

    async fn job_removed(&self, unit: &str) {
        let job = OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/7").unwrap();
        Manager::job_removed(&self.emitter(), 7, job, unit, "done").await.unwrap();
    }

    async fn name_owner_changed(&self, new: &str) {
        let bus = "org.freedesktop.DBus";
        let body = (MANAGER, ":1.0", new);
        let (path, destination) = ("/org/freedesktop/DBus", None::<&str>);
        self.manager.emit_signal(destination, path, bus, "NameOwnerChanged", &body).await.unwrap();
    }
}

/// Watches the units of experiments.
fn watch(peers: Vec<Connection>) -> Watch {
    Watch::from_peers(peers, |unit| unit.experiment().is_some())
}

async fn watched() -> (Watch, Peer) {
    let (client, peer) = Peer::new().await;
    let mut watch = watch(vec![client]);
    assert_eq!(watch.next().await, UnitEvent::Resync, "earlier changes are unknown");
    assert_eq!(peer.subscribed.load(Ordering::Relaxed), 1);
    (watch, peer)
}

fn unit(id: &str) -> UnitName {
    UnitName::new(format!("brain-experiment@{id}.service")).unwrap()
}

fn changed(id: &str) -> UnitEvent {
    UnitEvent::Changed(unit(id))
}

#[tokio::test]
async fn only_changes_of_experiments_are_reported() {
    let (mut watch, peer) = watched().await;
    let unit = "org.freedesktop.systemd1.Unit";
    peer.properties_changed("cron.service", unit).await;
    peer.properties_changed("brain-experiment@.service", unit).await;
    peer.properties_changed("brain-experiment@a.service", "org.freedesktop.systemd1.Service").await;
    peer.properties_changed("brain-experiment@b-1.service", unit).await;
    assert_eq!(watch.next().await, changed("b-1"));
}

#[tokio::test]
async fn a_start_that_its_condition_refused_is_reported() {
    let (mut watch, peer) = watched().await;
    for (unit, result) in [
        ("cron-that-is-not-ours.service", "exec-condition"),
        ("brain-experiment@a.service", "success"),
        ("brain-experiment@b.service", "exec-condition"),
    ] {
        peer.changed_to(unit, SERVICE, Some(("Result", result.into()))).await;
        let invocation = vec![unit.as_bytes()[17]; 16];
        peer.changed_to(unit, UNIT, Some(("InvocationID", invocation.into()))).await;
    }
    assert_eq!(watch.next().await, changed("a"));
    let skipped =
        |id, invocation| UnitEvent::StartSkipped(unit(id), InvocationId::from_bytes(invocation));
    assert_eq!(watch.next().await, skipped("b", [b'b'; 16]));
}

#[tokio::test]
async fn the_end_of_a_job_is_reported_even_if_no_property_changes() {
    let (mut watch, peer) = watched().await;
    peer.job_removed("cron.service").await;
    peer.job_removed("brain-experiment@x.service").await;
    assert_eq!(watch.next().await, changed("x"));
}

#[tokio::test]
async fn the_start_job_of_the_shutdown_target_is_reported() {
    let (mut watch, peer) = watched().await;
    peer.properties_changed("shutdown.target", "org.freedesktop.systemd1.Unit").await;
    assert_eq!(watch.next().await, UnitEvent::MayGoDown);
}

#[tokio::test]
async fn a_reload_is_reported_as_one_resync() {
    let (mut watch, peer) = watched().await;
    let emitter = peer.emitter();
    Manager::reloading(&emitter, true).await.unwrap();
    for _ in 0..300 {
        let path = OwnedObjectPath::try_from("/org/freedesktop/systemd1/unit/x").unwrap();
        Manager::unit_removed(&emitter, "brain-experiment@x.service", path).await.unwrap();
    }
    Manager::reloading(&emitter, false).await.unwrap();
    peer.job_removed("brain-experiment@y.service").await;
    // Signals of different kinds are not ordered, and need not be.
    let signals = [watch.next().await, watch.next().await];
    let [resync, change] = [UnitEvent::Resync, changed("y")];
    assert!(signals.contains(&resync) && signals.contains(&change), "{signals:?}");
}

#[tokio::test]
async fn a_new_manager_is_subscribed_to_again() {
    let (mut watch, peer) = watched().await;
    peer.name_owner_changed("").await;
    peer.name_owner_changed(":1.9").await;
    assert_eq!(watch.next().await, UnitEvent::Resync);
    assert_eq!(peer.subscribed.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_lost_bus_is_reconnected_and_reported_as_a_resync() {
    let (first, peer) = Peer::new().await;
    let (second, next_peer) = Peer::new().await;
    let mut watch = watch(vec![second, first]);
    assert_eq!(watch.next().await, UnitEvent::Resync);
    peer.manager.close().await.unwrap();
    assert_eq!(watch.next().await, UnitEvent::Resync);
    next_peer.job_removed("brain-experiment@x.service").await;
    assert_eq!(watch.next().await, changed("x"));
    next_peer.manager.close().await.unwrap();
    assert!(matches!(watch.next().await, UnitEvent::Lost(_)), "and reported once");
    tokio::time::pause();
    let silence = tokio::time::timeout(Duration::from_secs(600), watch.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn a_burst_of_signals_is_kept_until_it_is_read() {
    let (mut watch, peer) = watched().await;
    for n in 0..3000 {
        peer.job_removed(&format!("brain-experiment@{n}.service")).await;
    }
    for n in 0..3000 {
        assert_eq!(watch.next().await, changed(&n.to_string()));
    }
}
