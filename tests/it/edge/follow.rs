//! Connections that follow their user's conversations without joining them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    node::{Node, until},
    sio::Sio,
};

/// A connection of the `direct` dialect, not introduced.
async fn connect(node: &Node, user: &str) -> Sio {
    let auth = json!({ "token": node.token(user), "dialect": "direct" });
    Sio::connect(node.addr, auth).await.unwrap()
}

/// A connection of the `direct` dialect.
pub async fn arrive(node: &Node, user: &str) -> Sio {
    let mut client = connect(node, user).await;
    assert_eq!(client.call("newUser", json!(user)).await["ok"], true);
    client
}

async fn say(from: &mut Sio, to: &str, chat: &str, text: &str) {
    let data = json!({ "text": text, "chatId": chat });
    let ack = from
        .call("sendMessage", json!({ "receiverId": to, "data": data }))
        .await;
    assert_eq!(ack["ok"], true, "{ack}");
}

/// The next messages, as chat and text.
async fn hear(client: &mut Sio, count: usize) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let message = client.event("getMessage").await;
        let field = |name: &str| message[name].as_str().unwrap().to_owned();
        heard.push((field("chatId"), field("text")));
    }
    heard
}

fn of<'a>(heard: &'a [(String, String)], chat: &str) -> Vec<&'a str> {
    let in_chat = heard.iter().filter(|(c, _)| c == chat);
    in_chat.map(|(_, text)| text.as_str()).collect()
}

async fn delivered(node: &Node, chat: &str, user: &str) -> u64 {
    let path = format!("/api/conversations/{chat}");
    let found = node.rest(user, "GET", &path, Value::Null).await;
    let participants = found["conversation"]["participants"].as_array().unwrap();
    let me = participants.iter().find(|p| p["userId"] == user).unwrap();
    me["deliveredSeq"].as_u64().unwrap()
}

/// More conversations and more messages than any page or queue holds, with messages large enough
/// to fill every buffer on the way: the reader gets all of it at its own pace, and is not closed
/// for being slow.
#[tokio::test(flavor = "multi_thread")]
async fn more_messages_wait_than_the_queue_holds() {
    let node = Node::with(|c| c.transport.send_queue = 16).await;
    let mut ann = arrive(&node, "ann").await;
    let bulk = "x".repeat(900);
    for n in 0..3 {
        for m in 0..250 {
            say(
                &mut ann,
                "bob",
                &format!("chat-{n}"),
                &format!("{m} {bulk}"),
            )
            .await;
        }
    }
    for n in 3..230 {
        say(&mut ann, "bob", &format!("chat-{n}"), "0 ").await;
    }
    let before = node.metric("porchlight_send_queue_full_total").await;
    let mut bob = arrive(&node, "bob").await;
    // Long enough for the queue to be full, were it filled all at once.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let heard = hear(&mut bob, 3 * 250 + 227).await;
    for n in 0..230 {
        let numbers: Vec<u32> = of(&heard, &format!("chat-{n}"))
            .iter()
            .map(|text| text.split(' ').next().unwrap().parse().unwrap())
            .collect();
        let count = if n < 3 { 250 } else { 1 };
        assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "chat-{n}");
    }
    assert_eq!(
        node.metric("porchlight_send_queue_full_total").await,
        before
    );
    say(&mut ann, "bob", "chat-0", "live").await;
    let last = ("chat-0".to_owned(), "live".to_owned());
    assert_eq!(hear(&mut bob, 1).await, [last], "and nothing twice");
}

/// What is said while somebody catches up comes after what waited, once, whoever says it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_meanwhile_follows_what_waited() {
    let node = Node::start().await;
    let mut ann = arrive(&node, "ann").await;
    for round in 0..8 {
        let chat = format!("chat-{round}");
        for n in 0..150 {
            say(&mut ann, "bob", &chat, &n.to_string()).await;
        }
        let mut bob = connect(&node, "bob").await;
        let (heard, _) = tokio::join!(
            async {
                assert_eq!(bob.call("newUser", json!("bob")).await["ok"], true);
                // His own words move his cursors past what he has not heard yet.
                say(&mut bob, "ann", &chat, "me too").await;
                hear(&mut bob, 300).await
            },
            async {
                for n in 150..300 {
                    say(&mut ann, "bob", &chat, &n.to_string()).await;
                }
            }
        );
        let expected: Vec<_> = (0..300).map(|n| n.to_string()).collect();
        assert_eq!(of(&heard, &chat), expected);
        until(
            async || delivered(&node, &chat, "bob").await == 301,
            || "what was heard never counted as delivered".to_owned(),
        )
        .await;
    }
}

/// What one wrote one has read: the cursor moves, but not past what the connection has yet to hear.
#[tokio::test(flavor = "multi_thread")]
async fn ones_own_words_hide_nothing() {
    let node = Node::start().await;
    let (mut ann, mut bob) = (arrive(&node, "ann").await, arrive(&node, "bob").await);
    for round in 0..60 {
        let body = json!({ "title": "t", "isGroup": true, "participantIds": ["bob"] });
        let made = node.rest("ann", "POST", "/api/conversations", body).await;
        let chat = made["conversation"]["id"].as_str().unwrap();
        let (ann_says, bob_says) = (format!("ann {round}"), format!("bob {round}"));
        tokio::join!(
            say(&mut ann, "bob", chat, &ann_says),
            say(&mut bob, "ann", chat, &bob_says)
        );
        assert_eq!(hear(&mut bob, 1).await[0].1, ann_says);
        assert_eq!(hear(&mut ann, 1).await[0].1, bob_says);
    }
}

/// A message that was queued for a connection which then broke is not taken for delivered.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_connection_was_given_waits_again() {
    let node = Node::start().await;
    let mut ann = arrive(&node, "ann").await;
    for n in 0..12u64 {
        let mut bob = arrive(&node, "bob").await;
        if n > 0 {
            let heard = hear(&mut bob, 1).await;
            assert_eq!(heard[0].1, (n - 1).to_string());
        }
        until(
            async || n == 0 || delivered(&node, "chat", "bob").await == n,
            || format!("message {n} never counted as delivered"),
        )
        .await;
        say(&mut ann, "bob", "chat", &n.to_string()).await;
        drop(bob);
        node.until_health(1, 1).await;
    }
}

/// Two devices that come at the same time may both be given what waits; one that comes later is
/// not given it again, however shortly after.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_device_is_given_nothing_again() {
    let node = Node::start().await;
    let mut ann = arrive(&node, "ann").await;
    say(&mut ann, "bob", "chat", "one").await;
    let mut first = arrive(&node, "bob").await;
    hear(&mut first, 1).await;
    let mut second = arrive(&node, "bob").await;
    say(&mut ann, "bob", "chat", "two").await;
    for device in [&mut first, &mut second] {
        assert_eq!(hear(device, 1).await[0].1, "two");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_removed_hears_nothing_more() {
    let node = Node::start().await;
    let group = node.group(&["ann", "bob", "eve"]).await;
    let (mut ann, mut bob) = (arrive(&node, "ann").await, arrive(&node, "bob").await);
    let mut eve = arrive(&node, "eve").await;
    say(&mut ann, "bob", &group, "to all").await;
    for client in [&mut bob, &mut eve] {
        assert_eq!(hear(client, 1).await[0].1, "to all");
    }
    let path = format!("/api/conversations/{group}/participants/eve");
    node.rest("ann", "DELETE", &path, Value::Null).await;
    say(&mut ann, "bob", &group, "to two").await;
    assert_eq!(hear(&mut bob, 1).await[0].1, "to two");
    say(&mut ann, "eve", "chat", "to eve").await;
    assert_eq!(hear(&mut eve, 1).await[0].1, "to eve");
}
