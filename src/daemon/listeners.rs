//! The daemon's sockets, bound before anything else is done.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;

use super::{Role, Roles};
use crate::config::Config;

/// The daemon's sockets; `None` if switched off or not among its roles.
#[derive(Default)]
pub struct Listeners {
    /// The API for other services.
    pub api: Option<TcpListener>,
    /// Admin routes: health and metrics.
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Binds the addresses of the settings that the roles need.
    pub fn bind(config: &Config, roles: Roles) -> anyhow::Result<Self> {
        Self::default().rebind(config, config, roles)
    }

    /// Binds the addresses of new settings; a socket whose address stays the same is kept.
    pub fn rebind(&self, old: &Config, new: &Config, roles: Roles) -> anyhow::Result<Self> {
        let api = new.http.listen.filter(|_| roles.has(Role::Http));
        let admin = new.http.admin_listen;
        Ok(Self {
            api: rebind("http.listen", self.api.as_ref(), old.http.listen, api)?,
            admin: rebind("http.admin_listen", self.admin.as_ref(), old.http.admin_listen, admin)?,
        })
    }

    /// Duplicates the sockets.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let clone = |socket: &Option<TcpListener>| socket.as_ref().map(TcpListener::try_clone).transpose();
        Ok(Self { api: clone(&self.api)?, admin: clone(&self.admin)? })
    }
}

fn rebind(
    key: &str,
    kept: Option<&TcpListener>,
    old: Option<SocketAddr>,
    new: Option<SocketAddr>,
) -> anyhow::Result<Option<TcpListener>> {
    if let Some(kept) = kept.filter(|_| old == new) {
        return Ok(Some(kept.try_clone()?));
    }
    let Some(address) = new else { return Ok(None) };
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        std::io::Result::Ok(listener)
    };
    let remedy =
        || format!("cannot listen on {address}: set {key} to another address, or \"\" to switch it off");
    bind().with_context(remedy).map(Some)
}
