//! A node that says it is ready listens to other backends.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    node::{Node, until},
    redis::Server,
};

const CHANNELS: [&str; 3] = ["socket.io#/#", "socket.io-request#/#", "socketio"];

/// How many listen to each channel.
fn listening(redis: &Server) -> Vec<String> {
    let said = redis.cli(&[&["PUBSUB", "NUMSUB"], &CHANNELS[..]].concat());
    said.lines().skip(1).step_by(2).map(str::to_owned).collect()
}

async fn node(redis: &Server, timeout: Duration) -> Node {
    Node::on_redis(redis, |config| config.redis.command_timeout = timeout).await
}

async fn readiness(node: &Node) -> Value {
    let answer = reqwest::get(format!("http://{}/ready", node.ops)).await;
    answer.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_its_start() {
    let redis = Server::start(&[]);
    let mut nodes = Vec::new();
    for count in 1..=5 {
        nodes.push(node(&redis, Duration::from_secs(30)).await);
        assert_eq!(listening(&redis), vec![count.to_string(); CHANNELS.len()]);
        assert_eq!(readiness(&nodes[count - 1]).await["status"], "ready");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn or_says_that_it_does_not_yet() {
    let redis = Server::start(&[]);
    redis.cli(&["ACL", "SETUSER", "default", "-subscribe"]);
    // Nobody waits for a Redis that does not let it listen.
    let node = node(&redis, Duration::from_millis(300)).await;
    let said = readiness(&node).await;
    assert_eq!(said["status"], "degraded");
    assert_eq!(said["checks"]["bus"]["ok"], false);
    redis.cli(&["ACL", "SETUSER", "default", "+subscribe"]);
    until(
        async || readiness(&node).await["status"] == "ready",
        || "it never was ready".into(),
    )
    .await;
    assert_eq!(listening(&redis), ["1"; CHANNELS.len()]);
}
