//! Events of one connection: none lost at the start, all in order, none repeated or missing.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::node::Node;

/// A client emits in its own `connect` callback. Handlers that were registered in a spawned task
/// would come too late for some of these.
#[tokio::test(flavor = "multi_thread")]
async fn events_sent_at_once_after_connect_are_handled() {
    let node = Node::start().await;
    let room = node.group(&["ann", "bob"]).await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (addr, token, room) = (node.addr, node.token("ann"), room.clone());
        clients.spawn(async move {
            for _ in 0..25 {
                let auth = json!({ "token": token });
                let mut ann = crate::support::sio::Sio::connect(addr, auth).await.unwrap();
                let joined = ann.call("conversation:join", json!(room)).await;
                assert_eq!(joined["ok"], true, "{joined}");
            }
        });
    }
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_connection_are_handled_in_order() {
    let node = Node::with(|c| c.transport.receive_queue = 1024).await;
    let room = node.group(&["ann", "bob"]).await;
    let mut ann = node.client("ann").await;
    let mut acks = Vec::new();
    for n in 0..200 {
        let message = json!({ "conversationId": room, "content": n.to_string() });
        acks.push(ann.post("message:send", message).await);
    }
    ann.flush().await;
    for (n, id) in acks.into_iter().enumerate() {
        let ack = ann.ack(id).await;
        assert_eq!(ack["message"]["seq"], n + 1, "{ack}");
        assert_eq!(ack["message"]["content"], n.to_string());
    }
}

/// Many senders finish in any order; everyone in the room hears every seq once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_hears_every_message_once_and_in_order() {
    let node = Node::start().await;
    let users = ["ann", "bob", "cid", "dan", "eve", "fay"];
    let room = node.group(&users).await;
    let mut listener = node.client("ann").await;
    listener.call("conversation:join", json!(room)).await;
    let mut senders = JoinSet::new();
    for user in &users[1..] {
        let mut sender = node.client(user).await;
        let room = room.clone();
        senders.spawn(async move {
            for n in 0..60 {
                let message = json!({ "conversationId": room, "content": n.to_string() });
                let ack = sender.call("message:send", message).await;
                assert_eq!(ack["ok"], true, "{ack}");
            }
        });
    }
    for seq in 1..=300 {
        let heard = listener.event("message:new").await;
        assert_eq!(heard["seq"], seq, "{heard}");
    }
    senders.join_all().await;
}

/// Joining while others talk: the page and the live events meet without a gap or a repetition.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_in_mid_talk_misses_nothing_and_repeats_nothing() {
    let node = Node::start().await;
    let room = node.group(&["ann", "bob"]).await;
    let mut bob = node.client("bob").await;
    let talk = {
        let room = room.clone();
        tokio::spawn(async move {
            for n in 0..400 {
                let message = json!({ "conversationId": room, "content": n.to_string() });
                bob.call("message:send", message).await;
            }
        })
    };
    let mut after = 0;
    while after < 400 {
        let mut ann = node.client("ann").await;
        let join = json!({ "conversationId": room, "after": after });
        let joined = ann.call("conversation:join", join).await;
        for message in joined["messages"].as_array().unwrap() {
            after += 1;
            assert_eq!(message["seq"], after, "in the page");
        }
        if joined["hasMore"] == true {
            continue;
        }
        assert_eq!(joined["lastSeq"], after);
        for _ in 0..20.min(400 - after) {
            after += 1;
            assert_eq!(ann.event("message:new").await["seq"], after, "live");
        }
    }
    talk.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_repeated_under_its_client_id_is_one_message() {
    let node = Node::start().await;
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    bob.call("conversation:join", json!(room)).await;
    let message = json!({ "conversationId": room, "content": "hi", "clientId": "k1" });
    let first = ann.call("message:send", message.clone()).await;
    let again = ann.call("message:send", message).await;
    assert_eq!(first["message"], again["message"]);
    let other = json!({ "conversationId": room, "content": "end", "clientId": "k2" });
    ann.call("message:send", other).await;
    assert_eq!(bob.event("message:new").await["content"], "hi");
    assert_eq!(bob.event("message:new").await["content"], "end");
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_stops_by_itself_and_when_the_connection_goes() {
    let node = Node::with(|c| c.chat.typing_timeout = Duration::from_millis(300)).await;
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    for client in [&mut ann, &mut bob] {
        client.call("conversation:join", json!(room)).await;
    }
    ann.call("typing:start", json!({ "conversationId": room })).await;
    assert_eq!(bob.event("typing:start").await["userId"], "ann");
    assert_eq!(bob.event("typing:stop").await["userId"], "ann");
    ann.call("typing:start", json!({ "conversationId": room })).await;
    bob.event("typing:start").await;
    drop(ann);
    assert_eq!(bob.event("typing:stop").await["userId"], "ann");
}
