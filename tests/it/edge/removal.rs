//! Users who are removed or revoked while connected.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::node::{Node, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_participant_hears_nothing_more() {
    let node = Node::start().await;
    let room = node.group(&["ann", "bob", "cid"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    bob.call("conversation:join", json!(room)).await;
    let path = format!("/api/conversations/{room}/participants/bob");
    node.rest("ann", "DELETE", &path, Value::Null).await;
    assert_eq!(
        bob.event("conversation:deleted").await["conversationId"],
        room.as_str()
    );
    let message = json!({ "conversationId": room, "content": "without bob" });
    assert_eq!(ann.call("message:send", message.clone()).await["ok"], true);
    for (event, arg) in [
        ("conversation:join", json!(room)),
        ("message:send", message),
        ("message:read", json!({ "conversationId": room })),
        ("typing:start", json!({ "conversationId": room })),
    ] {
        let refused = bob.call(event, arg).await;
        assert_eq!(refused["error"]["code"], "forbidden", "{event}: {refused}");
    }
    assert!(bob.heard("message:new").is_empty());
    assert!(bob.heard("notification:new").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_participant_is_out_of_the_room_at_once_when_removed() {
    let node = Node::with(|c| c.transport.send_queue = 100_000).await;
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    bob.call("conversation:join", json!(room)).await;
    for _ in 0..500 {
        let content = "x".repeat(9_000);
        ann.call(
            "message:send",
            json!({ "conversationId": room, "content": content }),
        )
        .await;
    }
    let path = format!("/api/conversations/{room}/participants/bob");
    node.rest("ann", "DELETE", &path, Value::Null).await;
    assert_eq!(node.health().await, (2, 0), "nobody is left in the room");
    ann.call(
        "message:send",
        json!({ "conversationId": room, "content": "secret" }),
    )
    .await;
    bob.event("conversation:deleted").await;
    assert!(
        bob.heard("message:new")
            .iter()
            .all(|m| m["content"] != "secret")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_user_is_told_to_stay_away() {
    let node = Node::start().await;
    let mut bob = node.client("bob").await;
    node.service("POST", "/api/service/users/bob/disconnect", json!({}))
        .await;
    assert!(
        bob.banned().await,
        "without the packet a client would come back by itself"
    );
    node.until_health(0, 0).await;
}

/// Socketioxide cannot disconnect a socket whose queue is full, and does not close one whose
/// writer is stalled.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_user_is_out_when_disconnected() {
    let node = Node::with(|c| {
        c.transport.send_queue = 100_000;
        c.transport.write_timeout = Duration::from_secs(600);
    })
    .await;
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    bob.call("conversation:join", json!(room)).await;
    for _ in 0..800 {
        let content = "x".repeat(9_000);
        ann.call(
            "message:send",
            json!({ "conversationId": room, "content": content }),
        )
        .await;
    }
    node.service("POST", "/api/service/users/bob/disconnect", json!({}))
        .await;
    node.until_health(1, 0).await;
    let offline = async || {
        let who = node
            .rest("ann", "GET", "/api/presence?users=bob", Value::Null)
            .await;
        who["presence"][0]["online"] == false
    };
    until(offline, || "bob is still online".into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_conversation_is_silent() {
    let node = Node::start().await;
    let room = node.group(&["ann", "bob"]).await;
    let mut bob = node.client("bob").await;
    bob.call("conversation:join", json!(room)).await;
    node.rest(
        "ann",
        "DELETE",
        &format!("/api/conversations/{room}"),
        Value::Null,
    )
    .await;
    assert_eq!(
        bob.event("conversation:deleted").await["conversationId"],
        room.as_str()
    );
    let refused = bob
        .call(
            "message:send",
            json!({ "conversationId": room, "content": "x" }),
        )
        .await;
    assert_eq!(refused["ok"], false);
    assert_eq!(node.health().await.1, 0);
}
