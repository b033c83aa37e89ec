//! A proxy before the database that can drop traffic without closing connections.

use std::sync::Arc;

use shopkeeper::store::Store;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use crate::support::World;

/// What happens to bytes.
#[derive(Clone, Copy, PartialEq)]
enum Passing {
    All,
    Nothing,
    /// What clients send, and nothing of what the server does.
    Requests,
    /// Of connections that began later than the last time nothing passed.
    New,
}

/// A proxy before the database of a world, and its schema through this proxy.
pub(crate) async fn behind_proxy(world: &World) -> (Proxy, Store) {
    let proxy = Proxy::start(&world.url()).await;
    let through = world.through(&proxy.url()).await;
    (proxy, through)
}

/// Listens on a port of its own until dropped.
pub(crate) struct Proxy {
    url: url::Url,
    passing: watch::Sender<Passing>,
    accepted: watch::Receiver<u32>,
    _tasks: Arc<tokio::sync::Mutex<JoinSet<()>>>,
}

impl Proxy {
    pub(crate) async fn start(database: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url: url::Url = database.parse().unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (passing, heard) = watch::channel(Passing::All);
        let (accept, accepted) = watch::channel(0);
        let tasks = Arc::new(tokio::sync::Mutex::new(JoinSet::new()));
        let pumps = tasks.clone();
        tasks.lock().await.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let is_new = *heard.borrow() == Passing::New;
                accept.send_modify(|accepted| *accepted += 1);
                let mut pumps = pumps.lock().await;
                pumps.spawn(pump(from_client, to_server, heard.clone(), is_new, true));
                pumps.spawn(pump(from_server, to_client, heard.clone(), is_new, false));
            }
        });
        Self { url, passing, accepted, _tasks: tasks }
    }

    /// The address of the database through this proxy.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Connections that were made so far.
    pub(crate) fn accepted(&self) -> watch::Receiver<u32> {
        let mut accepted = self.accepted.clone();
        accepted.mark_unchanged();
        accepted
    }

    /// Drops everything from now on, without closing connections.
    pub(crate) fn swallow(&self) {
        self.passing.send_replace(Passing::Nothing);
    }

    /// Drops what the server sends from now on.
    pub(crate) fn lose_replies(&self) {
        self.passing.send_replace(Passing::Requests);
    }

    /// Passes the traffic of new connections; the old ones stay dead.
    pub(crate) fn pass_new(&self) {
        self.passing.send_replace(Passing::New);
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passing: watch::Receiver<Passing>,
    is_new: bool,
    is_request: bool,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read) = from.read(&mut buffer).await {
        let passes = match *passing.borrow() {
            Passing::All => true,
            Passing::Nothing => false,
            Passing::Requests => is_request,
            Passing::New => is_new,
        };
        // Of a connection that is cut, its end is not heard either.
        if !passes {
            if read == 0 {
                return std::future::pending().await;
            }
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
