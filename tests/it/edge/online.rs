//! The list of who is online.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::follow::arrive;
use crate::support::{node::Node, sio::Sio};

/// Waits until a list names exactly these.
async fn told(client: &mut Sio, users: &[&str]) {
    while client.event("getOnlineUsers").await != json!(users) {}
}

/// With more users online than the list holds, each connection is told of its user's contacts.
#[tokio::test(flavor = "multi_thread")]
async fn above_its_bound_the_list_names_contacts_only() {
    let node = Node::with(|c| {
        c.chat.online_list_max = 3;
        c.chat.online_list_interval = Duration::from_millis(20);
    })
    .await;
    node.group(&["ann", "bob"]).await;
    let mut ann = arrive(&node, "ann").await;
    told(&mut ann, &["ann"]).await;
    let mut carol = arrive(&node, "carol").await;
    let dave = arrive(&node, "dave").await;
    for client in [&mut ann, &mut carol] {
        told(client, &["ann", "carol", "dave"]).await;
    }

    let mut bob = arrive(&node, "bob").await;
    for client in [&mut ann, &mut bob] {
        told(client, &["ann", "bob"]).await;
    }
    told(&mut carol, &["carol"]).await;
    // Another change of strangers is no news; one of a contact is.
    let eve = arrive(&node, "eve").await;
    drop(bob);
    told(&mut ann, &["ann"]).await;
    drop(eve);
    for client in [&mut ann, &mut carol] {
        told(client, &["ann", "carol", "dave"]).await;
    }
    drop(dave);
    told(&mut carol, &["ann", "carol"]).await;
}

/// Whoever wishes to appear offline is not named; their connections are told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_appears_offline_is_not_named() {
    let node = Node::start().await;
    let mut ann = arrive(&node, "ann").await;
    let mut bob = node.client("bob").await;
    told(&mut ann, &["ann", "bob"]).await;
    bob.call("user:status", json!("offline")).await;
    told(&mut ann, &["ann"]).await;
    bob.call("user:status", json!("away")).await;
    told(&mut ann, &["ann", "bob"]).await;
}

/// Many changes are one list, and no connection is told what it knows.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_gathered() {
    let node = Node::with(|c| c.chat.online_list_interval = Duration::from_millis(300)).await;
    let mut ann = arrive(&node, "ann").await;
    told(&mut ann, &["ann"]).await;
    let began = Instant::now();
    let mut others = Vec::new();
    for n in 0..40 {
        others.push(arrive(&node, &format!("user-{n:02}")).await);
    }
    let mut lists = 0;
    loop {
        lists += 1;
        let list = ann.event("getOnlineUsers").await;
        if list.as_array().map(Vec::len) == Some(41) {
            break;
        }
    }
    let allowed = began.elapsed().as_millis() / 300 + 2;
    assert!(lists <= allowed, "{lists} lists, {allowed} allowed");
    // A change that is none: the same users as before.
    let again = node.client("ann").await;
    drop(again);
    let mut last = arrive(&node, "zoe").await;
    drop(others);
    let next = ann.event("getOnlineUsers").await;
    assert_ne!(next.as_array().map(Vec::len), Some(41));
    last.call("heartbeat", Value::Null).await;
}
