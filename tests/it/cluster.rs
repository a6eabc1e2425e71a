//! Several real nodes over one Redis and one PostgreSQL, with real clients: `cluster.mjs`.

use crate::support::{nodes::Nodes, redis::setup::Setup};

fn play(count: usize, redis: Setup, scene: &str) {
    Nodes::start(count, redis, &[]).play("node", "cluster.mjs", &[scene]);
}

#[test]
fn two_nodes_are_one_to_their_clients() {
    play(2, Setup::single(), "talk");
}

#[test]
fn three_nodes_are_one_to_their_clients() {
    play(3, Setup::single(), "talk");
}

#[test]
fn over_a_redis_cluster() {
    play(2, Setup::cluster(), "talk");
}

#[test]
fn control_reaches_every_node() {
    play(2, Setup::single(), "control");
}

#[test]
fn redis_restarted_empty() {
    play(2, Setup::single(), "outage");
}

#[test]
fn redis_that_hangs() {
    play(2, Setup::single(), "hang");
}

#[test]
fn a_start_without_redis() {
    let mut redis = Setup::single();
    redis.servers[0].stop();
    play(2, redis, "late");
}

#[test]
fn a_node_that_dies() {
    play(3, Setup::single(), "death");
}

#[test]
fn messages_cross_in_order_under_load() {
    play(3, Setup::single(), "load");
}
