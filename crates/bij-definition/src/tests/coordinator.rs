//! `[coordinator]` of `coordinator.toml`, alone and with `coordinator.env` applied to it.

use bij_core::{Bytes, Celsius, CoordinatorSettings, Limit, Percent};

use super::*;

fn read(text: &str) -> Result<CoordinatorSettings, DefinitionError> {
    let file = SourceFile::new("coordinator.toml", text.as_bytes());
    Settings::parse(file).map(|settings| settings.coordinator)
}

fn complaint(key: &str) -> String {
    read(&format!("[coordinator]\n{key}")).unwrap_err().to_string()
}

#[test]
fn an_absent_setting_has_the_documented_default() {
    let settings = read("").unwrap();
    assert_eq!(settings, CoordinatorSettings::default());
    let total: Bytes = "64G".parse().unwrap();
    assert_eq!(settings.slots(), 4);
    assert_eq!(settings.budget(total), Limit::At(Percent::new(80).share_of(total)));
    assert_eq!(settings.reserve(total), Percent::new(5).share_of(total));
    assert_eq!(settings.pressure(), Percent::new(20));
    assert_eq!(settings.bypass(), 8);
    assert_eq!(settings.grace().to_string(), "0");
    assert_eq!(settings.health_interval().to_string(), "30s");
    assert_eq!(settings.gpu_memory_grace().to_string(), "10s");
    assert_eq!(settings.temperature_interval().to_string(), "5s");
    assert_eq!((settings.throttle(), settings.critical()), (Celsius::new(75), Celsius::new(85)));
}

#[test]
fn every_key_of_the_coordinator_is_read() {
    let settings = read(
        "[coordinator]\nmax_concurrent = 2\ntotal_memory = '48G'\nreserve_memory = 0\n\
         max_pressure = '12.5%'\nmax_bypass = 0\nboot_grace = '1min'\n\
         health_check_interval = '10s'\ntemperature_check_interval = '2s'\n\
         gpu_memory_grace = '3s'\n\
         throttle_celsius = 70\ncritical_celsius = 80.5\ncap_gpu = false\n",
    )
    .unwrap();
    let total: Bytes = "64G".parse().unwrap();
    assert_eq!(settings.slots(), 2);
    assert_eq!(settings.budget(total).to_string(), "48.0G");
    assert_eq!(settings.reserve(total), Bytes::new(0));
    assert_eq!(settings.pressure().permyriad(), 1250);
    assert_eq!(settings.bypass(), 0);
    assert_eq!(settings.grace().to_string(), "1min");
    assert_eq!(settings.health_interval().to_string(), "10s");
    assert_eq!(settings.gpu_memory_grace().to_string(), "3s");
    assert_eq!(settings.temperature_interval().to_string(), "2s");
    assert_eq!(settings.throttle(), Celsius::new(70));
    assert_eq!(settings.critical(), Celsius::from_millis(80_500));
    assert_eq!(settings.cap_gpu, Some(false));
}

#[test]
fn the_critical_temperature_must_be_above_the_throttling_temperature() {
    let both = complaint("throttle_celsius = 85\ncritical_celsius = 85");
    assert!(both.contains("coordinator.critical_celsius: 85.0 °C is not above the "), "{both}");
    assert!(both.contains("for example 75 and 85"), "{both}");
    assert!(complaint("throttle_celsius = 90").contains("temperature of 90.0 °C"));
    assert!(complaint("critical_celsius = 10").contains("degrees Celsius from 20 to 125"));
    // The older names are compared with the settings of the file.
    let file = SourceFile::new("c.toml", b"[coordinator]\ncritical_celsius = 80");
    let mut settings = Settings::parse(file).unwrap();
    let env = SourceFile::new("coordinator.env", b"THROTTLE_TEMP_CELSIUS=80\n");
    assert!(settings.lay_over(env).unwrap_err().to_string().contains("temperature of 80.0 °C"));
}

#[test]
fn a_zero_is_refused_where_it_has_no_meaning() {
    assert!(complaint("max_concurrent = 0").contains("expected a whole number from 1"));
    assert!(complaint("total_memory = '0G'").contains("memory cannot be limited to 0"));
    assert!(complaint("total_memory = '0%'").contains("memory cannot be limited to 0"));
    assert!(complaint("health_check_interval = 0").contains("found a span of 0"));
}

#[test]
fn an_invalid_setting_is_refused_with_a_hint() {
    assert!(complaint("max_concurent = 4").contains("did you mean `max_concurrent`?"));
    assert!(complaint("total_memory = 48").contains("\"48G\" or \"48M\"?"));
    assert!(complaint("reserve_memory = 'infinity'").contains("all memory cannot be reserved"));
    assert!(complaint("max_pressure = '120%'").contains("up to \"100%\""));
    assert!(complaint("max_bypass = -1").contains("a whole number from 0"));
    let unknown = read("[cordinator]\nmax_concurrent = 4").unwrap_err().to_string();
    assert!(unknown.contains("did you mean `coordinator`?"), "{unknown}");
}

#[test]
fn the_older_names_override_the_file() {
    let file = SourceFile::new("c.toml", b"[coordinator]\nmax_concurrent = 2\nmax_bypass = 3");
    let mut settings = Settings::parse(file).unwrap();
    let env = b"MAX_CONCURRENT_EXPERIMENTS=6\nTOTAL_RAM_LIMIT_GB=1\n";
    settings.lay_over(SourceFile::new("coordinator.env", env)).unwrap();
    assert_eq!(settings.coordinator.slots(), 6);
    assert_eq!(settings.coordinator.bypass(), 3);
    let budget = settings.coordinator.budget(Bytes::new(1 << 40));
    assert_eq!(budget, Limit::At(Bytes::new(1 << 30)));
}

#[test]
fn groups_have_their_slots() {
    let settings = read("[groups.night]\nslots = 2\n[groups.\"a.b\"]\nslots = 1\n").unwrap();
    let groups: Vec<_> =
        settings.groups.iter().map(|(name, slots)| (name.as_str(), *slots)).collect();
    assert_eq!(groups, [("a.b", 1), ("night", 2)]);
    assert_eq!(read("groups = { night = { slots = 2 } }").unwrap().groups.len(), 1);
}

#[test]
fn a_problem_of_a_group_is_reported_with_its_line_and_key() {
    let complaint = |text: &str| read(text).unwrap_err().to_string();
    let zero = complaint("[coordinator]\n[groups.night]\nslots = 0\n");
    assert!(zero.contains("coordinator.toml:3") && zero.contains("groups.night.slots"), "{zero}");
    assert!(zero.contains("a whole number from 1"), "{zero}");
    let mistyped = complaint("[groups.night]\nslot = 2\n");
    assert!(mistyped.contains("groups.night.slot: unknown key"), "{mistyped}");
    assert!(mistyped.contains("did you mean `slots`?"), "{mistyped}");
    assert!(complaint("[groups.night]\n").contains("needs the key `slots`"));
    assert!(complaint("[groups.\"a b\"]\nslots = 1\n").contains("is not a group"));
    let flat = complaint("[groups]\nnight = 2\n");
    assert!(flat.contains("groups.night: found the number 2, expected a table"), "{flat}");
    assert!(flat.contains("[groups.night] slots = 2"), "{flat}");
    assert!(complaint("groups = 2\n").contains("expected a table of groups"));
    assert!(complaint("[group.night]\nslots = 1\n").contains("did you mean `groups`?"));
    let both = complaint("[groups.a]\nslots = 0\n[groups.b]\nslots = -1\n");
    assert!(both.contains("groups.a.slots") && both.contains("groups.b.slots"), "{both}");
}
