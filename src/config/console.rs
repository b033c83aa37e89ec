//! `[console]`: how the pages tell this instance from others, and by which names browsers may address it.

use super::{ReadError, Section, table};

table! {
    /// The console on the admin listener.
    pub struct Console, section {
        name: String = with(name),
        colour: Option<String> = with(colour),
        production: bool = get(false),
        hosts: Vec<String> = with(hosts),
    }
}

/// The most characters of a name.
const LONGEST: usize = 40;

fn name(section: &Section<'_>, key: &str) -> Result<String, ReadError> {
    section.checked(key, "shopkeeper".to_owned(), |name: &String| {
        let is_short = !name.trim().is_empty() && name.chars().count() <= LONGEST;
        is_short.then_some(()).ok_or_else(|| format!("must have 1 to {LONGEST} characters, not {name:?}"))
    })
}

fn colour(section: &Section<'_>, key: &str) -> Result<Option<String>, ReadError> {
    section.checked(key, None, |colour: &Option<String>| {
        let is_colour = colour.as_ref().is_none_or(|colour| {
            let digits = colour.strip_prefix('#').unwrap_or_default();
            digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        let written = colour.as_deref().unwrap_or_default();
        is_colour
            .then_some(())
            .ok_or_else(|| format!("must be a colour such as \"#a02020\", not {written:?}"))
    })
}

fn hosts(section: &Section<'_>, key: &str) -> Result<Vec<String>, ReadError> {
    section.checked(key, Vec::new(), |hosts: &Vec<String>| {
        match hosts.iter().find(|host| host.is_empty() || host.contains(['/', ':', ' '])) {
            Some(host) => Err(format!(
                "must be names such as \"console.shop.example\", with no scheme and no port, not {host:?}"
            )),
            None => Ok(()),
        }
    })
}
