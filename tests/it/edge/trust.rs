//! Connections without a token that are believed when they say whose they are.

use serde_json::{Value, json};

use crate::support::{node::Node, sio::Sio};

async fn trusting() -> Node {
    Node::with(|c| c.auth.trust_new_user = true).await
}

async fn connect(node: &Node, auth: Value) -> Result<Sio, String> {
    Sio::connect(node.addr, auth).await
}

fn say(to: &str, text: &str) -> Value {
    json!({ "receiverId": to, "data": { "text": text, "chatId": "chat" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_whose_it_says_it_is() {
    let node = trusting().await;
    let nobody = json!({ "dialect": "direct" });
    let mut ann = connect(&node, nobody.clone()).await.unwrap();

    let refused = ann.call("sendMessage", say("bob", "who says so?")).await;
    assert_eq!(refused["error"]["code"], "unauthorized");
    ann.emit("sendMessage", say("bob", "and without an ack?"))
        .await;
    assert_eq!(ann.event("error").await["code"], "unauthorized");
    let unknown = ann.call("no such event", Value::Null).await;
    assert_eq!(unknown["error"]["code"], "invalid");
    assert_eq!(node.health().await.0, 0, "nobody is there yet");

    // Everything at once, as clients do in their connect callback.
    let named = ann.post("newUser", json!("ann")).await;
    let again = ann.post("newUser", json!("ann")).await;
    let sent = ann.post("sendMessage", say("bob", "hello")).await;
    ann.flush().await;
    for id in [named, again, sent] {
        let answer = ann.ack(id).await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    while ann.event("getOnlineUsers").await != json!(["ann"]) {}

    let mut bob = connect(&node, nobody).await.unwrap();
    assert_eq!(bob.call("newUser", json!("bob")).await["ok"], true);
    let heard = bob.event("getMessage").await;
    assert_eq!(
        (&heard["text"], &heard["senderId"]),
        (&json!("hello"), &json!("ann"))
    );
    // The name stays.
    let other = bob.call("newUser", json!("ann")).await;
    assert_eq!(other["error"]["code"], "forbidden");
    let forged = json!({ "receiverId": "ann", "data": { "text": "x", "senderId": "eve" } });
    let forged = bob.call("sendMessage", forged).await;
    assert_eq!(forged["error"]["code"], "forbidden");
    drop(ann);
    while bob.event("getOnlineUsers").await != json!(["bob"]) {}
    node.until_health(1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_may_say_it_and_a_token_counts_more() {
    let node = trusting().await;
    let told = json!({ "dialect": "direct", "userId": "ann" });
    let mut ann = connect(&node, told).await.unwrap();
    assert_eq!(
        ann.call("sendMessage", say("bob", "hello")).await["ok"],
        true
    );

    let bad = json!({ "dialect": "direct", "userId": "ann", "token": "x.y.z" });
    assert!(
        connect(&node, bad)
            .await
            .err()
            .unwrap()
            .starts_with("unauthorized")
    );
    let anothers = json!({ "dialect": "direct", "userId": "ann", "token": node.token("bob") });
    assert!(
        connect(&node, anothers)
            .await
            .err()
            .unwrap()
            .starts_with("forbidden")
    );
    let own = json!({ "dialect": "direct", "token": node.token("bob") });
    let mut bob = connect(&node, own).await.unwrap();
    let refused = bob.call("newUser", json!("ann")).await;
    assert_eq!(refused["error"]["code"], "forbidden");
    assert_eq!(bob.call("newUser", json!("bob")).await["ok"], true);
    assert_eq!(bob.event("getMessage").await["text"], "hello");
}

/// A dialect in which nobody can say who they are needs a token; so does every one by default.
#[tokio::test(flavor = "multi_thread")]
async fn without_words_or_permission_a_token_is_needed() {
    let refused = async |node: &Node, auth: Value| {
        let error = connect(node, auth).await.err().unwrap();
        assert!(error.starts_with("unauthorized"), "{error}");
    };
    let node = trusting().await;
    refused(&node, json!({})).await;
    refused(&node, json!({ "dialect": "threads" })).await;
    let node = Node::start().await;
    refused(&node, json!({ "dialect": "direct" })).await;
    refused(&node, json!({ "dialect": "direct", "userId": "ann" })).await;
}

/// Whoever never says a name and keeps talking is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn the_nameless_may_not_say_much() {
    let node = Node::with(|c| {
        c.auth.trust_new_user = true;
        (c.limits.events_per_second, c.limits.events_burst) = (5, 10);
    })
    .await;
    let mut nobody = connect(&node, json!({ "dialect": "direct" }))
        .await
        .unwrap();
    for _ in 0..30 {
        nobody.post("heartbeat", Value::Null).await;
    }
    nobody.flush().await;
    nobody.closed().await;
}
