//! Addresses of databases and web servers, which are shown without the secrets in them.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What is shown in the place of a secret.
pub const HIDDEN: &str = "********";

/// The address of a PostgreSQL database; its password is never printed.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// The whole address, with the password: for connecting only.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether the address holds a password, and so must not be written into the settings.
    pub fn has_password(&self) -> bool {
        Url::parse(self.expose()).is_ok_and(|url| url.password().is_some() || has_password_key(&url))
    }
}

/// The address of a MySQL or MariaDB database; its password is never printed.
#[derive(Clone, Debug)]
pub struct MySqlUrl(DatabaseUrl);

impl MySqlUrl {
    /// The whole address, with the password: for connecting only.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether the address holds a password, and so must not be written into the settings.
    pub fn has_password(&self) -> bool {
        self.0.has_password()
    }
}

impl FromStr for MySqlUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let has_database = |url: &Url| is_mysql(url) && url.path().len() > 1;
        let url = Url::parse(text).ok().filter(has_database).ok_or(AddressError);
        url.map(|_| Self(DatabaseUrl(text.into())))
    }
}

impl fmt::Display for MySqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text is not an address of the expected kind.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not an address of this kind")]
pub struct AddressError;

impl FromStr for DatabaseUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).ok().filter(is_database).ok_or(AddressError);
        url.map(|_| Self(text.into()))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(self.expose()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An http or https address; its password, query and lone user name, which may be secrets, are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// The whole address: for requests only.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl FromStr for HttpUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        Url::parse(text).ok().filter(is_http).map(Self).ok_or(AddressError)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(self.0.as_str()))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hides the password. Of a web server's address any query may hold a token, and so may a user name without a password.
fn redacted(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return HIDDEN.to_owned() };
    let is_database = is_database(&url) || is_mysql(&url);
    let hides_query = if is_database { has_password_key(&url) } else { url.query().is_some() };
    if hides_query {
        url.set_query(Some(HIDDEN));
    }
    let hidden = if url.password().is_some() {
        url.set_password(Some(HIDDEN))
    } else if !is_database && !url.username().is_empty() {
        url.set_username(HIDDEN)
    } else {
        Ok(())
    };
    hidden.map_or_else(|()| HIDDEN.to_owned(), |()| url.into())
}

fn is_database(url: &Url) -> bool {
    matches!(url.scheme(), "postgres" | "postgresql")
}

fn is_mysql(url: &Url) -> bool {
    matches!(url.scheme(), "mysql" | "mariadb")
}

fn has_password_key(url: &Url) -> bool {
    url.query_pairs().any(|(key, _)| key == "password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_is_secret_in_it() {
        for (address, shown) in [
            ("postgres://a:s3cret@h/d?sslmode=require", "postgres://a:********@h/d?sslmode=require"),
            ("postgres://a@h/d?password=s3cret", "postgres://a@h/d?********"),
            ("postgresql://a:s3cret@h/d?pass%77ord=s3cret", "postgresql://a:********@h/d?********"),
            ("mysql://a:s3cret@h/d", "mysql://a:********@h/d"),
            ("https://u:s3cret@h/feed?token=s3cret", "https://u:********@h/feed?********"),
            ("https://s3cret@h/v1", "https://********@h/v1"),
            ("http://h:8000/v1", "http://h:8000/v1"),
            ("host=h password=s3cret", "********"),
        ] {
            assert_eq!(redacted(address), shown);
        }
    }
}
