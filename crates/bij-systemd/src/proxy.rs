//! The calls of `org.freedesktop.systemd1` that bij uses, and no others.
//!
//! No property is cached: PID 1 does not announce changes of limits and counters
//! (org.freedesktop.systemd1(5)), so cached values would be stale.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant, Variant};

/// One row of `ListUnitsByPatterns` and `ListUnitsByNames`: name, description, load state, active state, sub state,
/// followed unit, path, job id, job type, job path.
pub(crate) type UnitRow =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// One change to unit files: `symlink` or `unlink`, the file, and the target of the link.
pub(crate) type UnitFileChange = (String, String, String);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(crate) trait Manager {
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Variant<'_>)],
        auxiliary: &[(&str, &[(&str, Variant<'_>)])],
    ) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn try_restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_or_restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn ref_unit(&self, name: &str) -> zbus::Result<()>;
    fn unref_unit(&self, name: &str) -> zbus::Result<()>;
    fn enable_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
        force: bool,
    ) -> zbus::Result<(bool, Vec<UnitFileChange>)>;
    fn disable_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
    ) -> zbus::Result<Vec<UnitFileChange>>;
    fn mask_unit_files(
        &self,
        files: &[&str],
        runtime: bool,
        force: bool,
    ) -> zbus::Result<Vec<UnitFileChange>>;
    fn unmask_unit_files(&self, files: &[&str], runtime: bool)
    -> zbus::Result<Vec<UnitFileChange>>;
    fn kill_unit(&self, name: &str, whom: &str, signal: i32) -> zbus::Result<()>;
    fn freeze_unit(&self, name: &str) -> zbus::Result<()>;
    fn thaw_unit(&self, name: &str) -> zbus::Result<()>;
    fn set_unit_properties(
        &self,
        name: &str,
        runtime: bool,
        properties: &[(&str, Variant<'_>)],
    ) -> zbus::Result<()>;
    fn list_units_by_patterns(
        &self,
        states: &[&str],
        patterns: &[&str],
    ) -> zbus::Result<Vec<UnitRow>>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<UnitRow>>;
    fn reload(&self) -> zbus::Result<()>;

    #[zbus(property)]
    fn control_group(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn system_state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn version(&self) -> zbus::Result<String>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Job",
    default_service = "org.freedesktop.systemd1"
)]
pub(crate) trait Job {
    #[zbus(property)]
    fn job_type(&self) -> zbus::Result<String>;
}

#[zbus::proxy(
    interface = "org.freedesktop.DBus.Properties",
    default_service = "org.freedesktop.systemd1"
)]
pub(crate) trait PropertyReader {
    fn get_all(&self, interface: &str) -> zbus::Result<HashMap<String, OwnedVariant>>;
    fn get(&self, interface: &str, name: &str) -> zbus::Result<OwnedVariant>;
}

/// Returns the object path of a unit. Letters, and digits after the first byte, stay as they are; every other
/// byte becomes `_xx` (`bus_label_escape()` of systemd's bus-label.c).
pub(crate) fn unit_path(unit: &str) -> String {
    use std::fmt::Write;
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || at > 0 && byte.is_ascii_digit() {
            path.push(char::from(byte));
        } else {
            write!(path, "_{byte:02x}").expect("a String takes everything");
        }
    }
    path
}

/// Returns the unit with this object path; `None` if it is not the path of a unit.
pub(crate) fn unit_of_path(path: &str) -> Option<String> {
    let mut escaped = path.strip_prefix("/org/freedesktop/systemd1/unit/")?.bytes();
    let mut unit = Vec::new();
    while let Some(byte) = escaped.next() {
        if byte != b'_' {
            unit.push(byte);
            continue;
        }
        let digits = [escaped.next()?, escaped.next()?];
        unit.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(unit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_units_path_leads_back_to_the_unit(unit in "[a-z0-9:_.@-]{1,40}") {
            prop_assert_eq!(unit_of_path(&unit_path(&unit)), Some(unit));
        }
    }

    #[test]
    fn other_object_paths_name_no_unit() {
        for path in ["/", "/org/freedesktop/systemd1/job/7", "/org/freedesktop/systemd1/unit/a_4"] {
            assert_eq!(unit_of_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_units_path_is_escaped_as_systemd_does() {
        assert_eq!(
            unit_path("brain-experiment@1.service"),
            "/org/freedesktop/systemd1/unit/brain_2dexperiment_401_2eservice"
        );
        assert_eq!(unit_path("0a"), "/org/freedesktop/systemd1/unit/_30a");
    }
}
