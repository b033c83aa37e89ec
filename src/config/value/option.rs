//! Settings that may be absent: left out, zero or empty.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use serde_json::{Value as Json, json};

use super::Setting;
use crate::address::{DatabaseUrl, HttpUrl};
use crate::config::Value;
use crate::source::feed::{Escape, Quoting};

/// Implements [`Setting`] for optional types: how each is read, and what `None` is shown as.
macro_rules! optional {
    ($($type:ty: $read:ident, $none:expr;)+) => {
        $(impl Setting for Option<$type> {
            const SECRET: bool = <$type>::SECRET;

            fn read(value: &Value) -> Result<Self, String> {
                $read(value)
            }

            fn show(&self) -> Json {
                self.as_ref().map_or_else(|| json!($none), Setting::show)
            }
        })+
    };
}

optional! {
    u32: read_limit, 0;
    Duration: read_limit, "0";
    SocketAddr: read_unless_empty, "";
    HttpUrl: read_unless_empty, "";
    String: read_some, ();
    Quoting: read_some, ();
    Escape: read_some, ();
    f64: read_some, ();
    DatabaseUrl: read_some, ();
    SecretString: read_some, ();
}

/// Zero means no limit.
fn read_limit<T: Setting + Default + PartialEq>(value: &Value) -> Result<Option<T>, String> {
    T::read(value).map(|limit| Some(limit).filter(|limit| *limit != T::default()))
}

/// The empty string disables an address.
fn read_unless_empty<T: Setting>(value: &Value) -> Result<Option<T>, String> {
    if String::read(value)?.is_empty() { Ok(None) } else { T::read(value).map(Some) }
}

fn read_some<T: Setting>(value: &Value) -> Result<Option<T>, String> {
    T::read(value).map(Some)
}
