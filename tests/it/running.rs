//! A daemon in this process, with a client of its API.

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use shopkeeper::daemon::{self, Listeners, Roles};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::support::World;

/// The status and the body of a response of the API.
pub(crate) type Reply = (StatusCode, Value);

/// A daemon of a world, with a client of its API.
pub(crate) struct TestDaemon {
    pub(crate) url: String,
    /// The admin listener: health and metrics.
    admin: String,
    pub(crate) client: Client,
    pub(crate) stop: CancellationToken,
    running: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl TestDaemon {
    pub(crate) async fn start(world: &World) -> Self {
        Self::with_roles(world, Roles::ALL).await
    }

    #[expect(clippy::disallowed_methods, reason = "the handle is awaited in `stop`")]
    pub(crate) async fn with_roles(world: &World, roles: Roles) -> Self {
        let (config, stop) = (world.config.clone(), CancellationToken::new());
        let listeners = Listeners::bind(&config, roles).unwrap();
        let admin = listeners.admin.as_ref().unwrap().local_addr().unwrap();
        let (sender, started) = oneshot::channel();
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            daemon::run(&config, listeners, roles, stopped, move |started| {
                sender.send(started.address.unwrap()).unwrap();
            })
            .await
        });
        let address = started.await.unwrap();
        // The shop is synced.
        world.until_some("source").await;
        world.until_none("job").await;
        let (url, admin) = (format!("http://{address}"), format!("http://{admin}"));
        Self { url, admin, client: Client::new(), stop, running }
    }

    /// The address of the console.
    pub(crate) fn console(&self) -> String {
        self.admin.clone()
    }

    pub(crate) async fn post(&self, body: Value) -> Reply {
        let response = self.request(Method::POST, "/v1/answers").json(&body).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        let response = self.request(Method::GET, path).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn settled(&self, world: &World, id: &str) -> Value {
        world.until_settled(id).await;
        let (status, answer) = self.get(&format!("/v1/answers/{id}")).await;
        assert_eq!(status, StatusCode::OK);
        answer
    }

    /// The reply of a path once an answer is settled.
    pub(crate) async fn settled_by(&self, world: &World, id: &str, path: &str) -> Value {
        world.until_settled(id).await;
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        // A number that is too large for a machine's is still JSON.
        serde_json::from_str(&response.text().await.unwrap().replace(&"0".repeat(400), "")).unwrap()
    }

    pub(crate) async fn ask(&self, world: &World, body: Value) -> Value {
        let (status, accepted) = self.post(body).await;
        // A worker may have been quick.
        let settled = accepted["status"] == "completed" || accepted["status"] == "failed";
        assert_eq!(status, if settled { StatusCode::OK } else { StatusCode::ACCEPTED }, "{accepted}");
        self.settled(world, accepted["id"].as_str().unwrap()).await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.client.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    /// Asks, and waits until the answer is settled.
    pub(crate) async fn ask_for(&self, world: &World, body: Value) -> Value {
        let (_, accepted) = self.post(body).await;
        self.settled(world, accepted["id"].as_str().unwrap()).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    /// A request to the API.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Asks with a header, and does not wait for the answer.
    pub(crate) async fn post_with(&self, header: &'static str, value: &str, body: &Value) -> Reply {
        reply(self.request(Method::POST, "/v1/answers").header(header, value).json(body)).await
    }

    /// Asks, and waits for the reply that holds the answer.
    pub(crate) async fn wait_for(&self, question: &str) -> Value {
        self.post_with("prefer", "wait=20", &serde_json::json!({ "question": question })).await.1
    }

    /// Sends a request; a body of null is none.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Reply {
        let request = self.request(method, path);
        reply(if body.is_null() { request } else { request.json(&body) }).await
    }
}

/// The status and the body of a reply, null where it is no JSON.
pub(crate) async fn reply(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap_or_default())
}
