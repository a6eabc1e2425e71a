//! Unmodified packages of npm and PyPI against two nodes with one Redis and one database.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    self,
    gateway::{Gateway, clients},
    redis::Server,
};

const LIMIT: Duration = Duration::from_secs(180);
const API_KEY: &str = "an-api-key-of-a-test-with-more-than-32-characters";

/// Runs a script of `tests/clients` against two nodes.
fn run(program: impl AsRef<std::path::Path>, script: &str, settings: &[(&str, &str)]) {
    let redis = Server::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let database = runtime.block_on(support::postgres::database()).url;
    let url = redis.url();
    let shared = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", &url),
        ("PORCHLIGHT_AUTH_API_KEYS", API_KEY),
        ("PORCHLIGHT_LIMITS_EVENTS_PER_SECOND", "100000"),
        ("PORCHLIGHT_LIMITS_EVENTS_BURST", "100000"),
    ];
    let settings = [&shared, settings].concat();
    let (mut first, second) = (Gateway::start(&settings), Gateway::start(&settings));
    let until = Instant::now() + Duration::from_secs(30);
    let listening = || redis.cli(&["PUBSUB", "NUMSUB", "socket.io-request#/#"]);
    while !listening().ends_with('2') {
        assert!(
            Instant::now() < until,
            "the nodes do not listen: {}",
            listening()
        );
        thread::sleep(Duration::from_millis(10));
    }
    let path = clients().join(script);
    let args = [path.to_str().expect("UTF-8"), &url, &second.url()];
    let own = [("TEST_API_KEY", API_KEY)];
    first.script(program, &args, &own, LIMIT, |_, _| {});
}

#[test]
fn node_emitters_and_servers_reach_a_phone_and_a_laptop_on_two_nodes() {
    run("node", "emitters.mjs", &[]);
}

#[test]
fn python_managers_do() {
    run(clients().join(".venv/bin/python"), "emitters.py", &[]);
}

#[test]
fn a_node_server_and_two_nodes_are_one_cluster() {
    let settings = [("PORCHLIGHT_EMITTERS_NODE_SERVERS", "true")];
    run("node", "mixed.mjs", &settings);
}
