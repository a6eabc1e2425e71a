//! Several nodes on one Redis: each change is told by one of them, also when nodes die.

use std::time::Instant;

use porchlight::chat::{Presence, PresenceChange, Status};

use super::{NodePresence, TIMES, changes_of, device, seen, user};
use crate::support::redis::Server;

#[tokio::test(flavor = "multi_thread")]
async fn devices_on_two_nodes_are_one_user() {
    let server = Server::start(&[]);
    let (a, b) = (
        NodePresence::start(&server).await,
        NodePresence::start(&server).await,
    );
    let ann = user("ann");
    assert!(a.presence.enter(&ann, &device("phone")).await.unwrap());
    assert!(!b.presence.enter(&ann, &device("laptop")).await.unwrap());
    for node in [&a, &b] {
        let devices = node.presence.devices(&ann).await.unwrap();
        assert_eq!(devices, [device("laptop"), device("phone")]);
        assert_eq!(
            node.presence.online(None, 10).await.unwrap(),
            std::slice::from_ref(&ann)
        );
    }
    assert!(b.presence.set_status(&ann, Status::Busy).await.unwrap());
    let info = seen(&*a.presence, &ann).await;
    assert_eq!(info.status, Status::Busy);

    // A page is reloaded: the balancer sends it to the other node.
    assert_eq!(
        a.presence.leave(&ann, &device("phone")).await.unwrap(),
        None
    );
    let absence = b
        .presence
        .leave(&ann, &device("laptop"))
        .await
        .unwrap()
        .unwrap();
    assert!(!a.presence.enter(&ann, &device("laptop2")).await.unwrap());
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
        let one = user(&format!("u{n}"));
        dead.presence
            .enter(&one, &device(&format!("d{n}")))
            .await
            .unwrap();
    }
    // Those who are on a living node too stay online.
    for n in 0..10 {
        let one = user(&format!("u{n}"));
        others[n % 3]
            .presence
            .enter(&one, &device("other"))
            .await
            .unwrap();
    }
    let since = Instant::now();
    dead.fall_silent();
    let nodes: Vec<_> = others.iter().collect();
    let told = changes_of(&nodes).await;
    let mut expected: Vec<_> = (10..USERS)
        .map(|n| (user(&format!("u{n}")), PresenceChange::Offline))
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told.len(), expected.len(), "after {:?}", since.elapsed());
    assert_eq!(told, expected);
    let devices = others[0].presence.devices(&user("u3")).await.unwrap();
    assert_eq!(devices, [device("other")]);
    assert_eq!(server.cli(&["scard", "test:nodes"]), "3");
}

/// Those who left a living node a moment ago have their grace, whoever else is being reaped.
#[tokio::test(flavor = "multi_thread")]
async fn an_absence_on_a_living_node_keeps_its_grace() {
    let server = Server::start(&[]);
    let (mut dead, b) = (
        NodePresence::start(&server).await,
        NodePresence::start(&server).await,
    );
    let ann = user("ann");
    dead.presence.enter(&ann, &device("phone")).await.unwrap();
    b.presence.enter(&ann, &device("laptop")).await.unwrap();
    dead.fall_silent();
    tokio::time::sleep(TIMES.grace).await;
    assert_eq!(
        b.presence.leave(&ann, &device("laptop")).await.unwrap(),
        None
    );
    let left = Instant::now();
    let told = b.presence.changes().await;
    assert_eq!(told, [(ann, PresenceChange::Offline)]);
    assert!(left.elapsed() >= TIMES.grace, "{:?}", left.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_hands_its_users_over() {
    let server = Server::start(&[]);
    let (mut a, b) = (
        NodePresence::start(&server).await,
        NodePresence::start(&server).await,
    );
    for name in ["back", "gone", "left"] {
        a.presence.enter(&user(name), &device(name)).await.unwrap();
    }
    a.presence
        .leave(&user("left"), &device("left"))
        .await
        .unwrap();
    a.fall_silent();
    a.presence.close().await;
    assert!(
        !b.presence
            .enter(&user("back"), &device("new"))
            .await
            .unwrap()
    );
    let closed = Instant::now();
    let mut told = changes_of(&[&b]).await;
    assert!(closed.elapsed() > TIMES.grace);
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let offline = |name| (user(name), PresenceChange::Offline);
    assert_eq!(told, [offline("gone"), offline("left")]);
    assert!(b.is_online("back").await);
}

/// The last node was stopped and started again: nobody else could take over.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_node_takes_over_from_the_last_one() {
    let server = Server::start(&[]);
    let mut a = NodePresence::start(&server).await;
    a.presence
        .enter(&user("ann"), &device("phone"))
        .await
        .unwrap();
    a.fall_silent();
    let b = NodePresence::start(&server).await;
    assert_eq!(
        changes_of(&[&b]).await,
        [(user("ann"), PresenceChange::Offline)]
    );
}

/// A node that was taken for dead comes back: its users are there, and are told so once.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_back_from_the_dead_tells_of_its_users_again() {
    let server = Server::start(&[]);
    let (mut a, b) = (
        NodePresence::start(&server).await,
        NodePresence::start(&server).await,
    );
    a.presence
        .enter(&user("ann"), &device("phone"))
        .await
        .unwrap();
    a.presence
        .enter(&user("bob"), &device("tablet"))
        .await
        .unwrap();
    a.fall_silent();
    let offline = |name| (user(name), PresenceChange::Offline);
    assert_eq!(changes_of(&[&b]).await, [offline("ann"), offline("bob")]);
    // Bob leaves before the node notices that it was dead.
    a.presence
        .leave(&user("bob"), &device("tablet"))
        .await
        .unwrap();
    a.revive();
    let online = (user("ann"), PresenceChange::Online);
    assert_eq!(changes_of(&[&a, &b]).await, [online]);
    assert!(b.is_online("ann").await && !b.is_online("bob").await);
    let left = a
        .presence
        .leave(&user("ann"), &device("phone"))
        .await
        .unwrap();
    assert!(
        a.presence
            .settle(&user("ann"), left.unwrap())
            .await
            .unwrap()
    );
    assert_eq!(changes_of(&[&a, &b]).await, []);
}

/// What was there for users who are gone is gone.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_those_who_are_gone() {
    let server = Server::start(&[]);
    let a = NodePresence::start(&server).await;
    for n in 0..300 {
        let (one, device) = (user(&n.to_string()), device(&n.to_string()));
        a.presence.enter(&one, &device).await.unwrap();
        let absence = a.presence.leave(&one, &device).await.unwrap().unwrap();
        if n % 2 == 0 {
            assert!(a.presence.settle(&one, absence).await.unwrap());
        }
    }
    // Nobody settled the others.
    assert_eq!(changes_of(&[&a]).await.len(), 150);
    let mut keys = server.cli(&["keys", "*"]);
    keys = keys.lines().filter(|k| !k.ends_with(":alive")).collect();
    assert_eq!(keys, "test:nodes");
}
