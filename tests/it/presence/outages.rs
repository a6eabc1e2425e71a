//! Redis loses what it knew, or is away: nobody is announced wrongly, nobody is forgotten.

use std::time::{Duration, Instant};

use porchlight::chat::{PresenceChange, Status};

use super::{NodePresence, changes_of, device, offline, online, seen, user};
use crate::support::{node::until, redis::Server};

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_told_again_and_nobody_is_announced_anew() {
    let server = Server::start(&[]);
    let (a, b) = NodePresence::two(&server).await;
    // Where the node itself was faster to tell Redis, it is the node that tells of them.
    let mut later = Vec::new();
    for id in (100..600).map(|n| format!("u{n}")) {
        if !a.enter(&id, "phone").await {
            later.push(online(&id));
        }
    }
    b.enter("u107", "laptop").await;
    a.set_status("u107", Status::Away).await;
    server.cli(&["flushall"]);
    assert_eq!(changes_of(&[&a, &b]).await, later);
    for node in [&a, &b] {
        assert_eq!(node.online().await.len(), 500);
        let devices = node.devices("u107").await;
        assert_eq!(devices, [device("laptop"), device("phone")]);
        let info = seen(&*node.presence, &user("u107")).await;
        assert_eq!(info.status, Status::Away);
    }
    assert!(a.leave_for_good("u108", "phone").await);
    assert_eq!(a.leave("u107", "phone").await, None);
}

/// Somebody leaves in the moment in which Redis knows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_an_emptied_redis_is_told_offline_once() {
    let server = Server::start(&[]);
    let (mut a, b) = NodePresence::two(&server).await;
    a.enter("ann", "phone").await;
    a.enter("bob", "phone").await;
    b.enter("bob", "laptop").await;
    a.fall_silent();
    server.cli(&["flushall"]);
    assert_eq!(a.leave("ann", "phone").await, None);
    assert_eq!(a.leave("bob", "phone").await, None);
    a.revive();
    assert_eq!(changes_of(&[&a, &b]).await, [offline("ann")]);
    assert!(a.is_online("bob").await && !a.is_online("ann").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_node_knows_its_own_users_and_tells_of_them_later() {
    let mut server = Server::start(&[]);
    let (a, b) = NodePresence::two(&server).await;
    for name in ["ann", "left"] {
        assert!(a.enter(name, name).await);
    }
    b.enter("both", "laptop").await;
    a.enter("both", "phone").await;
    server.stop();

    assert!(a.enter("new", "phone").await);
    assert!(!a.enter("ann", "tablet").await);
    assert!(a.set_status("ann", Status::Busy).await);
    assert!(a.leave_for_good("left", "left").await);
    let left = a.leave("both", "phone").await;
    assert_eq!(
        left, None,
        "there was another device when Redis was last heard"
    );
    assert!(a.is_online("new").await && a.is_online("ann").await && !a.is_online("left").await);
    assert!(!b.is_online("ann").await, "not one of its own");
    assert_eq!(a.online().await.len(), 3);

    server.restart();
    let told = changes_of(&[&a, &b]).await;
    // There was no way to tell the others of these two.
    assert_eq!(told, [offline("left"), online("new")]);
    until(async || b.is_online("new").await, || "b never knew".into()).await;
    for node in [&a, &b] {
        assert_eq!(node.online().await.len(), 3);
        let info = seen(&*node.presence, &user("ann")).await;
        assert_eq!((info.online, info.status), (true, Status::Busy));
        let devices = node.devices("both").await;
        assert_eq!(devices, [device("laptop")]);
    }
}

/// Redis was away for a while but forgot nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_redis_is_silent_is_told_offline_later() {
    let server = Server::start(&[]);
    let (a, mut b) = NodePresence::two(&server).await;
    a.enter("ann", "phone").await;
    b.enter("bob", "phone").await;
    b.fall_silent();
    server.cli(&["config", "set", "maxmemory", "1"]);
    server.cli(&["config", "set", "maxmemory-policy", "noeviction"]);
    let refused = a.enter("cat", "phone").await;
    assert!(refused, "as far as the node knows");
    let left = a.leave("ann", "phone").await;
    assert!(left.is_some());
    server.cli(&["config", "set", "maxmemory", "0"]);
    let told = changes_of(&[&a]).await;
    assert_eq!(told, [offline("ann"), offline("bob"), online("cat")]);
}

/// A Redis that hangs costs the first who asks a time-out, and nobody after.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_long_for_a_redis_that_hangs() {
    let mut server = Server::start(&[]);
    let timeout = ("COMMAND_TIMEOUT_MS", "300");
    let a = NodePresence::with(&[("URL", &server.url()), timeout]).await;
    a.enter("ann", "phone").await;
    server.pause(true);
    let since = Instant::now();
    for n in 0..200 {
        assert!(a.enter(&format!("u{n}"), "phone").await);
    }
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "{:?}",
        since.elapsed()
    );
    assert!(a.is_online("ann").await && a.is_online("u199").await);
    server.pause(false);
    let b = NodePresence::start(&server).await;
    let all_known = async || b.online().await.len() == 201;
    until(all_known, || "not everybody was told of".into()).await;
    let mut online: Vec<_> = a.changes().await;
    online.dedup();
    assert!(
        online
            .iter()
            .all(|(_, change)| *change == PresenceChange::Online)
    );
}
