//! Many messages on the wire, `aa{sv}`, of which one at a time is a dictionary.
//!
//! A dictionary takes ten times the memory of its message, and there are ten thousand messages in a
//! large submission.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zbus::{Signature, Type};

use super::Dictionary;

/// Messages that are sent.
#[derive(Clone, Debug)]
pub(crate) struct List<L>(pub(crate) L);

impl<L> Type for List<L> {
    const SIGNATURE: &'static Signature = <Vec<Dictionary>>::SIGNATURE;
}

impl<T: Serialize, L: AsRef<[T]> + Messages<Message = T>> Serialize for List<L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.as_ref().iter().map(Dictionary::of))
    }
}

/// What a list of messages has in it.
pub(crate) trait Messages {
    /// One of them.
    type Message;
}

impl<T> Messages for Vec<T> {
    type Message = T;
}

impl<T> Messages for &[T] {
    type Message = T;
}

/// Messages that have arrived: at most so many, and the first thing that does not fit.
#[derive(Debug)]
pub(crate) struct Taken<T, const AT_MOST: usize = { usize::MAX }> {
    read: Result<Vec<T>, serde_json::Error>,
    count: usize,
}

impl<T, const AT_MOST: usize> Taken<T, AT_MOST> {
    /// How many have come, those beyond the limit included.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The messages.
    ///
    /// # Errors
    /// What does not fit, in a sentence that names the key.
    pub(crate) fn read(self) -> Result<Vec<T>, serde_json::Error> {
        self.read
    }
}

impl<T, const AT_MOST: usize> Type for Taken<T, AT_MOST> {
    const SIGNATURE: &'static Signature = <Vec<Dictionary>>::SIGNATURE;
}

impl<'de, T: DeserializeOwned, const AT_MOST: usize> Deserialize<'de> for Taken<T, AT_MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

struct Reader<T, const AT_MOST: usize>(PhantomData<T>);

impl<'de, T: DeserializeOwned, const AT_MOST: usize> Visitor<'de> for Reader<T, AT_MOST> {
    type Value = Taken<T, AT_MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dictionaries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut taken = Taken { read: Ok(Vec::new()), count: 0 };
        while let Some(dictionary) = access.next_element::<Dictionary>()? {
            taken.count += 1;
            let Ok(messages) = &mut taken.read else { continue };
            if taken.count > AT_MOST {
                continue;
            }
            match dictionary.read() {
                Ok(message) => messages.push(message),
                Err(error) => taken.read = Err(error),
            }
        }
        Ok(taken)
    }
}
