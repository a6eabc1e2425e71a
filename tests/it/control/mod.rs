//! Control across nodes: users and tokens revoked, devices disconnected, participants removed and
//! conversations deleted at one node, while whoever it is about is at another one. They listen, or
//! stopped reading long ago, or poll, or their node cannot hear the others.

mod cut_off;
mod healthy;
mod tokens;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    line::{Line, State},
    node::{Node, SECRET, until},
    postgres,
    redis::Server,
    sio::{Sio, narrow},
};

/// Within which control is effective once it was answered, on every node and socket.
pub const SOON: Duration = Duration::from_secs(1);
/// The same at a node that cannot hear the others: it looks by itself once a second.
pub const SOON_CUT_OFF: Duration = Duration::from_secs(3);

/// Text of which a few dozen fill every buffer on the way.
const BULK: usize = 200_000;
const FLOOD: u64 = 40;

/// Two nodes. Control comes from `a`, those it is about are at `b`.
pub struct Pair {
    pub a: Node,
    pub b: Node,
    /// From `b` to Redis.
    pub line: Line,
    /// Where `ann` and `bob` take part, and some others.
    pub room: String,
    pub ann: Sio,
    pub database: String,
    redis: Server,
}

impl Pair {
    pub async fn start() -> Self {
        let redis = Server::start(&[]);
        let line = Line::start(redis.port()).await;
        let database = postgres::database().await.url;
        let a = node(&database, redis.port()).await;
        let b = node(&database, line.port()).await;
        let room = a.group(&["ann", "bob", "cid"]).await;
        let mut ann = a.client("ann").await;
        ann.call("conversation:join", json!(room)).await;
        Self {
            a,
            b,
            line,
            room,
            ann,
            redis,
            database,
        }
    }

    /// One more node, which knows what the database tells.
    pub async fn late(&self) -> Node {
        node(&self.database, self.redis.port()).await
    }

    /// Bob at node `b`, in the room, with this token.
    pub async fn bob_with(&self, token: &str) -> Sio {
        let (tcp, auth) = (narrow(self.b.addr).await, json!({ "token": token }));
        let mut bob = Sio::connect_over(tcp, "/socket.io/", auth).await.unwrap();
        bob.until_heard("connected").await;
        bob.call("conversation:join", json!(self.room)).await;
        bob
    }

    pub async fn bob(&self) -> Sio {
        self.bob_with(&self.b.token("bob")).await
    }

    /// Ann says more than whoever does not read can be sent.
    pub async fn flood(&mut self) {
        for _ in 0..FLOOD {
            self.say(&"x".repeat(BULK)).await;
        }
    }

    /// Ann says something.
    pub async fn say(&mut self, content: &str) {
        let message = json!({ "conversationId": self.room, "content": content });
        let sent = self.ann.call("message:send", message).await;
        assert_eq!(sent["ok"], true, "{sent}");
    }

    /// A service call at node `a`.
    pub async fn order(&self, path: &str, body: Value) -> Value {
        let path = format!("/api/service/{path}");
        self.a.service("POST", &path, body).await
    }

    /// Bob may come again, and node `b` knows it.
    pub async fn allow_again(&self) {
        self.order("users/bob/allow", json!({})).await;
        until(
            async || refusal(&self.b, &self.b.token("bob")).await.is_none(),
            || "who is allowed again is refused".into(),
        )
        .await;
        self.b.until_health(0, 0).await;
    }

    /// Node `b` cannot reach Redis any more, and knows it.
    pub async fn cut_off(&self) {
        self.line.set(State::Closed);
        self.until_ready("degraded").await;
    }

    /// Node `b` reaches Redis again.
    pub async fn reconnect(&self) {
        self.line.set(State::Open);
        self.until_ready("ready").await;
    }

    async fn until_ready(&self, status: &str) {
        let url = format!("http://{}/ready", self.b.ops);
        until(
            async || {
                let answer = reqwest::get(&url).await.unwrap();
                answer.json::<Value>().await.unwrap()["status"] == status
            },
            || format!("the node never was {status}"),
        )
        .await;
    }

    /// Waits until nobody is left at node `b`, since an order was answered.
    pub async fn until_empty(&self, since: Instant, within: Duration) {
        self.b.until_health(0, 0).await;
        let took = since.elapsed();
        assert!(took < within, "closed after {took:?}");
    }

    /// Bob is offline to those he talks with.
    pub async fn until_offline(&self) {
        until(
            async || {
                let path = "/api/presence?users=bob";
                let seen = self.a.rest("ann", "GET", path, Value::Null).await;
                seen["presence"][0]["online"] == false
            },
            || "bob is still online".into(),
        )
        .await;
    }
}

async fn node(database: &str, redis: u16) -> Node {
    Node::with(|c| {
        c.database.url = database.to_owned();
        c.redis.url = format!("redis://127.0.0.1:{redis}");
        c.auth.jwt_secrets = vec![SECRET.to_owned()];
        c.chat.max_content_chars = BULK;
        // Nothing but control closes whoever stops reading.
        c.transport.send_queue = 100_000;
        c.transport.send_queue_bytes = usize::MAX;
        c.transport.write_timeout = Duration::from_secs(600);
        // Whoever is sent away is not waited for.
        c.chat.presence_grace = Duration::from_secs(30);
    })
    .await
}

/// The messages that a client was given until it was closed.
pub async fn given(mut client: Sio) -> Vec<String> {
    client.closed().await;
    contents(&client)
}

pub fn contents(client: &Sio) -> Vec<String> {
    let heard = client.heard("message:new").into_iter();
    heard
        .map(|m| m["content"].as_str().unwrap().to_owned())
        .collect()
}

/// What a handshake with a token is refused with; `None`: it is not.
pub async fn refusal(node: &Node, token: &str) -> Option<String> {
    let refused = Sio::connect(node.addr, json!({ "token": token })).await;
    refused.err()
}
