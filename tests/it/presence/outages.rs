//! Redis loses what it knew, or is away: nobody is announced wrongly, nobody is forgotten.

use std::time::{Duration, Instant};

use porchlight::chat::{Presence, PresenceChange, Status};

use super::{NodePresence, changes_of, device, seen, user};
use crate::support::{node::until, redis::Server};

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_told_again_and_nobody_is_announced_anew() {
    let server = Server::start(&[]);
    let (a, b) = (
        NodePresence::start(&server).await,
        NodePresence::start(&server).await,
    );
    for n in 0..500 {
        let one = user(&format!("u{n}"));
        a.presence.enter(&one, &device("phone")).await.unwrap();
    }
    b.presence
        .enter(&user("u7"), &device("laptop"))
        .await
        .unwrap();
    a.presence
        .set_status(&user("u7"), Status::Away)
        .await
        .unwrap();
    server.cli(&["flushall"]);
    assert_eq!(changes_of(&[&a, &b]).await, []);
    for node in [&a, &b] {
        assert_eq!(node.presence.online(None, 1000).await.unwrap().len(), 500);
        let devices = node.presence.devices(&user("u7")).await.unwrap();
        assert_eq!(devices, [device("laptop"), device("phone")]);
        let info = seen(&*node.presence, &user("u7")).await;
        assert_eq!(info.status, Status::Away);
    }
    let absence = a
        .presence
        .leave(&user("u8"), &device("phone"))
        .await
        .unwrap();
    assert!(
        a.presence
            .settle(&user("u8"), absence.unwrap())
            .await
            .unwrap()
    );
    assert_eq!(
        a.presence
            .leave(&user("u7"), &device("phone"))
            .await
            .unwrap(),
        None
    );
}

/// Somebody leaves in the moment in which Redis knows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_an_emptied_redis_is_told_offline_once() {
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
        .enter(&user("bob"), &device("phone"))
        .await
        .unwrap();
    b.presence
        .enter(&user("bob"), &device("laptop"))
        .await
        .unwrap();
    a.fall_silent();
    server.cli(&["flushall"]);
    assert_eq!(
        a.presence
            .leave(&user("ann"), &device("phone"))
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        a.presence
            .leave(&user("bob"), &device("phone"))
            .await
            .unwrap(),
        None
    );
    a.revive();
    assert_eq!(
        changes_of(&[&a, &b]).await,
        [(user("ann"), PresenceChange::Offline)]
    );
    assert!(a.is_online("bob").await && !a.is_online("ann").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_node_knows_its_own_users_and_tells_of_them_later() {
    let mut server = Server::start(&[]);
    let (a, b) = (
        NodePresence::start(&server).await,
        NodePresence::start(&server).await,
    );
    for name in ["ann", "left"] {
        assert!(a.presence.enter(&user(name), &device(name)).await.unwrap());
    }
    b.presence
        .enter(&user("both"), &device("laptop"))
        .await
        .unwrap();
    a.presence
        .enter(&user("both"), &device("phone"))
        .await
        .unwrap();
    server.stop();

    assert!(
        a.presence
            .enter(&user("new"), &device("phone"))
            .await
            .unwrap()
    );
    assert!(
        !a.presence
            .enter(&user("ann"), &device("tablet"))
            .await
            .unwrap()
    );
    assert!(
        a.presence
            .set_status(&user("ann"), Status::Busy)
            .await
            .unwrap()
    );
    let left = a
        .presence
        .leave(&user("left"), &device("left"))
        .await
        .unwrap();
    assert!(
        a.presence
            .settle(&user("left"), left.unwrap())
            .await
            .unwrap()
    );
    let left = a
        .presence
        .leave(&user("both"), &device("phone"))
        .await
        .unwrap();
    assert_eq!(
        left, None,
        "there was another device when Redis was last heard"
    );
    assert!(a.is_online("new").await && a.is_online("ann").await && !a.is_online("left").await);
    assert!(!b.is_online("ann").await, "not one of its own");
    assert_eq!(a.presence.online(None, 9).await.unwrap().len(), 3);

    server.restart();
    let told = changes_of(&[&a, &b]).await;
    // There was no way to tell the others of these two.
    let (offline, online) = (PresenceChange::Offline, PresenceChange::Online);
    assert_eq!(told, [(user("left"), offline), (user("new"), online)]);
    until(async || b.is_online("new").await, || "b never knew".into()).await;
    for node in [&a, &b] {
        assert_eq!(node.presence.online(None, 9).await.unwrap().len(), 3);
        let info = seen(&*node.presence, &user("ann")).await;
        assert_eq!((info.online, info.status), (true, Status::Busy));
        let devices = node.presence.devices(&user("both")).await.unwrap();
        assert_eq!(devices, [device("laptop")]);
    }
}

/// Redis was away for a while but forgot nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_redis_is_silent_is_told_offline_later() {
    let server = Server::start(&[]);
    let a = NodePresence::start(&server).await;
    let mut b = NodePresence::start(&server).await;
    a.presence
        .enter(&user("ann"), &device("phone"))
        .await
        .unwrap();
    b.presence
        .enter(&user("bob"), &device("phone"))
        .await
        .unwrap();
    b.fall_silent();
    server.cli(&["config", "set", "maxmemory", "1"]);
    server.cli(&["config", "set", "maxmemory-policy", "noeviction"]);
    let refused = a
        .presence
        .enter(&user("cat"), &device("phone"))
        .await
        .unwrap();
    assert!(refused, "as far as the node knows");
    let left = a
        .presence
        .leave(&user("ann"), &device("phone"))
        .await
        .unwrap();
    assert!(left.is_some());
    server.cli(&["config", "set", "maxmemory", "0"]);
    let mut told = changes_of(&[&a]).await;
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let (offline, online) = (PresenceChange::Offline, PresenceChange::Online);
    assert_eq!(
        told,
        [
            (user("ann"), offline),
            (user("bob"), offline),
            (user("cat"), online)
        ]
    );
}

/// A Redis that hangs costs the first who asks a time-out, and nobody after.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_long_for_a_redis_that_hangs() {
    let mut server = Server::start(&[]);
    let timeout = ("COMMAND_TIMEOUT_MS", "300");
    let a = NodePresence::with(&[("URL", &server.url()), timeout]).await;
    a.presence
        .enter(&user("ann"), &device("phone"))
        .await
        .unwrap();
    server.pause(true);
    let since = Instant::now();
    for n in 0..200 {
        let one = user(&format!("u{n}"));
        assert!(a.presence.enter(&one, &device("phone")).await.unwrap());
    }
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "{:?}",
        since.elapsed()
    );
    assert!(a.is_online("ann").await && a.is_online("u199").await);
    server.pause(false);
    let b = NodePresence::start(&server).await;
    let all_known = async || b.presence.online(None, 1000).await.unwrap().len() == 201;
    until(all_known, || "not everybody was told of".into()).await;
    let mut online: Vec<_> = a.changes().await;
    online.dedup();
    assert!(
        online
            .iter()
            .all(|(_, change)| *change == PresenceChange::Online)
    );
}
