use proptest::prelude::*;
use serde_json::json;
use zbus::wire::serialized::Context;
use zbus::wire::{LE, to_bytes};

use super::*;

fn over_the_wire(map: &Map<String, Value>) -> Value {
    let bytes = to_bytes(Context::new(LE, 0), &Dictionary(map.clone())).unwrap();
    let (read, _): (Dictionary, _) = bytes.deserialize().unwrap();
    Value::Object(read.0)
}

/// Returns JSON as in messages: no fractions that a float cannot hold, no `null` in lists.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        "[^\0]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_message_arrives_unchanged(map in prop::collection::btree_map("[a-z_]{1,8}", values(), 0..6)) {
        let map: Map<String, Value> = map.into_iter().collect();
        prop_assert_eq!(over_the_wire(&map), Value::Object(map));
    }
}

#[test]
fn an_absent_value_has_no_key() {
    let Value::Object(map) = json!({"a": null, "b": [{"c": null, "d": 1}]}) else { panic!() };
    assert_eq!(over_the_wire(&map), json!({"b": [{"d": 1}]}));
}

#[test]
fn other_libraries_can_read_a_dictionary() {
    let Value::Object(map) = json!({"n": -3, "list": ["x"], "deep": {"t": "y"}}) else { panic!() };
    let bytes = to_bytes(Context::new(LE, 0), &Dictionary(map)).unwrap();
    let (read, _): (HashMap<String, OwnedVariant>, _) = bytes.deserialize().unwrap();
    assert_eq!(i64::try_from(read["n"].try_clone().unwrap()).unwrap(), -3);
    assert_eq!(read["list"].value_signature().to_string(), "av");
    assert_eq!(read["deep"].value_signature().to_string(), "a{sv}");
}
