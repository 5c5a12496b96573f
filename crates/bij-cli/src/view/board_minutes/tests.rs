use bij_core::{Hottest, TimeSpan};
use insta::{assert_json_snapshot, assert_snapshot};

use super::*;

fn minutes() -> BoardMinutes {
    let celsius = |millis| Celsius::from_millis(millis);
    let hot = BoardMinute {
        at: "2026-11-23T22:00:00Z".parse().unwrap(),
        span: TimeSpan::from_secs(59),
        samples: 60,
        hottest: Some(Hottest { zone: "tj".to_owned(), celsius: celsius(86_531) }),
        celsius: Some(Spread { min: celsius(60_000), mean: celsius(71_250), max: celsius(86_531) }),
        power: Some(Spread {
            min: Milliwatts::new(8_918),
            mean: Milliwatts::new(32_100),
            max: Milliwatts::new(45_678),
        }),
        gpu_load: Some(Percent::from_permyriad(9_876)),
        memory_available: Some(Bytes::new(12 << 30)),
        throttled: Some(7),
    };
    let cool = BoardMinute {
        at: "2026-11-23T22:01:00Z".parse().unwrap(),
        throttled: Some(0),
        ..hot.clone()
    };
    let bare = BoardMinute {
        at: "2026-11-23T22:02:00Z".parse().unwrap(),
        span: TimeSpan::default(),
        samples: 1,
        hottest: None,
        celsius: None,
        power: None,
        gpu_load: None,
        memory_available: None,
        throttled: None,
    };
    BoardMinutes::new(vec![hot, cool, bare])
}

fn text(width: Option<usize>) -> String {
    let mut out = Vec::new();
    minutes().text(&mut out, &Format { width, ..Format::for_test() }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_minute_has_its_temperature_and_power() {
    assert_snapshot!(text(None));
    assert_snapshot!(text(Some(60)));
    assert_json_snapshot!(minutes());
}
