//! What a room costs the nodes that do not host it: nothing that Redis would send them.
//! `tests/bench/run --only growth` measures the same, with CPU.

use std::time::Duration;

use porchlight::config;
use serde_json::json;

use crate::support::{line::Line, node::Node, postgres, redis, redis::setup::configuration};

const MESSAGES: u64 = 200;
/// Characters in a message. One copy of each message is more than [`COPIES`].
const LENGTH: u64 = 2000;
const COPIES: u64 = MESSAGES * LENGTH;
/// What a node may say to Redis and hear from it besides: whether it is there, who is online.
const CHATTER: u64 = COPIES / 10;

/// A node whose way to Redis is counted.
struct Counted {
    node: Node,
    line: Line,
}

impl Counted {
    async fn start(redis: &redis::Server, database: &str) -> Self {
        let line = Line::start(redis.port()).await;
        let url = format!("redis://127.0.0.1:{}", line.port());
        let redis: config::Redis = configuration([("URL", url.as_str())]);
        let node = Node::with(|c| {
            c.database.url = database.to_owned();
            c.redis = redis;
            // Not what is counted.
            c.chat.presence_grace = Duration::from_secs(60);
        })
        .await;
        Self { node, line }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_members_are_told_nothing() {
    let redis = redis::Server::start(&[]);
    let database = postgres::database().await.url;
    let host = Counted::start(&redis, &database).await;
    let other = Counted::start(&redis, &database).await;
    let bystander = Counted::start(&redis, &database).await;

    let mut members = Vec::new();
    let users: Vec<_> = (0..8).map(|n| format!("member-{n}")).collect();
    for user in &users {
        members.push(host.node.client(user).await);
    }
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let room = host.node.group(&users).await;
    for member in &mut members {
        let joined = member.call("conversation:join", json!(room)).await;
        assert_eq!(joined["ok"], true);
    }
    // The bystander has clients, too, in a room of their own.
    let mut quiet = bystander.node.client("quiet").await;
    let elsewhere = bystander.node.group(&["quiet", "nobody"]).await;
    let joined = quiet.call("conversation:join", json!(elsewhere)).await;
    assert_eq!(joined["ok"], true);
    let say = async |to: &mut crate::support::sio::Sio| {
        for n in 0..MESSAGES {
            let content = format!("{n:x<0$}", LENGTH as usize);
            let message = json!({ "conversationId": room, "content": content });
            let ack = to.call("message:send", message).await;
            assert_eq!(ack["ok"], true);
        }
    };

    let before = [&host, &bystander].map(|c| c.line.passed());
    say(&mut members[0]).await;
    for _ in 0..MESSAGES {
        members[7].event("message:new").await;
    }
    let [(host_sent, host_heard), (sent, heard)] = [(&host, before[0]), (&bystander, before[1])]
        .map(|(c, before)| {
            let now = c.line.passed();
            (now.0 - before.0, now.1 - before.1)
        });
    assert!(heard < CHATTER, "a bystander was sent {heard} bytes");
    assert!(sent < CHATTER, "a bystander sent {sent} bytes");
    // One copy for all topics, and none of it comes back.
    assert!(
        (COPIES..2 * COPIES).contains(&host_sent),
        "the host sent {host_sent} bytes"
    );
    assert!(host_heard < CHATTER, "the host was sent {host_heard} bytes");

    // A phone of one of them, on another node: from now on it hears, and only that node is told.
    let mut phone = other.node.client("member-3").await;
    let before = [&other, &bystander].map(|c| c.line.passed().1);
    say(&mut members[0]).await;
    for _ in 0..MESSAGES {
        phone.event("notification:new").await;
    }
    let [told, heard] = [(&other, before[0]), (&bystander, before[1])]
        .map(|(c, before)| c.line.passed().1 - before);
    assert!(told >= COPIES, "the phone's node was sent {told} bytes");
    assert!(heard < CHATTER, "a bystander was sent {heard} bytes");
}
