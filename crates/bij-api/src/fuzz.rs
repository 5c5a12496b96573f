//! Message bodies of hostile clients: each is refused with a text, or is a request that is the same after another trip
//! over the wire.

use bij_core::request::{
    Act, AdmissionRequest, BoardQuery, Edit, EventQuery, GroupSetting, PauseRequest,
    PowerModeRequest, QueueQuery, Submit, SubmitOptions, UnitRequest, UnitVerb,
};
use bij_fuzz::{FuzzTarget, assert_harmless};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{BE, LE, to_bytes};

use crate::dictionary::{Dictionary, ReceivedList, SentList};
use crate::limits;

fn encode(message: &impl Serialize) -> Vec<u8> {
    to_bytes(Context::new(LE, 0), &Dictionary::from_message(message)).unwrap().bytes().to_vec()
}

fn seeds() -> Vec<Vec<u8>> {
    let submit = |id: &str| {
        let extras = "[limits]\nmemory = \"1G\"\n".to_owned();
        let hold = true;
        Submit { extras, hold, priority: Some(-3), ..Submit::new(id.parse().unwrap()) }
    };
    let list = to_bytes(Context::new(LE, 0), &SentList(vec![submit("x"), submit("y")])).unwrap();
    vec![
        list.bytes().to_vec(),
        encode(&submit("train")),
        encode(&UnitRequest { verb: UnitVerb::ResetFailed }),
        encode(&Act::Prioritize { priority: 7 }),
        encode(&PauseRequest { group: None, paused: true }),
        encode(&SubmitOptions { dry_run: true }),
        encode(&EventQuery { since: 3, ..EventQuery::default() }),
    ]
}

/// Checks that a valid request is the same after another trip over the wire.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    for context in [Context::new(LE, 0), Context::new(BE, 0)] {
        let data = Data::new(bytes, context);
        let Ok((dictionary, _)) = data.deserialize::<Dictionary>() else { continue };
        match dictionary.read::<T>() {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(request) => {
                let again = encode(&request);
                let data = Data::new(&*again, Context::new(LE, 0));
                let (dictionary, _) = data.deserialize::<Dictionary>().unwrap();
                assert_eq!(dictionary.read::<T>().unwrap(), request);
            }
        }
    }
}

#[test]
fn fuzz_message_body() {
    FuzzTarget::new("message-body", env!("CARGO_MANIFEST_DIR"))
        .also(seeds())
        .tokens(&["experiment", "verb", "start", "act", "cancel", "\x01s\0", "\x02av\0", "a{sv}"])
        .run(|bytes| {
            check::<Submit>(bytes);
            check::<SubmitOptions>(bytes);
            check::<Edit>(bytes);
            check::<Act>(bytes);
            check::<PauseRequest>(bytes);
            check::<GroupSetting>(bytes);
            check::<PowerModeRequest>(bytes);
            check::<AdmissionRequest>(bytes);
            check::<QueueQuery>(bytes);
            check::<EventQuery>(bytes);
            check::<BoardQuery>(bytes);
            check::<UnitRequest>(bytes);
            let data = Data::new(bytes, Context::new(LE, 0));
            let list = data.deserialize::<ReceivedList<Submit, { limits::MAX_RUNS }>>();
            if let Ok((list, _)) = list
                && let Ok(runs) = list.read()
                && let Err(refusal) = limits::check(&runs)
            {
                assert_harmless(&refusal.text);
                assert!(refusal.remedy.is_some(), "{refusal}");
            }
        });
}
