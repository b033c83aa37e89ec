//! Which work a daemon takes on.

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Compares sources with the index, and watches them.
    Sync,
    /// Refreshes documents and fills index versions.
    Refresh,
    /// Answers questions.
    Answer,
    /// Delivers webhooks.
    Webhook,
    /// Enqueues on a schedule, and prunes.
    Scheduler,
    /// Serves the API.
    Http,
}

/// The roles of a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Roles(u8);

impl Roles {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// These roles; all if none are given.
    pub fn of(roles: &[Role]) -> Self {
        let given = roles.iter().fold(0, |set, role| set | 1 << *role as u8);
        if roles.is_empty() { Self::ALL } else { Self(given) }
    }

    pub(super) fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }
}
