//! Readers that are slow or stopped reading.

use std::time::Duration;

use serde_json::json;

use crate::support::node::{Node, until};

/// Text large enough that a few of it fill every buffer on the way.
fn bulk() -> String {
    "x".repeat(9_000)
}

/// Socketioxide's writer would sit in its flush, and the user stay online, for a quarter of an
/// hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_is_closed_and_its_presence_goes() {
    let node = Node::with(|c| {
        c.transport.write_timeout = Duration::from_millis(500);
        c.transport.send_queue = 100_000;
    })
    .await;
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    bob.call("conversation:join", json!(room)).await;
    ann.call("conversation:join", json!(room)).await;
    let before = node.metric("porchlight_write_timeouts_total").await;
    // Bob reads nothing from here on.
    let mut sent = 0;
    while node.health().await.0 == 2 {
        assert!(sent < 5_000, "the stalled reader was never closed");
        sent += 1;
        ann.call(
            "message:send",
            json!({ "conversationId": room, "content": bulk() }),
        )
        .await;
    }
    assert_eq!(ann.event("user:offline").await["userId"], "bob");
    assert!(node.metric("porchlight_write_timeouts_total").await > before);
    node.until_health(1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_queue_full_of_packets_closes_the_connection_and_the_client_resumes_without_loss() {
    fills_its_queue(Node::with(|c| c.transport.send_queue = 8).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_queue_full_of_bytes_does_so_as_well() {
    let node = Node::with(|c| {
        c.transport.send_queue = 100_000;
        c.transport.send_queue_bytes = 50_000;
    });
    fills_its_queue(node.await).await;
}

/// A full queue would lose messages to one socket in silence. Here the connection is closed, and
/// its client resumes with everything there.
async fn fills_its_queue(node: Node) {
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    bob.call("conversation:join", json!(room)).await;
    let before = node.metric("porchlight_send_queue_full_total").await;
    let mut sent = 0u64;
    while node.health().await.0 == 2 {
        assert!(sent < 5_000, "the slow reader was never closed");
        sent += 1;
        let message = json!({ "conversationId": room, "content": format!("{sent} {}", bulk()) });
        ann.call("message:send", message).await;
    }
    assert!(node.metric("porchlight_send_queue_full_total").await > before);
    bob.closed().await;
    let mut after = bob
        .heard("message:new")
        .last()
        .map_or(0, |m| m["seq"].as_u64().unwrap());
    let in_order: Vec<_> = bob
        .heard("message:new")
        .iter()
        .map(|m| m["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        in_order,
        (1..=after).collect::<Vec<_>>(),
        "without a gap until the close"
    );
    let mut bob = node.client("bob").await;
    loop {
        let join = json!({ "conversationId": room, "after": after });
        let joined = bob.call("conversation:join", join).await;
        for message in joined["messages"].as_array().unwrap() {
            after += 1;
            assert_eq!(message["seq"], after);
        }
        if joined["hasMore"] == false {
            break;
        }
    }
    assert_eq!(after, sent);
}

/// Typing and presence are dropped for a reader that is behind; messages are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_congested_reader_loses_typing_but_no_message() {
    let node = Node::with(|c| {
        c.transport.send_queue = 100_000;
        c.chat.typing_throttle = Duration::ZERO;
    })
    .await;
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    for client in [&mut ann, &mut bob] {
        client.call("conversation:join", json!(room)).await;
    }
    let dropped = "porchlight_events_dropped_total";
    let before = node.metric(dropped).await;
    let mut sent = 0u64;
    while node.metric(dropped).await == before {
        assert!(sent < 5_000, "the reader was never congested");
        sent += 1;
        ann.call(
            "message:send",
            json!({ "conversationId": room, "content": bulk() }),
        )
        .await;
        ann.call("typing:start", json!({ "conversationId": room }))
            .await;
    }
    for seq in 1..=sent {
        assert_eq!(bob.event("message:new").await["seq"], seq);
    }
}

/// A polling client that stops polling has no stream that could be cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_polling_client_that_stops_polling_is_closed_when_its_queue_is_full() {
    let node = Node::with(|c| c.transport.send_queue = 8).await;
    let room = node.group(&["ann", "bob"]).await;
    let bob = super::transport::Polling::open(&node, "127.0.0.1").await;
    bob.post(&format!("40{}", json!({ "token": node.token("bob") })))
        .await;
    until(
        async || node.health().await.0 == 1,
        || "bob never connected".into(),
    )
    .await;
    bob.post(&format!("42{}", json!(["conversation:join", room])))
        .await;
    until(
        async || node.health().await.1 == 1,
        || "bob never joined".into(),
    )
    .await;
    let mut ann = node.client("ann").await;
    let mut sent = 0;
    while node.health().await.0 == 2 {
        assert!(sent < 100, "the silent poller was never closed");
        sent += 1;
        ann.call(
            "message:send",
            json!({ "conversationId": room, "content": "x" }),
        )
        .await;
    }
    let (status, body) = bob.get().await;
    assert_eq!(status, 400, "{body}");
    node.until_health(1, 0).await;
}
