//! Who gets in, and for how long.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    node::Node,
    sio::{Sio, tcp},
};

#[tokio::test(flavor = "multi_thread")]
async fn refusals_start_with_their_code() {
    let node = Node::start().await;
    for (auth, code) in [
        (json!({}), "unauthorized: "),
        (json!({ "token": "nonsense" }), "unauthorized: "),
        (json!({ "token": node.token("ann"), "dialect": "klingon" }), "invalid: "),
    ] {
        let refusal = Sio::connect(node.addr, auth.clone()).await.err().unwrap();
        assert!(refusal.starts_with(code), "{auth}: {refusal}");
    }
    node.until_health(0, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_greeted_with_its_user_and_its_own_id() {
    let node = Node::start().await;
    let mut ann = node.client("ann").await;
    let hello = ann.event("connected").await;
    assert_eq!(hello["userId"], "ann");
    assert_eq!(hello["socketId"], ann.id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_runs_out_is_told_and_closes_the_connection() {
    let node = Node::with(|c| c.auth.leeway = Duration::ZERO).await;
    let token = node.token_for("ann", Duration::from_secs(2));
    let mut ann = Sio::connect(node.addr, json!({ "token": token })).await.unwrap();
    assert_eq!(ann.event("error").await["code"], "unauthorized");
    ann.closed().await;
    node.until_health(0, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_token_keeps_the_connection() {
    let node = Node::with(|c| c.auth.leeway = Duration::ZERO).await;
    let token = node.token_for("ann", Duration::from_secs(2));
    let mut ann = Sio::connect(node.addr, json!({ "token": token })).await.unwrap();
    let other = ann.call("authenticate", json!({ "token": node.token("bob") })).await;
    assert_eq!(other["error"]["code"], "forbidden", "{other}");
    let fresh = node.token_for("ann", Duration::from_secs(4));
    let renewed = ann.call("authenticate", json!({ "token": fresh })).await;
    assert_eq!(renewed["ok"], true, "{renewed}");
    let since = std::time::Instant::now();
    ann.event("error").await;
    assert!(since.elapsed() > Duration::from_secs(2), "closed by the first token's time");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_by_address_and_by_user_and_given_back() {
    let node = Node::with(|c| {
        c.limits.connections_per_address = 3;
        c.limits.connections_per_user = 2;
    })
    .await;
    // Again and again: a connection that is not freed completely keeps its place.
    for round in 0..5 {
        let auth = json!({ "token": node.token("ann") });
        let first = node.client("ann").await;
        let second = node.client("ann").await;
        let refusal = Sio::connect(node.addr, auth.clone()).await.err().unwrap();
        assert!(refusal.starts_with("rate_limited: "), "round {round}: {refusal}");
        drop((first, second));
        node.until_health(0, 0).await;
        crate::support::node::until(
            async || {
                let elsewhere = tcp(node.addr, "127.0.0.1".parse().unwrap()).await;
                let open = Sio::connect_over(elsewhere, "/socket.io/", auth.clone()).await;
                open.is_ok()
            },
            || "places were never given back".into(),
        )
        .await;
        node.until_health(0, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_online_and_one_offline_per_user_whatever_the_devices() {
    let node = Node::start().await;
    node.group(&["ann", "bob"]).await;
    let mut ann = node.client("ann").await;
    let first = node.client("bob").await;
    assert_eq!(ann.event("user:online").await["userId"], "bob");
    let second = node.client("bob").await;
    drop(first);
    node.until_health(2, 0).await;
    drop(second);
    assert_eq!(ann.event("user:offline").await["userId"], "bob");
    assert!(ann.heard("user:online").is_empty(), "announced once");
    assert!(ann.heard("user:offline").is_empty(), "announced once");
}

/// Joining in the moment of going must not leave a room behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_in_the_moment_of_going_leaves_no_room_behind() {
    let node = Node::start().await;
    let room = node.group(&["ann", "bob"]).await;
    for _ in 0..100 {
        let mut ann = node.client("ann").await;
        ann.post("conversation:join", json!(room)).await;
        ann.flush().await;
        drop(ann);
    }
    node.until_health(0, 0).await;
}
