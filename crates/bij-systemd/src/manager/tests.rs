#![expect(
    clippy::unused_self,
    clippy::used_underscore_binding,
    reason = "the shapes of the methods are those of the interface"
)]

use std::os::unix::net::UnixStream;
use std::time::Duration;

use bij_core::spec::CpuSet;
use zbus::{Connection, Guid, OwnedVariant, connection, fdo};

use super::*;

/// A manager that answers some calls with an error, and others never.
struct Peer;

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Peer {
    async fn reload(&self) {
        std::future::pending::<()>().await;
    }

    async fn kill_unit(&self, unit: &str, _whom: &str, _signal: i32) -> fdo::Result<()> {
        match unit {
            "silent.service" => std::future::pending().await,
            other => Err(fdo::Error::AccessDenied(other.to_owned())),
        }
    }

    fn set_unit_properties(
        &self,
        _unit: &str,
        _runtime: bool,
        properties: Vec<(String, OwnedVariant)>,
    ) -> fdo::Result<()> {
        let (name, _) = properties.into_iter().next().unwrap();
        Err(fdo::Error::PropertyReadOnly(format!("Cannot set property {name}")))
    }
}

async fn connected() -> (Manager, Connection) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = connection::Builder::unix_stream(theirs)
        .server(Guid::generate())
        .p2p()
        .serve_at("/org/freedesktop/systemd1", Peer)
        .build();
    let client = connection::Builder::unix_stream(ours).p2p().build();
    let (server, client) = tokio::try_join!(server, client).unwrap();
    let bus = Bus::from_peer(client, Duration::from_millis(50));
    (Manager::new(bus, ManagerAddress::System, "/nonexistent"), server)
}

fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

#[tokio::test]
async fn a_bus_that_goes_away_in_mid_call_is_an_error() {
    let (manager, server) = connected().await;
    let silent = unit("silent.service");
    let call = manager.kill(&silent, KillWhom::All, 15);
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.close().await.unwrap();
    };
    let (killed, ()) = tokio::join!(call, close);
    assert!(matches!(killed, Err(ManagerError::Unreachable(_))), "{killed:?}");
}

#[tokio::test]
async fn a_manager_that_does_not_answer_is_an_error() {
    let (manager, _server) = connected().await;
    manager.system_state().await.unwrap_err();
    tokio::time::pause();
    let silent = unit("silent.service");
    let killed = manager.kill(&silent, KillWhom::All, 15).await.unwrap_err();
    assert!(matches!(&killed, ManagerError::Unreachable(_)) && killed.is_transient(), "{killed:?}");
    let reloaded = manager.daemon_reload().await.unwrap_err();
    assert!(matches!(reloaded, ManagerError::Unreachable(_)), "{reloaded:?}");
}

#[tokio::test]
async fn errors_of_the_manager_are_typed() {
    let (manager, _server) = connected().await;
    let ssh = unit("ssh.service");
    let denied = manager.kill(&ssh, KillWhom::All, 15).await.unwrap_err();
    assert_eq!(denied.to_string(), "no permission to kill ssh.service");
    let property = [Property::new("Strange", PropertyValue::Bool(true))];
    let set = manager.set_properties(&ssh, &property, UnitFileLife::Runtime).await.unwrap_err();
    assert!(matches!(set, ManagerError::UnknownProperty { .. }), "{set:?}");
    let template = unit("getty@.service");
    let killed = manager.kill(&template, KillWhom::All, 15).await.unwrap_err();
    assert_eq!(
        killed.to_string(),
        "cannot kill getty@.service, because it is a template: name an instance of it, such as getty@NAME.service"
    );
}

#[test]
fn a_set_of_processors_is_written_as_a_mask() {
    let cpus: CpuSet = "0,9,1".parse().unwrap();
    assert_eq!(Property::allowed_cpus(&cpus).value(), &PropertyValue::Bytes(vec![0b11, 0b10]));
}
