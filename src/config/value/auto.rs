//! Settings that are found out unless they are written: `auto` is `None`.

use serde_json::Value as Json;

use super::{Setting, wrong};
use crate::config::Value;
use crate::model::learned::{EncodingFormat, MaxTokensParameter, SystemRole};

macro_rules! auto {
    ($($type:ty),+ $(,)?) => {
        $(impl Setting for Option<$type> {
            fn read(value: &Value) -> Result<Self, String> {
                match value {
                    Value::Text(text) if text == "auto" => Ok(None),
                    other => <$type>::read(other).map(Some).or_else(|message| match message.strip_prefix("must be ") {
                        Some(rest) => Err(format!("must be \"auto\" or {rest}")),
                        None => wrong("\"auto\"", other),
                    }),
                }
            }

            fn show(&self) -> Json {
                self.as_ref().map_or_else(|| "auto".into(), Setting::show)
            }
        })+
    };
}

auto! { bool, EncodingFormat, MaxTokensParameter, SystemRole }
