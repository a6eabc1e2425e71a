//! Word of a change is lost or was said already: those who do not know are told, once.

use porchlight::chat::{Presence, PresenceChange, PresenceNews, Reach};

use super::{NodePresence, TIMES, offline, user};
use crate::support::{node::until, redis::Server};

/// Who is told what: `ann offline everybody`.
fn shown(news: Vec<PresenceNews>) -> Vec<String> {
    let all = news.into_iter().map(|news| {
        let change = match news.change {
            PresenceChange::Online => "online",
            PresenceChange::Offline => "offline",
            PresenceChange::Status => "status",
        };
        let whom = match news.reach {
            Reach::Everybody => "everybody",
            Reach::OtherNodes => "others",
            Reach::ThisNode { .. } => "here",
        };
        format!("{} {change} {whom}", news.user)
    });
    all.collect()
}

async fn both(a: &NodePresence, b: &NodePresence) -> (Vec<String>, Vec<String>) {
    let (a, b) = tokio::join!(a.news(), b.news());
    (shown(a), shown(b))
}

/// The name of the node that Redis knows beside these.
fn newest(server: &Server, others: &[String]) -> String {
    let names = server.cli(&["smembers", "test:nodes"]);
    let name = names.lines().find(|n| others.iter().all(|o| o != n));
    name.expect("another node").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_without_redis_is_told_to_the_others_alone() {
    let mut server = Server::start(&[]);
    let (a, b) = NodePresence::two(&server).await;
    assert!(a.enter("left", "phone").await);
    assert!(a.enter("stays", "phone").await);
    server.stop();
    assert!(a.enter("new", "phone").await);
    assert!(!a.enter("new", "tablet").await, "once");
    assert!(a.leave_for_good("left", "phone").await);
    server.restart();
    let told = both(&a, &b).await;
    assert_eq!(told.0, ["left offline others", "new online others"]);
    assert_eq!(told.1, [] as [&str; 0]);
}

/// A second device comes before the node has told Redis of the first one again.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_to_an_emptied_redis_announces_nobody_anew() {
    let server = Server::start(&[]);
    let (mut a, b) = NodePresence::two(&server).await;
    assert!(a.enter("ann", "phone").await);
    a.fall_silent();
    server.cli(&["flushall"]);
    assert!(!a.enter("ann", "laptop").await);
    a.revive();
    assert_eq!(both(&a, &b).await, (vec![], vec![]));
    assert!(b.is_online("ann").await);
}

/// The others announced it offline, and the devices were there all the time.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_taken_for_gone_is_told_back_where_that_was_told() {
    let server = Server::start(&[]);
    let (mut a, b) = NodePresence::two(&server).await;
    for id in ["ann", "bob"] {
        assert!(a.enter(id, "phone").await);
    }
    a.fall_silent();
    assert_eq!(b.changes().await, [offline("ann"), offline("bob")]);
    // Of one the node heard it, over its other connection.
    assert!(a.presence.heard(&user("bob"), false));
    a.revive();
    let told = both(&a, &b).await;
    assert_eq!(told.0, ["ann online others", "bob online everybody"]);
    assert_eq!(told.1, [] as [&str; 0]);
}

/// Nobody has to take over from a node of which Redis knows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn redis_is_emptied_while_a_node_is_dead() {
    let server = Server::start(&[]);
    let (mut dead, a) = NodePresence::two(&server).await;
    let b = NodePresence::start(&server).await;
    for id in ["asked", "heard", "nobody"] {
        assert!(dead.enter(id, "phone").await);
    }
    assert!(b.enter("alive", "phone").await);
    assert!(a.is_online("asked").await && a.is_online("alive").await);
    assert!(a.presence.heard(&user("heard"), true));
    dead.fall_silent();
    server.cli(&["flushall"]);
    let told = both(&a, &b).await;
    assert_eq!(told.0, ["asked offline here", "heard offline here"]);
    assert_eq!(told.1, [] as [&str; 0], "nobody there was told of them");
    // Whoever has to tell it yet tells nobody here.
    for id in ["asked", "heard"] {
        assert!(!a.presence.heard(&user(id), false));
        assert!(!a.is_online(id).await);
    }
    assert!(a.is_online("alive").await);
    assert!(a.presence.heard(&user("asked"), true), "back");
    assert!(a.presence.heard(&user("asked"), false), "and gone again");
}

/// It dies between what it has decided and what it says.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_takes_over_dies_before_it_tells() {
    let server = Server::start(&[]);
    let a = NodePresence::start(&server).await;
    let own = newest(&server, &[]);
    let mut reaper = NodePresence::start(&server).await;
    let its = newest(&server, std::slice::from_ref(&own));
    let mut dead = NodePresence::start(&server).await;
    let deads = newest(&server, &[own, its.clone()]);
    dead.enter("ann", "phone").await;
    assert!(a.is_online("ann").await);
    // Nobody else is to be faster.
    server.cli(&["set", &format!("test:n:{{{deads}}}:reaper"), &its]);
    dead.fall_silent();
    until(
        async || server.cli(&["exists", "test:p:{ann}"]) == "0",
        || "nobody took over".into(),
    )
    .await;
    reaper.fall_silent();
    drop(reaper);
    assert_eq!(shown(a.news().await), ["ann offline here"]);
}

/// The word of a node is lost on the way to another, which was cut off.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_cut_off_finds_out_who_left() {
    let server = Server::start(&[]);
    let (a, b) = NodePresence::two(&server).await;
    for id in ["ann", "bob"] {
        assert!(b.enter(id, "phone").await);
        assert!(a.presence.heard(&user(id), true));
    }
    assert!(b.leave_for_good("ann", "phone").await);
    a.presence.missed();
    let told = both(&a, &b).await;
    assert_eq!(told, (vec!["ann offline here".to_owned()], vec![]));
}

/// A change is told after nodes that were away had the time to come back.
#[tokio::test(flavor = "multi_thread")]
async fn others_are_given_time_to_listen_again() {
    let mut server = Server::start(&[]);
    let a = NodePresence::start(&server).await;
    a.enter("ann", "phone").await;
    server.stop();
    a.enter("bob", "phone").await;
    server.restart();
    let b = NodePresence::start(&server).await;
    until(async || b.is_online("bob").await, || "never".into()).await;
    let early = tokio::time::timeout(TIMES.heartbeat, a.presence.changes()).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(shown(a.presence.changes().await), ["bob online others"]);
}
