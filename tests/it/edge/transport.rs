//! HTTP polling, message sizes, and whom a polling session belongs to.

use futures_util::{SinkExt, StreamExt};
use reqwest::Client;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    node::{Node, until},
    sio::Sio,
};

/// A polling session, request by request.
pub struct Polling {
    http: Client,
    url: String,
}

impl Polling {
    /// Opens a session from a loopback address.
    pub async fn open(node: &Node, from: &str) -> Self {
        let http = Client::builder()
            .local_address(Some(from.parse().unwrap()))
            .build()
            .unwrap();
        let base = format!("http://{}/socket.io/?EIO=4&transport=polling", node.addr);
        let open = http.get(&base).send().await.unwrap().text().await.unwrap();
        let open: Value = serde_json::from_str(&open[1..]).unwrap();
        let url = format!("{base}&sid={}", open["sid"].as_str().unwrap());
        Self { http, url }
    }

    /// The same session, as somebody else's machine would use it.
    pub fn stolen(&self, from: &str) -> Self {
        let http = Client::builder()
            .local_address(Some(from.parse().unwrap()))
            .build()
            .unwrap();
        Self {
            http,
            url: self.url.clone(),
        }
    }

    /// Sends packets.
    pub async fn post(&self, body: &str) -> u16 {
        let response = self
            .http
            .post(&self.url)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        response.status().as_u16()
    }

    /// Polls once.
    pub async fn get(&self) -> (u16, String) {
        let response = self.http.get(&self.url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// The Socket.IO id opens the polling session, and applications show ids around.
#[tokio::test(flavor = "multi_thread")]
async fn a_polling_session_belongs_to_the_address_that_opened_it() {
    let node = Node::start().await;
    let ann = Polling::open(&node, "127.0.0.1").await;
    assert_eq!(
        ann.post(&format!("40{}", json!({ "token": node.token("ann") })))
            .await,
        200
    );
    until(
        async || node.health().await.0 == 1,
        || "ann never connected".into(),
    )
    .await;
    let thief = ann.stolen("127.0.0.2");
    assert_eq!(thief.get().await.0, 400);
    assert_eq!(thief.post("1").await, 400);
    assert_eq!(node.health().await.0, 1, "the session lives on");
    assert_eq!(ann.get().await.0, 200);
}

/// Socketioxide's own limits are 100 kB for polling, and 64 MiB for WebSocket.
#[tokio::test(flavor = "multi_thread")]
async fn the_message_size_limit_holds_on_both_transports() {
    let node = Node::with(|c| c.chat.max_content_chars = 2_000_000).await;
    let room = node.group(&["ann", "bob"]).await;
    let large = json!({ "conversationId": room, "content": "x".repeat(900_000) });
    let excess = json!({ "conversationId": room, "content": "x".repeat(1_100_000) });

    let mut ann = node.client("ann").await;
    let ack = ann.call("message:send", large.clone()).await;
    assert_eq!(ack["ok"], true, "{ack}");
    ann.post("message:send", excess.clone()).await;
    ann.flush().await;
    ann.closed().await;

    let bob = Polling::open(&node, "127.0.0.1").await;
    bob.post(&format!("40{}", json!({ "token": node.token("bob") })))
        .await;
    until(
        async || node.health().await.0 == 1,
        || "bob never connected".into(),
    )
    .await;
    assert_eq!(
        bob.post(&format!("42{}", json!(["message:send", large])))
            .await,
        200
    );
    let path = format!("/api/conversations/{room}/messages");
    until(
        async || {
            let page = node.rest("ann", "GET", &path, Value::Null).await;
            page["messages"].as_array().unwrap().len() == 2
        },
        || "the large message never arrived by polling".into(),
    )
    .await;
    assert_ne!(
        bob.post(&format!("42{}", json!(["message:send", excess])))
            .await,
        200
    );
}

/// One connection's configuration must be the one that was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_tells_the_configured_times() {
    let node = Node::start().await;
    let url = format!("http://{}/socket.io/?EIO=4&transport=polling", node.addr);
    let open = reqwest::get(url).await.unwrap().text().await.unwrap();
    let open: Value = serde_json::from_str(&open[1..]).unwrap();
    assert_eq!(open["pingInterval"], 25_000);
    assert_eq!(open["pingTimeout"], 60_000);
    assert_eq!(open["maxPayload"], 1_048_576);
    assert_eq!(open["upgrades"], json!(["websocket"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_of_an_unknown_session_is_refused() {
    let node = Node::start().await;
    let tcp = tokio::net::TcpStream::connect(node.addr).await.unwrap();
    let url = format!(
        "ws://{}/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA",
        node.addr
    );
    let refused = tokio_tungstenite::client_async(url, tcp).await;
    assert!(refused.is_err());
    let _still_fine: Sio = node.client("ann").await;
}

/// A page is reloaded in the middle of its upgrade: the session can neither poll nor upgrade any
/// more, and its heartbeat rests during upgrades.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_breaks_half_way_ends_the_session() {
    let node = Node::start().await;
    let ann = Polling::open(&node, "127.0.0.1").await;
    ann.post(&format!("40{}", json!({ "token": node.token("ann") })))
        .await;
    until(
        async || node.health().await.0 == 1,
        || "ann never connected".into(),
    )
    .await;
    assert_eq!(ann.get().await.0, 200);
    assert_eq!(ann.post("3").await, 200);
    let tcp = tokio::net::TcpStream::connect(node.addr).await.unwrap();
    let url = ann
        .url
        .replace("http://", "ws://")
        .replace("=polling", "=websocket");
    let (mut ws, _) = tokio_tungstenite::client_async(url, tcp).await.unwrap();
    ws.send(Message::text("2probe")).await.unwrap();
    assert_eq!(ws.next().await.unwrap().unwrap(), Message::text("3probe"));
    drop(ws);
    node.until_health(0, 0).await;
}

/// Polls that wait for a minute must not hold up a stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_and_waits_for_nobody_who_polls() {
    let node = Node::start().await;
    let admitted = node.client("ann").await;
    let waiting = Polling::open(&node, "127.0.0.1").await;
    // The first poll is answered with the ping that comes at once.
    assert_eq!(waiting.get().await.0, 200);
    let poll = tokio::spawn(async move { waiting.http.get(&waiting.url).send().await });
    assert_eq!(node.health().await.0, 1);
    let since = std::time::Instant::now();
    let stopped = node.stop().await;
    assert_eq!(stopped, porchlight::shutdown::Stopped::Clean);
    assert!(since.elapsed() < std::time::Duration::from_secs(5));
    let _ = poll.await.unwrap();
    drop(admitted);
}
