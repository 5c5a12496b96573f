//! Everything about an experiment, as KEY=VALUE.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::definition::Setting;
use super::escape::visible;
use super::{Format, View};

/// The properties of one experiment: `bij show`.
#[derive(Clone, Debug)]
pub(crate) struct Properties {
    pub(crate) all: Vec<Setting>,
    /// Print the values alone.
    pub(crate) bare: bool,
}

impl Properties {
    /// Keeps these keys only, in the order asked for; a key that is not there is passed over, as
    /// systemctl does.
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
            if self.bare {
                writeln!(out, "{value}")?;
            } else {
                writeln!(out, "{key}={value}")?;
            }
        }
        Ok(())
    }
}

/// Several experiments: a blank line between them, and in JSON an array.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct AllProperties(pub(crate) Vec<Properties>);

impl View for AllProperties {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        for (at, one) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            one.text(out, format)?;
        }
        Ok(())
    }
}
