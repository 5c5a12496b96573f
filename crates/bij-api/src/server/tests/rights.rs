//! The rights of different callers.

use bij_core::queue::RunRef;
use bij_core::request::{
    Act, AdmissionRequest, Edit, EventQuery, GroupSetting, PauseRequest, PowerModeRequest,
    QueueQuery, Submit, SubmitOptions, UnitVerb,
};

use super::*;
use crate::{ClientError, RefusalKind};

fn denied<T: std::fmt::Debug>(what: &str, answer: Result<T, ClientError>) {
    let error = answer.expect_err(what);
    let refusal = error.refusal().unwrap_or_else(|| panic!("{what}: {error:?}"));
    assert_eq!(refusal.kind, RefusalKind::Denied, "{what}: {refusal}");
    assert!(refusal.text.starts_with("uid 3999999999 may not "), "{what}: {refusal}");
    assert!(refusal.remedy.as_ref().unwrap().contains("group bij"), "{what}: {refusal:?}");
}

#[tokio::test]
async fn a_user_without_rights_may_only_query() {
    let client = client_of(STRANGER).await;
    let x = "x".parse().unwrap();
    let run = RunRef::Newest("x".parse().unwrap());
    let submission = [Submit::new("x".parse().unwrap())];
    denied("submit", client.submit(&submission, SubmitOptions::default()).await);
    denied("dry run", client.submit(&submission, SubmitOptions { dry_run: true }).await);
    denied("edit", client.edit(&run, &Edit::default()).await);
    denied("act", client.act(&Act::Cancel, std::slice::from_ref(&run)).await);
    denied("pause", client.pause(&PauseRequest { group: None, paused: true }).await);
    let group = GroupSetting { name: "g".parse().unwrap(), slots: None };
    denied("set group", client.set_group(&group).await);
    denied("remove group", client.remove_group(&group.name).await);
    let setting = PowerModeRequest { mode: "MAXN".to_owned(), allow_reboot_later: true };
    denied("set power mode", client.set_power_mode(&setting).await);
    denied("admit", client.admit(&x, &AdmissionRequest::default()).await);
    denied("steer unit", client.steer_unit(&x, UnitVerb::Stop).await);
    denied("reload", client.reload().await);

    assert_eq!(client.queue(&QueueQuery::default()).await.unwrap(), []);
    assert_eq!(client.groups().await.unwrap(), []);
    assert_eq!(client.events(&EventQuery::default()).await.unwrap(), []);
    assert_eq!(client.status().await.unwrap().waiting, 0);
    let error = client.why(&run).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().kind, RefusalKind::NotFound, "asked and answered");
}

#[tokio::test]
async fn root_may_change_things_and_is_named() {
    let client = client_of(0).await;
    let submission = [Submit::new("x".parse().unwrap())];
    let taken = client.submit(&submission, SubmitOptions::default()).await.unwrap();
    assert_eq!(taken[0].by.as_deref(), Some("root"));
}

#[tokio::test]
async fn values_of_variables_are_shown_to_no_caller() {
    let served = Served::start();
    let owner = served.client().await;
    let secret = Submit {
        extras: "[environment]\nTOKEN = \"s3cret\"\n".to_owned(),
        ..Submit::new("x".parse().unwrap())
    };
    owner.submit(&[secret], SubmitOptions::default()).await.unwrap();
    let shown = owner.queue(&QueueQuery::default()).await.unwrap().remove(0).extras;
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_claimed_user_id_is_not_believed() {
    let (_newest, watched) = watch::channel(0);
    let server = Server::new(Arc::new(Model::default()), Rights::system(), watched);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let slot = Arc::new(Clients::default().slot(STRANGER, Pool::Others).unwrap());
    tokio::spawn(server.client(theirs, STRANGER, slot));
    let ours = ours.into_std().unwrap();
    let claims_root = connection::Builder::unix_stream(ours).user_id(0).p2p();
    let error = Client::over(claims_root).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
}
