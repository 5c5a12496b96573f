//! All properties of experiments, as KEY=VALUE.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::escape::visible;
use super::{Format, View};

/// A setting or another property: its key, and its value; null is systemd's default or none.
pub(crate) type Setting = (String, Value);

/// The properties of one experiment: `bij show`.
#[derive(Clone, Debug)]
pub(crate) struct Properties {
    pub(crate) all: Vec<Setting>,
    /// Whether the values are printed without their keys.
    pub(crate) values_only: bool,
}

impl Properties {
    /// Returns the properties with these keys only, in this order; unknown keys are ignored, as in systemctl.
    #[must_use]
    pub(crate) fn only(mut self, keys: &[String]) -> Self {
        if !keys.is_empty() {
            let find = |key: &String| self.all.iter().find(|(name, _)| name == key).cloned();
            self.all = keys.iter().filter_map(find).collect();
        }
        self
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.all.len()))?;
        for (key, value) in &self.all {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl View for Properties {
    fn text(&self, out: &mut dyn Write, _: &Format) -> io::Result<()> {
        for (key, value) in &self.all {
            let value = match value {
                Value::Null => Cow::default(),
                Value::String(text) => visible(text),
                other => other.to_string().into(),
            };
            if self.values_only {
                writeln!(out, "{value}")?;
            } else {
                writeln!(out, "{key}={value}")?;
            }
        }
        Ok(())
    }
}

/// The properties of several experiments: blocks with a blank line between them, in JSON an array.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct AllProperties(pub(crate) Vec<Properties>);

impl View for AllProperties {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        for (at, properties) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            properties.text(out, format)?;
        }
        Ok(())
    }
}
