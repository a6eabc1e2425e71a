//! A whole node inside the test process, on free ports and a database in a temporary folder.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use porchlight::{
    app::{self, Listeners},
    auth::Authenticator,
    chat::{Clock, Millis, Profile, SystemClock, UserId},
    config::{self, Config, Sources},
    shutdown::{Shutdown, Stopped},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{
    redis::Server,
    sio::{PATIENCE, Sio},
};

/// The secret that test nodes share.
pub const SECRET: &str = "a-test-secret-of-more-than-32-bytes!";
/// The API key of test nodes.
pub const API_KEY: &str = "a-test-api-key-of-more-than-32-characters";

/// A running node. Stops when dropped.
pub struct Node {
    /// Where clients connect.
    pub addr: SocketAddr,
    /// Where operators look.
    pub ops: SocketAddr,
    auth: Authenticator,
    shutdown: Shutdown,
    stopped: tokio::task::JoinHandle<Stopped>,
    http: reqwest::Client,
    _dir: Option<TempDir>,
}

impl Node {
    /// A node on the defaults, with limits that do not get in the way.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A node that alone uses this Redis beside its database.
    pub async fn on_redis(redis: &Server, change: impl FnOnce(&mut Config)) -> Self {
        Self::with(|config| {
            config.redis.url = redis.url();
            config.redis.allow_sqlite = true;
            change(config);
        })
        .await
    }

    /// A node on a changed configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config::load(&Sources::default()).unwrap().config;
        config.server.data_dir = dir.path().to_owned();
        config.auth.jwt_secrets = vec![SECRET.to_owned()];
        config.auth.api_keys = vec![API_KEY.to_owned()];
        config.chat.presence_grace = Duration::from_millis(50);
        config.limits.events_per_second = 100_000;
        config.limits.events_burst = 100_000;
        config.limits.messages_per_second = 100_000;
        config.limits.messages_burst = 100_000;
        config.limits.requests_per_second = 100_000;
        config.limits.requests_burst = 100_000;
        config.limits.handshakes_per_second = 10_000;
        config.limits.handshakes_burst = 10_000;
        config.limits.node_handshakes_per_second = 10_000;
        config.limits.node_handshakes_burst = 10_000;
        config.limits.connections_per_address = 10_000;
        config.limits.connections_per_user = 10_000;
        change(&mut config);
        let auth = Authenticator::new(&config.auth, Arc::new(SystemClock)).unwrap();
        let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ops = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, ops_addr) = (clients.local_addr().unwrap(), ops.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let running = app::start(config, Listeners { clients, ops }, &shutdown)
            .await
            .unwrap();
        let stopped = tokio::spawn(running.wait());
        let http = reqwest::Client::new();
        Self {
            addr,
            ops: ops_addr,
            auth,
            shutdown,
            stopped,
            http,
            _dir: Some(dir),
        }
    }

    /// What a SIGTERM does; after it [`Node::stop`] is the second one.
    pub fn begin_stop(&self) {
        self.shutdown.trigger();
    }

    /// Has something under way that does not end, not even when it is told to.
    pub fn hold_up(&self) {
        self.shutdown.tasks().spawn(std::future::pending::<()>());
    }

    /// Stops the node as SIGTERM does.
    pub async fn stop(self) -> Stopped {
        self.shutdown.trigger();
        self.stopped().await
    }

    /// Waits until it has stopped.
    pub async fn stopped(mut self) -> Stopped {
        (&mut self.stopped).await.unwrap()
    }

    /// A token of a user whose name is the id.
    pub fn token(&self, user: &str) -> String {
        self.token_for(user, Duration::from_secs(3600))
    }

    /// A token that lives for `ttl`.
    pub fn token_for(&self, user: &str, ttl: Duration) -> String {
        let profile = Profile::unknown(UserId::new(user).unwrap());
        self.auth.mint(&profile, ttl).unwrap().token
    }

    /// A connected client of a user.
    pub async fn client(&self, user: &str) -> Sio {
        let auth = json!({ "token": self.token(user) });
        let mut client = Sio::connect(self.addr, auth).await.unwrap();
        // With the greeting the connection is live: what happens to others from now on is heard.
        client.until_heard("connected").await;
        client
    }

    /// A REST call as a user. Panics unless it succeeds.
    pub async fn rest(&self, user: &str, method: &str, path: &str, body: Value) -> Value {
        let (status, value) = self.try_rest(user, method, path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {value}"
        );
        value
    }

    /// A REST call as a user, with its status.
    pub async fn try_rest(
        &self,
        user: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        self.request(&self.token(user), method, path, body).await
    }

    /// A REST call as a service caller.
    pub async fn service(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, value) = self.request(API_KEY, method, path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {value}"
        );
        value
    }

    /// A REST call without a body and with this token.
    pub async fn bearing(&self, token: &str, method: &str, path: &str) -> (u16, Value) {
        self.request(token, method, path, Value::Null).await
    }

    /// What time it is.
    pub fn now(&self) -> Millis {
        SystemClock.now()
    }

    async fn request(&self, bearer: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().unwrap();
        let url = format!("http://{}{path}", self.addr);
        let mut request = self.http.request(method, url).bearer_auth(bearer);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A group of these users, made by the first.
    pub async fn group(&self, users: &[&str]) -> String {
        let body = json!({ "title": "test", "isGroup": true, "participantIds": users[1..] });
        let made = self
            .rest(users[0], "POST", "/api/conversations", body)
            .await;
        made["conversation"]["id"].as_str().unwrap().to_owned()
    }

    /// The value of a metric, summed over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let url = format!("http://{}/metrics", self.ops);
        let text = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines()
            .filter(|l| {
                l.strip_prefix(name)
                    .is_some_and(|r| r.starts_with(['{', ' ']))
            })
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// `(connected, rooms)` as the health page tells them.
    pub async fn health(&self) -> (u64, u64) {
        let url = format!("http://{}/api/socket/health", self.addr);
        let body: Value = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let socket = &body["socket"];
        (
            socket["connected"].as_u64().unwrap(),
            socket["rooms"].as_u64().unwrap(),
        )
    }

    /// Waits until the health page tells these.
    pub async fn until_health(&self, connected: u64, rooms: u64) {
        let wanted = (connected, rooms);
        until(
            async || self.health().await == wanted,
            || format!("health never was {wanted:?}"),
        )
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// Waits until a condition holds.
pub async fn until(mut condition: impl AsyncFnMut() -> bool, complaint: impl Fn() -> String) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "{}", complaint());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
