//! Tables of the settings, declared as lists of keys.

use super::{ReadError, Section, Shown};

/// A type that is read from the keys of a table.
pub(crate) trait Table: Sized {
    /// Reads every key, even after one that is wrong.
    fn read(section: &Section<'_>) -> Result<Self, ReadError>;

    /// Adds the keys with the values that apply.
    fn show(&self, shown: &mut Shown);
}

/// Declares the keys of a struct, `field: how` or `field = "key": how` where the names differ; or the struct as well,
/// `pub struct Name, section { field: Type = how }`. How to read a field:
///
/// - `get(default)`: a setting that may be left out; `required()`: one that may not
/// - `with(read)`: a setting that `read(section, key)` reads; `hidden(read)`: one that is not shown
/// - `table()`: a nested table; `optional_table()`: one that may be left out; `list()`: a list of tables
/// - `flat()`: keys of this table that belong to another struct
///
/// `check` runs before the struct is built, when fields may still be faults.
macro_rules! table {
    (
        $(#[$meta:meta])* pub struct $name:ident, $section:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident $(as $key:literal)?: $type:ty = $how:ident($($argument:expr)?)
            ),+ $(,)?
        }
        $(check $check:block)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[allow(missing_docs, clippy::allow_attributes, reason = "named for the keys, which docs/settings.md explains")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type),+
        }

        $crate::config::table! {
            $name, $section { $($field $(= $key)?: $how($($argument)?)),+ } $(check $check)?
        }
    };
    (
        $type:ty, $section:ident {
            $($field:ident $(= $key:literal)?: $how:ident($($argument:expr)?)),+ $(,)?
        }
        $(check $check:block)?
    ) => {
        impl $crate::config::Table for $type {
            fn read(
                $section: &$crate::config::Section<'_>,
            ) -> Result<Self, $crate::config::ReadError> {
                $(let $field = $crate::config::table::read_key!(
                    $section, $crate::config::table::key!($field $($key)?), $how($($argument)?)
                );)+
                $($check)?
                Ok(Self { $($field: $field?),+ })
            }

            fn show(&self, shown: &mut $crate::config::Shown) {
                $($crate::config::table::show_key!(
                    shown, $crate::config::table::key!($field $($key)?), &self.$field, $how
                );)+
            }
        }
    };
}

macro_rules! key {
    ($field:ident $key:literal) => {
        $key
    };
    ($field:ident) => {
        stringify!($field)
    };
}

macro_rules! read_key {
    ($section:ident, $key:expr, flat()) => {
        $crate::config::Table::read($section)
    };
    ($section:ident, $key:expr, with($read:expr)) => {
        $read($section, $key)
    };
    ($section:ident, $key:expr, hidden($read:expr)) => {
        $read($section, $key)
    };
    ($section:ident, $key:expr, $method:ident($($default:expr)?)) => {
        $section.$method($key $(, $default)?)
    };
}

macro_rules! show_key {
    ($shown:ident, $key:expr, $value:expr, table) => {
        $shown.insert($key.to_owned(), $crate::config::shown::shown($value));
    };
    ($shown:ident, $key:expr, $value:expr, optional_table) => {
        if let Some(table) = $value {
            $shown.insert($key.to_owned(), $crate::config::shown::shown(&**table));
        }
    };
    ($shown:ident, $key:expr, $value:expr, list) => {
        $shown.insert($key.to_owned(), $value.iter().map($crate::config::shown::shown).collect());
    };
    ($shown:ident, $key:expr, $value:expr, flat) => {
        $crate::config::Table::show($value, $shown);
    };
    ($shown:ident, $key:expr, $value:expr, hidden) => {};
    ($shown:ident, $key:expr, $value:expr, $how:ident) => {
        $shown.insert($key.to_owned(), $crate::config::Setting::show($value));
    };
}

pub(crate) use {key, read_key, show_key, table};
