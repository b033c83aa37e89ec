//! Visitors of the console over HTTP.

use crate::prelude::*;
use reqwest::{Client, RequestBuilder, Response, header, redirect::Policy};
use shopkeeper::{
    config::RequireToken,
    store::tokens::{Grant, Scope, new_token},
};

/// What a page says whose list is not whole.
pub(crate) const STOPPED: &str = "This search was stopped after a second";

/// A visitor of the console, with a cookie if logged in.
pub(crate) struct Visitor {
    pub(crate) base: String,
    pub(crate) client: Client,
    cookie: Option<String>,
}

impl Visitor {
    /// One who is not logged in.
    pub(crate) fn new(daemon: &TestDaemon) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { base: daemon.console(), client, cookie: None }
    }

    pub(crate) async fn logged_in(daemon: &TestDaemon, token: &str) -> Self {
        let mut visitor = Self::new(daemon);
        let response = visitor.post("/login", &[("token", token)]).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let set = response.headers()[header::SET_COOKIE].to_str().unwrap();
        for part in ["__Host-shopkeeper=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
            assert!(set.contains(part), "{set}");
        }
        visitor.cookie = Some(set.split(';').next().unwrap().to_owned());
        visitor
    }

    /// The page of the newest answer.
    pub(crate) async fn first_answer(&self) -> String {
        let page = self.page("/answers").await;
        format!("/answers/{}", between(&page, "<td class=\"wide\"><a href=\"/answers/", "\""))
    }

    /// Sends a request; again while the statements of its page are stopped after their second, as on a busy machine.
    async fn send(&self, request: RequestBuilder) -> Response {
        let request = match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        };
        let mut response = None;
        wait_until("its statements are stopped each time", async || {
            let sent = request.try_clone().unwrap().send().await.unwrap();
            let is_slow = sent.headers().contains_key(header::RETRY_AFTER);
            response = Some(sent);
            !is_slow
        })
        .await;
        response.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    /// A page; the same again if the machine was too busy for its list.
    pub(crate) async fn page(&self, path: &str) -> String {
        let mut text = String::new();
        wait_until("its list is stopped each time", async || {
            let response = self.get(path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            text = response.text().await.unwrap();
            !text.contains(STOPPED)
        })
        .await;
        assert!(text.len() < 100_000, "{path} has {} bytes", text.len());
        text
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.send(form(self.client.post(format!("{}{path}", self.base)), fields)).await
    }

    /// Sends a form as a page of the console would.
    pub(crate) async fn act(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let page = self.page("/").await;
        let token = between(&page, "name=\"form\" value=\"", "\"");
        self.post(path, &[&[("form", token.as_str())], fields].concat()).await
    }

    /// Sends a form; returns the page that it leads to.
    pub(crate) async fn done(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let response = self.act(path, fields).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{path}: {}", response.text().await.unwrap());
        let to = response.headers()[header::LOCATION].to_str().unwrap().to_owned();
        self.page(&to).await
    }
}

/// A request with the fields of a form.
pub(crate) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
}

pub(crate) fn between(text: &str, start: &str, end: &str) -> String {
    let after = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}")).1;
    after.split_once(end).unwrap().0.to_owned()
}

pub(crate) async fn token(world: &World, client: &str, scopes: &[Scope]) -> String {
    let (token, hash) = new_token();
    let scopes = scopes.iter().map(ToString::to_string).collect();
    let grant = Grant { client: client.to_owned(), scopes, ..Grant::default() };
    world.store.add_token(&hash, &grant, None).await.unwrap();
    token
}

/// A console that needs a login.
pub(crate) async fn closed() -> (World, TestDaemon) {
    let mut world = World::new().await;
    world.config.http.require_token = RequireToken::Always;
    world.with_daemon().await
}
