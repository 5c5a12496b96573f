//! Messages as dictionaries on the wire, `a{sv}`.
//!
//! The keys are those of the message's JSON. A string is `s`, a boolean `b`, an integer `x` (`t` beyond its range), a
//! fraction `d`, a list `av`, an object `a{sv}`; a `null` of JSON has no key. So a message can get more keys without a new
//! version of the interface.

mod list;

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeStruct as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};
use zbus::{OwnedVariant, Signature, Type, Variant};

pub(crate) use list::{ReceivedList, SentList};

/// A message on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dictionary(Map<String, Value>);

impl Dictionary {
    /// Returns the message as a dictionary.
    pub(crate) fn from_message(message: &impl Serialize) -> Self {
        match serde_json::to_value(message) {
            Ok(Value::Object(map)) => Self(map),
            // Cannot happen: every message is a struct.
            Ok(_) | Err(_) => Self::default(),
        }
    }

    /// Converts the dictionary into a message.
    ///
    /// # Errors
    /// The first value that does not fit, with its key.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        serde_json::from_value(Value::Object(self.0))
    }
}

impl Type for Dictionary {
    const SIGNATURE: &'static Signature = <HashMap<String, OwnedVariant>>::SIGNATURE;
}

impl Serialize for Dictionary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Entries(&self.0).serialize(serializer)
    }
}

/// The keys with a value other than `null`.
struct Entries<'a>(&'a Map<String, Value>);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let present = || self.0.iter().filter(|(_, value)| !value.is_null());
        let mut map = serializer.serialize_map(Some(present().count()))?;
        for (key, value) in present() {
            map.serialize_entry(key, &AsVariant(value))?;
        }
        map.end()
    }
}

/// The values of a list.
struct Elements<'a>(&'a [Value]);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            seq.serialize_element(&AsVariant(value))?;
        }
        seq.end()
    }
}

/// A value with its type before it, serialized as an [`enum@Variant`] without allocating one.
struct AsVariant<'a>(&'a Value);

impl Serialize for AsVariant<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut variant = serializer.serialize_struct("Variant", 2)?;
        let signature = signature(self.0);
        variant.serialize_field("signature", signature)?;
        match self.0 {
            // Only a list could contain it; the lists of messages do not.
            Value::Null => variant.serialize_field("value", ""),
            Value::Bool(flag) => variant.serialize_field("value", flag),
            Value::String(text) => variant.serialize_field("value", text),
            Value::Number(number) => {
                if let Some(integer) = number.as_i64() {
                    variant.serialize_field("value", &integer)
                } else if let Some(integer) = number.as_u64() {
                    variant.serialize_field("value", &integer)
                } else {
                    variant.serialize_field("value", &number.as_f64().unwrap_or_default())
                }
            }
            Value::Array(list) => variant.serialize_field("value", &Elements(list)),
            Value::Object(map) => variant.serialize_field("value", &Entries(map)),
        }?;
        variant.end()
    }
}

fn signature(value: &Value) -> &'static Signature {
    match value {
        Value::Null | Value::String(_) => String::SIGNATURE,
        Value::Bool(_) => bool::SIGNATURE,
        Value::Number(number) if number.is_i64() => i64::SIGNATURE,
        Value::Number(number) if number.is_u64() => u64::SIGNATURE,
        Value::Number(_) => f64::SIGNATURE,
        Value::Array(_) => <Vec<OwnedVariant>>::SIGNATURE,
        Value::Object(_) => Dictionary::SIGNATURE,
    }
}

impl<'de> Deserialize<'de> for Dictionary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DictionaryVisitor)
    }
}

struct DictionaryVisitor;

impl<'de> Visitor<'de> for DictionaryVisitor {
    type Value = Dictionary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dictionary of texts and variants")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Dictionary, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = access.next_entry::<String, Variant<'de>>()? {
            map.insert(key, plain(value).map_err(serde::de::Error::custom)?);
        }
        Ok(Dictionary(map))
    }
}

/// Converts a variant into JSON. Every integer type is accepted, because not all D-Bus libraries let their users choose.
fn plain(value: Variant<'_>) -> Result<Value, &'static str> {
    Ok(match value {
        Variant::U8(n) => n.into(),
        Variant::Bool(flag) => flag.into(),
        Variant::I16(n) => n.into(),
        Variant::U16(n) => n.into(),
        Variant::I32(n) => n.into(),
        Variant::U32(n) => n.into(),
        Variant::I64(n) => n.into(),
        Variant::U64(n) => n.into(),
        Variant::F64(n) => Number::from_f64(n).ok_or("a number is not finite")?.into(),
        Variant::Str(text) => text.as_str().into(),
        Variant::ObjectPath(path) => path.as_str().into(),
        Variant::Signature(signature) => signature.to_string().into(),
        Variant::Variant(inner) => plain(*inner)?,
        Variant::Array(array) => {
            Value::Array(array.iter().map(borrowed).collect::<Result<_, _>>()?)
        }
        Variant::Dict(dict) => {
            let mut map = Map::new();
            for (key, value) in dict.iter() {
                let Variant::Str(key) = key else { return Err("a key is not a text") };
                map.insert(key.as_str().to_owned(), borrowed(value)?);
            }
            Value::Object(map)
        }
        Variant::Structure(_) | Variant::Fd(_) => return Err("a value is of no known kind"),
    })
}

fn borrowed(value: &Variant<'_>) -> Result<Value, &'static str> {
    plain(value.try_clone().map_err(|_| "a value is of no known kind")?)
}

#[cfg(test)]
mod tests;
