//! Settings that are one of a few words.

use std::str::FromStr;

use serde_json::Value as Json;

use super::Setting;
use crate::config::{self, Value, fault::did_you_mean};

fn word<T: FromStr>(words: &[&str], value: &Value) -> Result<T, String> {
    let list = words.join(", ");
    let Value::Text(text) = value else {
        return Err(format!("must be one of {list}, not {}", value.kind()));
    };
    text.parse().map_err(|_| {
        let hint = did_you_mean(text, words.iter().copied());
        format!("must be one of {list}, not {text:?}{hint}")
    })
}

/// Implements [`Setting`] for enums that derive strum's `EnumString`, `IntoStaticStr` and `VariantNames`.
macro_rules! words {
    ($($type:ty),+ $(,)?) => {
        $(impl Setting for $type {
            fn read(value: &Value) -> Result<Self, String> {
                word(<$type as strum::VariantNames>::VARIANTS, value)
            }

            fn show(&self) -> Json {
                <&str>::from(self).into()
            }
        })+
    };
}

words! {
    config::RequireToken, config::Overlap, config::Event, config::LogFormat, config::Retrieval,
    config::schedule::JobWord, config::source::KindWord, crate::queue::CatchUp, crate::source::feed::Format, crate::source::feed::Quoting,
    crate::source::feed::Escape, crate::catalogue::render::RowsAre, crate::model::learned::EncodingFormat,
    crate::model::learned::MaxTokensParameter, crate::model::learned::SystemRole,
}
