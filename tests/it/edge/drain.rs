//! A stop that lets connections go bit by bit, and clients that come back all at once.

use std::time::{Duration, Instant};

use porchlight::shutdown::Stopped;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    node::{Node, until},
    redis::Server,
};

async fn readiness(node: &Node) -> (StatusCode, Value) {
    let answer = reqwest::get(format!("http://{}/ready", node.ops))
        .await
        .unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn handshake(node: &Node) -> reqwest::Response {
    let url = format!("http://{}/socket.io/?EIO=4&transport=polling", node.addr);
    reqwest::get(url).await.unwrap()
}

/// The hint, in seconds, of a handshake that was refused.
async fn retry_after(refused: reqwest::Response) -> u64 {
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let header = refused.headers()["retry-after"].to_str().unwrap();
    let seconds = header.parse().unwrap();
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["code"], "unavailable");
    assert!(body["retryAfterMs"].as_u64().unwrap() <= seconds * 1000);
    seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_announced_then_lets_connections_go_bit_by_bit() {
    const CLIENTS: usize = 60;
    let node = Node::with(|c| {
        c.server.drain_notice = Duration::from_millis(500);
        c.server.drain = Duration::from_secs(5);
    })
    .await;
    let room = node.group(&["ann", "bob"]).await;
    let mut ends = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let mut client = node.client(&format!("user{n}")).await;
        ends.spawn(async move {
            client.closed().await;
            Instant::now()
        });
    }
    assert_eq!(readiness(&node).await.1["connections"], CLIENTS);

    node.begin_stop();
    let (status, ready) = readiness(&node).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready["status"], "draining");
    // What balancers have not noticed yet is served as ever.
    let mut late = node.client("ann").await;
    let message = json!({ "conversationId": room, "content": "still here" });
    assert_eq!(late.call("message:send", message).await["ok"], true);

    until(
        async || !handshake(&node).await.status().is_success(),
        || "new sessions are never refused".into(),
    )
    .await;
    let refused = handshake(&node).await;
    assert_eq!(refused.headers()["connection"], "close");
    assert_eq!(retry_after(refused).await, 1);

    late.closed().await;
    let mut times = ends.join_all().await;
    times.sort();
    let spread = times[CLIENTS - 1] - times[0];
    assert!(
        spread > Duration::from_millis(200),
        "all at once: {spread:?}"
    );
    assert_eq!(node.stopped().await, Stopped::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_drain() {
    let node = Node::with(|c| c.server.drain_notice = Duration::from_secs(3600)).await;
    let mut ann = node.client("ann").await;
    node.begin_stop();
    assert_eq!(readiness(&node).await.1["status"], "draining");
    let since = Instant::now();
    // The second one.
    node.stop().await;
    ann.closed().await;
    assert!(since.elapsed() < Duration::from_secs(5));
}

/// A node whose sign of life would last for minutes, with something under way that never ends.
async fn held_up(redis: &Server, patience: Duration) -> Node {
    let node = Node::on_redis(redis, |c| {
        c.chat.presence_heartbeat = Duration::from_secs(60);
        c.server.drain_notice = Duration::ZERO;
        c.server.shutdown_timeout = patience;
    })
    .await;
    node.client("ann").await;
    assert_ne!(redis.cli(&["keys", "*:alive"]), "");
    node.hold_up();
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_whose_time_is_over_still_hands_presence_over() {
    let redis = Server::start(&[]);
    let node = held_up(&redis, Duration::from_millis(100)).await;
    assert_eq!(node.stop().await, Stopped::Late { left: 1 });
    until(
        async || redis.cli(&["keys", "*:alive"]).is_empty(),
        || "the node still counts as alive".into(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_stop_without_more_words() {
    let redis = Server::start(&[]);
    let node = held_up(&redis, Duration::from_secs(3600)).await;
    node.begin_stop();
    // The second one.
    assert_eq!(node.stop().await, Stopped::Forced { left: 1 });
    assert_ne!(redis.cli(&["keys", "*:alive"]), "");
}

/// Redis does not answer: the last words have their own end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_whose_time_is_over_waits_for_no_redis() {
    let mut redis = Server::start(&[]);
    let node = held_up(&redis, Duration::from_millis(100)).await;
    redis.pause(true);
    let since = Instant::now();
    assert_eq!(node.stop().await, Stopped::Late { left: 1 });
    assert!(
        since.elapsed() < Duration::from_secs(12),
        "{:?}",
        since.elapsed()
    );
    redis.pause(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_is_told_to_come_later_and_those_who_are_in_are_served() {
    let node = Node::with(|c| {
        c.limits.node_handshakes_per_second = 1;
        c.limits.node_handshakes_burst = 6;
    })
    .await;
    let room = node.group(&["ann", "bob"]).await;
    let mut ann = node.client("ann").await;
    let mut hints = Vec::new();
    for _ in 0..20 {
        let answer = handshake(&node).await;
        if !answer.status().is_success() {
            hints.push(retry_after(answer).await);
        }
    }
    assert!(hints.len() > 10, "{hints:?}");
    assert!(hints.iter().all(|s| (1..=6).contains(s)), "{hints:?}");
    let message = json!({ "conversationId": room, "content": "calm" });
    assert_eq!(ann.call("message:send", message).await["ok"], true);
    assert!(node.metric("porchlight_handshakes_refused_total").await > 0.0);
}

/// Waiting for one's turn is no refusal, which clients would not come back from by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn connections_take_turns_to_be_admitted() {
    let node = Node::with(|c| c.limits.admissions_at_once = 1).await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (addr, auth) = (
            node.addr,
            json!({ "token": node.token(&format!("user{n}")) }),
        );
        all.spawn(async move { crate::support::sio::Sio::connect(addr, auth).await.is_ok() });
    }
    assert!(all.join_all().await.into_iter().all(|admitted| admitted));
}
