//! Settings that may be absent: left out, zero or empty.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use serde_json::Value as Json;

use super::{Setting, wrong};
use crate::{address::DatabaseUrl, address::HttpUrl, config::Value};

/// A limit; zero means no limit.
macro_rules! limit {
    ($($type:ty),+) => {
        $(impl Setting for Option<$type> {
            fn read(value: &Value) -> Result<Self, String> {
                <$type>::read(value).map(|limit| Some(limit).filter(|limit| *limit != <$type>::default()))
            }

            fn show(&self) -> Json {
                self.unwrap_or_default().show()
            }
        })+
    };
}

limit! { u32, Duration }

/// An address to listen on or to send to; the empty string disables it.
macro_rules! off_when_empty {
    ($($type:ty: $expected:expr;)+) => {
        $(impl Setting for Option<$type> {
            fn read(value: &Value) -> Result<Self, String> {
                let text = String::read(value)?;
                if text.is_empty() {
                    return Ok(None);
                }
                text.parse().map(Some).or_else(|_| wrong($expected, value))
            }

            fn show(&self) -> Json {
                self.as_ref().map(ToString::to_string).unwrap_or_default().into()
            }
        })+
    };
}

off_when_empty! {
    SocketAddr: "an address and a port such as \"127.0.0.1:8080\"";
    HttpUrl: "an http or https address";
}

/// A key that may be left out.
macro_rules! optional {
    ($($type:ty),+) => {
        $(impl Setting for Option<$type> {
            const SECRET: bool = <$type>::SECRET;

            fn read(value: &Value) -> Result<Self, String> {
                <$type>::read(value).map(Some)
            }

            fn show(&self) -> Json {
                self.as_ref().map_or(Json::Null, Setting::show)
            }
        })+
    };
}

optional! { String, f64, DatabaseUrl, SecretString }
