//! Enums that are stored and sent as words.

/// Declares an enum that is written as its variants' names in snake case. A test compares the names with the columns.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($variants:tt)* }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema, sqlx::Type)]
        #[derive(strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray, strum::VariantNames)]
        #[serde(rename_all = "snake_case")]
        #[sqlx(type_name = "text", rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        $(#[$meta])*
        pub enum $name { $($variants)* }
    };
}

pub(crate) use words;
