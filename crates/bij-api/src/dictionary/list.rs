//! Lists of messages on the wire, `aa{sv}`, which convert one message at a time.
//!
//! A dictionary takes ten times the memory of its message, and a large submission has ten thousand messages.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zbus::{Signature, Type};

use super::Dictionary;

/// A list of messages to send.
#[derive(Clone, Debug)]
pub(crate) struct SentList<L>(pub(crate) L);

impl<L> Type for SentList<L> {
    const SIGNATURE: &'static Signature = <Vec<Dictionary>>::SIGNATURE;
}

impl<T: Serialize, L: AsRef<[T]> + Messages<Message = T>> Serialize for SentList<L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.as_ref().iter().map(Dictionary::from_message))
    }
}

/// A collection of messages.
pub(crate) trait Messages {
    type Message;
}

impl<T> Messages for Vec<T> {
    type Message = T;
}

impl<T> Messages for &[T] {
    type Message = T;
}

/// A received list of up to `MAX` messages, or the first error in it.
#[derive(Debug)]
pub(crate) struct ReceivedList<T, const MAX: usize = { usize::MAX }> {
    read: Result<Vec<T>, serde_json::Error>,
    count: usize,
}

impl<T, const MAX: usize> ReceivedList<T, MAX> {
    /// Returns the number of received messages, including those beyond the limit.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Returns the messages.
    ///
    /// # Errors
    /// The first value that does not fit, with its key.
    pub(crate) fn read(self) -> Result<Vec<T>, serde_json::Error> {
        self.read
    }
}

impl<T, const MAX: usize> Type for ReceivedList<T, MAX> {
    const SIGNATURE: &'static Signature = <Vec<Dictionary>>::SIGNATURE;
}

impl<'de, T: DeserializeOwned, const MAX: usize> Deserialize<'de> for ReceivedList<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: DeserializeOwned, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = ReceivedList<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dictionaries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut received = ReceivedList { read: Ok(Vec::new()), count: 0 };
        while let Some(dictionary) = access.next_element::<Dictionary>()? {
            received.count += 1;
            let Ok(messages) = &mut received.read else { continue };
            if received.count > MAX {
                continue;
            }
            match dictionary.read() {
                Ok(message) => messages.push(message),
                Err(error) => received.read = Err(error),
            }
        }
        Ok(received)
    }
}
