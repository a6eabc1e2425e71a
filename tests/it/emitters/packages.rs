//! Unmodified packages of npm and PyPI against two nodes with one Redis and one database.

use std::path::Path;

use crate::support::{
    gateway::{NO_LIMITS, clients},
    nodes::Nodes,
    redis::{Server, setup::Setup},
};

/// Tell Node servers.
const MIXED: (&str, &str) = ("PORCHLIGHT_EMITTERS_NODE_SERVERS", "true");

fn nodes(redis: Setup, more: &[(&str, &str)]) -> Nodes {
    Nodes::start(2, redis, &[NO_LIMITS, more].concat())
}

/// Runs a script of `tests/clients` that knows where Redis is and where the second node.
fn run(nodes: Nodes, program: impl AsRef<Path>, script: &str) {
    let redis: Vec<_> = nodes.redis().servers.iter().map(Server::url).collect();
    let (redis, second) = (redis.join(","), nodes.url(1));
    nodes.play(program, script, &[&redis, &second]);
}

fn python() -> impl AsRef<Path> {
    clients().join(".venv/bin/python")
}

#[test]
fn node_emitters_and_servers_reach_a_phone_and_a_laptop_on_two_nodes() {
    run(nodes(Setup::single(), &[]), "node", "emitters.mjs");
}

#[test]
fn python_managers_do() {
    run(nodes(Setup::single(), &[]), python(), "emitters.py");
}

#[test]
fn a_node_server_and_two_nodes_are_one_cluster() {
    run(nodes(Setup::single(), &[MIXED]), "node", "mixed.mjs");
}

#[test]
fn they_do_after_redis_was_away() {
    let nodes = Nodes::on_lines(2, Setup::single(), NO_LIMITS);
    run(nodes, "node", "emitters-outage.mjs");
}

#[test]
fn they_do_over_a_redis_cluster() {
    let nodes = Nodes::start(2, Setup::cluster(), NO_LIMITS);
    run(nodes, "node", "emitters-cluster.mjs");
}
