//! Serves the models over HTTP.

use std::{net::Ipv4Addr, time::Duration};

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{Models, Script, routes};

/// How long a stopping server waits for pending answers. Inference of one batch takes about a second.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Serves the models until `stop`, then waits up to 5 s for pending answers.
pub async fn serve(listener: TcpListener, models: Models, stop: CancellationToken) -> std::io::Result<()> {
    let router = routes::router(models, stop.clone());
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_LIMIT).await;
    };
    tokio::select! {
        ended = server => ended,
        () = overdue => Ok(()),
    }
}

/// A server on a free loopback port that lives as long as this value.
#[derive(Debug)]
pub struct OfflineServer {
    base_url: String,
    script: Script,
    task: TaskTracker,
    stop: DropGuard,
}

impl OfflineServer {
    /// Starts serving on `127.0.0.1`; accepts requests as soon as it returns.
    pub async fn start(models: Models) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let script = models.script.clone();
        let stop = CancellationToken::new();
        let task = TaskTracker::new();
        let serving = serve(listener, models, stop.clone());
        task.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the offline model server failed");
            }
        });
        task.close();
        Ok(Self { base_url, script, task, stop: stop.drop_guard() })
    }

    /// `http://127.0.0.1:PORT/v1`, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The script that decides which requests fail.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Stops the server and waits until it has stopped.
    pub async fn stop(self) {
        drop(self.stop);
        self.task.wait().await;
    }
}
