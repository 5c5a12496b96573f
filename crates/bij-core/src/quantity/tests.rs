use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Option<u64> {
    text.parse::<Bytes>().ok().map(Bytes::get)
}

fn micros(text: &str) -> Option<u64> {
    text.parse::<TimeSpan>().ok().map(TimeSpan::as_micros)
}

#[test]
fn sizes_are_parsed_as_systemd_parses_them() {
    assert_eq!(bytes("8G"), Some(8 << 30));
    assert_eq!(bytes("1.5G"), Some(3 << 29));
    assert_eq!(bytes("1G 512M"), Some((1 << 30) + (512 << 20)));
    assert_eq!(bytes("4096"), Some(4096));
    assert_eq!(bytes("17B"), Some(17));
    for bad in ["", "G", "8g", "8GB", "-1", "8 GiB", "1M 1G", "1..5G", ".5G", "99999999E", "8G\0"] {
        assert_eq!(bytes(bad), None, "{bad:?}");
    }
}

#[test]
fn sizes_are_written_as_systemctl_writes_them() {
    for (bytes, text) in [(0, "0B"), (1023, "1023B"), (1 << 20, "1.0M"), (12_800_000, "12.2M")] {
        assert_eq!(Bytes::new(bytes).to_string(), text);
    }
}

#[test]
fn memory_is_bytes_a_share_or_unbounded() {
    let total = Bytes::new(64 << 30);
    assert_eq!(
        "50%".parse::<MemoryLimit>().unwrap().resolve(total),
        Limit::At(Bytes::new(32 << 30))
    );
    assert_eq!("infinity".parse::<MemoryLimit>().unwrap().resolve(total), Limit::Max);
    assert!("101%".parse::<MemoryLimit>().is_err());
    assert!("lots".parse::<MemoryLimit>().is_err());
}

#[test]
fn spans_are_made_from_durations_and_back() {
    use std::time::Duration;
    let span = TimeSpan::from(Duration::from_nanos(1_500_999));
    assert_eq!(span, TimeSpan::from_micros(1_500), "cut to whole microseconds");
    assert_eq!(Duration::from(span), Duration::from_micros(1_500));
    assert_eq!(TimeSpan::from(Duration::MAX), TimeSpan::from_micros(u64::MAX));
    let longest = Duration::from(TimeSpan::from_micros(u64::MAX));
    assert_eq!(TimeSpan::from(longest).as_micros(), u64::MAX);
}

#[test]
fn spans_are_parsed_as_systemd_parses_them() {
    assert_eq!(micros("5min 20s"), Some(320_000_000));
    assert_eq!(micros("5min20s"), Some(320_000_000));
    assert_eq!(micros("90"), Some(90_000_000));
    assert_eq!(micros("1.5h"), Some(5_400_000_000));
    assert_eq!(micros("2 h"), Some(7_200_000_000));
    assert_eq!(micros("300ms 20us"), Some(300_020));
    for bad in ["", "s", "5 parsecs", "-5s", "5min 20", "infinity", "9999999999999y"] {
        if bad == "5min 20" {
            assert_eq!(micros(bad), Some(320_000_000), "a bare number is seconds anywhere");
        } else {
            assert_eq!(micros(bad), None, "{bad:?}");
        }
    }
    assert_eq!("infinity".parse::<Limit<TimeSpan>>().unwrap(), Limit::Max);
}

#[test]
fn quotas_are_shares_of_processors() {
    let quota: CpuQuota = "250%".parse().unwrap();
    assert_eq!(quota.micros_per_sec(), 2_500_000);
    assert_eq!(quota.to_string(), "250%");
    assert_eq!("20.5%".parse::<CpuQuota>().unwrap().to_string(), "20.5%");
    for bad in ["100", "0%", "-5%", "%", "1e3%"] {
        assert!(bad.parse::<CpuQuota>().is_err(), "{bad:?}");
    }
}

#[test]
fn spans_are_cut_and_converted() {
    let span = TimeSpan::from_micros(61_999_999);
    assert_eq!(span.truncated_to(TimeSpan::from_secs(1)), TimeSpan::from_secs(61));
    assert_eq!(span.truncated_to(TimeSpan::default()), span);
    assert_eq!((span.as_secs(), span.as_millis()), (61, 61_999));
    assert_eq!(TimeSpan::from_millis(61), TimeSpan::from_nanos(61_000_999));
    assert_eq!(TimeSpan::from(std::time::Duration::MAX), TimeSpan::from_micros(u64::MAX));
}

proptest! {
    #[test]
    fn a_written_span_reads_back_the_same(micros in 0..u64::MAX / 2) {
        let span = TimeSpan::from_micros(micros);
        prop_assert_eq!(span.to_string().parse::<TimeSpan>().unwrap(), span);
    }

    #[test]
    fn no_text_makes_a_quantity_panic(text in "\\PC{0,40}") {
        let _ = (text.parse::<MemoryLimit>(), text.parse::<CpuQuota>(), text.parse::<TimeSpan>());
    }

    #[test]
    fn a_written_share_reads_back_the_same(permyriad in 0..1_000_000u64) {
        let share = Percent::from_permyriad(permyriad);
        prop_assert_eq!(share.to_string().parse::<Percent>().unwrap(), share);
    }
}
