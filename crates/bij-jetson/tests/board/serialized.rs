//! Every reading as JSON: its value as `Ok`, or its reason as `Err`.

use std::sync::Arc;

use bij_jetson::{Hardware, PowerConf, WhyNot};
use insta::assert_json_snapshot;
use serde_json::{Value, json, to_value};

use crate::tree::{ALL, JETPACK_5, JETSON_NANO, XAVIER_NX, captured, sample};

#[test]
fn a_sample() {
    assert_json_snapshot!(sample(captured(JETSON_NANO)));
}

#[test]
fn a_quick_sample_of_a_user_who_may_not_read_the_rails() {
    let machine = Hardware::new(Arc::new(captured(JETPACK_5).as_user()));
    assert_json_snapshot!(machine.quick_sample());
}

#[test]
fn a_device_policy() {
    let machine = Hardware::new(Arc::new(captured(JETPACK_5)));
    assert_json_snapshot!(machine.gpu_policy());
}

#[test]
fn every_board_is_serialized_with_the_same_keys() {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let expected = keys(&to_value(sample(captured(JETSON_NANO))).unwrap());
    for name in ALL {
        assert_eq!(keys(&to_value(sample(captured(name))).unwrap()), expected, "{name}");
    }
}

#[test]
fn a_configuration_of_nvpmodel() {
    let conf =
        PowerConf::parse("< PARAM TYPE=HWMON NAME=X >\nA /a\n< POWER_MODEL ID=2 NAME=Y >\nz");
    let expected = json!({
        "params": [{ "kind": "HWMON", "name": "X", "paths": [["A", "/a"]] }],
        "modes": [{ "id": 2, "name": "Y", "settings": [], "has_gap": true }],
        "default": null,
        "fan_default": null,
        "passed_over": [
            { "line": 4, "what": "it should be a parameter, an argument and a value" },
        ],
    });
    assert_eq!(to_value(conf).unwrap(), expected);
    let modes = Hardware::new(Arc::new(captured(XAVIER_NX))).power_modes();
    let current = json!({ "Ok": { "id": 2, "name": "MODE_15W_6CORE", "source": "status" } });
    assert_eq!(to_value(modes).unwrap()["current"], current);
}

#[test]
fn a_reason_is_a_word_with_its_details() {
    assert_eq!(to_value(WhyNot::Forbidden).unwrap(), json!("forbidden"));
    let unparsable = WhyNot::Unparsable("hot".to_owned());
    assert_eq!(to_value(unparsable).unwrap(), json!({ "unparsable": "hot" }));
}
