//! Several nodes on one Redis: each change is told by one of them, also when nodes die.

use std::time::Instant;

use porchlight::chat::{Presence, Status};

use super::{NodePresence, TIMES, changes_of, device, offline, online, seen, user};
use crate::support::{node::until, redis::Server};

#[tokio::test(flavor = "multi_thread")]
async fn devices_on_two_nodes_are_one_user() {
    let server = Server::start(&[]);
    let (a, b) = NodePresence::two(&server).await;
    let ann = user("ann");
    assert!(a.enter("ann", "phone").await);
    assert!(!b.enter("ann", "laptop").await);
    for node in [&a, &b] {
        let devices = node.devices("ann").await;
        assert_eq!(devices, [device("laptop"), device("phone")]);
        assert_eq!(node.online().await, std::slice::from_ref(&ann));
    }
    assert!(b.presence.set_status(&ann, Status::Busy).await.unwrap());
    let info = seen(&*a.presence, &ann).await;
    assert_eq!(info.status, Status::Busy);

    // A page is reloaded: the balancer sends it to the other node.
    assert_eq!(a.leave("ann", "phone").await, None);
    let absence = b.leave("ann", "laptop").await.unwrap();
    assert!(!a.enter("ann", "laptop2").await);
    assert!(!b.presence.settle(&ann, absence).await.unwrap());
    let info = seen(&*b.presence, &ann).await;
    assert_eq!((info.online, info.status), (true, Status::Busy));
    assert_eq!(changes_of(&[&a, &b]).await, []);
    assert!(a.is_online("ann").await && b.is_online("ann").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_nodes_users_are_told_offline_once_however_many_notice() {
    const USERS: usize = 1000;
    let server = Server::start(&[]);
    let mut dead = NodePresence::start(&server).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(NodePresence::start(&server).await);
    }
    for n in 0..USERS {
        dead.enter(&format!("u{n}"), &format!("d{n}")).await;
    }
    // Those who are on a living node too stay online.
    for n in 0..10 {
        others[n % 3].enter(&format!("u{n}"), "other").await;
    }
    let since = Instant::now();
    dead.fall_silent();
    let nodes: Vec<_> = others.iter().collect();
    let told = changes_of(&nodes).await;
    let mut expected: Vec<_> = (10..USERS).map(|n| offline(&format!("u{n}"))).collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told.len(), expected.len(), "after {:?}", since.elapsed());
    assert_eq!(told, expected);
    assert_eq!(others[0].devices("u3").await, [device("other")]);
    until(
        async || server.cli(&["scard", "test:nodes"]) == "3",
        || "dead nodes are not forgotten".into(),
    )
    .await;
}

/// Those who left a living node a moment ago have their grace, whoever else is being reaped.
#[tokio::test(flavor = "multi_thread")]
async fn an_absence_on_a_living_node_keeps_its_grace() {
    let server = Server::start(&[]);
    let (mut dead, b) = NodePresence::two(&server).await;
    dead.enter("ann", "phone").await;
    b.enter("ann", "laptop").await;
    dead.fall_silent();
    tokio::time::sleep(TIMES.grace).await;
    assert_eq!(b.leave("ann", "laptop").await, None);
    let left = Instant::now();
    let told = b.presence.changes().await;
    assert_eq!((told.len(), &told[0].user), (1, &user("ann")));
    assert!(left.elapsed() >= TIMES.grace, "{:?}", left.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_hands_its_users_over() {
    let server = Server::start(&[]);
    let (mut a, b) = NodePresence::two(&server).await;
    for name in ["back", "gone", "left"] {
        a.enter(name, name).await;
    }
    a.leave("left", "left").await;
    a.fall_silent();
    a.presence.close().await;
    assert!(!b.enter("back", "new").await);
    let closed = Instant::now();
    let told = changes_of(&[&b]).await;
    assert!(closed.elapsed() > TIMES.grace);
    assert_eq!(told, [offline("gone"), offline("left")]);
    assert!(b.is_online("back").await);
}

/// The last node was stopped and started again: nobody else could take over.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_node_takes_over_from_the_last_one() {
    let server = Server::start(&[]);
    let mut a = NodePresence::start(&server).await;
    a.enter("ann", "phone").await;
    a.fall_silent();
    let b = NodePresence::start(&server).await;
    assert_eq!(changes_of(&[&b]).await, [offline("ann")]);
}

/// A node that was taken for dead comes back: its users are there, and are told so once.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_back_from_the_dead_tells_of_its_users_again() {
    let server = Server::start(&[]);
    let (mut a, b) = NodePresence::two(&server).await;
    a.enter("ann", "phone").await;
    a.enter("bob", "tablet").await;
    a.fall_silent();
    assert_eq!(changes_of(&[&b]).await, [offline("ann"), offline("bob")]);
    // Bob leaves before the node notices that it was dead.
    a.leave("bob", "tablet").await;
    a.revive();
    // That Bob is gone was told to the other nodes alone.
    let told = changes_of(&[&a, &b]).await;
    assert_eq!(told, [online("ann"), offline("bob")]);
    assert!(b.is_online("ann").await && !b.is_online("bob").await);
    assert!(a.leave_for_good("ann", "phone").await);
    assert_eq!(changes_of(&[&a, &b]).await, []);
}

/// What was there for users who are gone is gone.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_those_who_are_gone() {
    let server = Server::start(&[]);
    let a = NodePresence::start(&server).await;
    for n in 0..300 {
        let (id, device) = (n.to_string(), format!("of-{n}"));
        a.enter(&id, &device).await;
        if n % 2 == 0 {
            assert!(a.leave_for_good(&id, &device).await);
        } else {
            assert!(a.leave(&id, &device).await.is_some());
        }
    }
    // Nobody settled the others.
    assert_eq!(changes_of(&[&a]).await.len(), 150);
    let mut keys = server.cli(&["keys", "*"]);
    keys = keys.lines().filter(|k| !k.ends_with(":alive")).collect();
    assert_eq!(keys, "test:nodes");
}
