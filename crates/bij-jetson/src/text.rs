//! Types that are serialized as the text that their `Display` writes.

use serde::{Serialize, Serializer};

use crate::{DeviceAllow, L4t, ParamKind, TripKind};

macro_rules! serialize_as_text {
    ($($name:ident)+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

serialize_as_text! { DeviceAllow L4t ParamKind TripKind }
