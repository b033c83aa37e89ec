//! Tokens and their permissions.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};

/// The permissions of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantNames)]
pub enum Scope {
    /// Ask, cancel, rate, hand over.
    #[strum(serialize = "answers:write")]
    AnswersWrite,
    /// Read answers, sessions and escalations, search.
    #[strum(serialize = "answers:read")]
    AnswersRead,
    /// Erase sessions and customers.
    #[strum(serialize = "sessions:erase")]
    SessionsErase,
    /// Everything, for every client, and the operation of the daemon.
    #[strum(serialize = "admin")]
    Admin,
}

/// Makes a token and its hash, which is stored.
pub fn new_token() -> (String, [u8; 32]) {
    let token = format!("skt_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let hash = hash(&token);
    (token, hash)
}

/// Hashes a token without a salt: it is as long as the hash, and as random.
pub(super) fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}
