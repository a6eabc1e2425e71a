//! What happens to the bus when something happens to Redis.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use porchlight::{
    bus::redis::{Channel, Listener},
    chat::{Bus, Event, Topic},
};

use super::{Member, created, from, room, until, user};
use crate::support::redis::{Server, setup::Setup};

fn removed() -> Event {
    Event::ParticipantRemoved {
        conversation: room("r"),
        user: user("ann"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_comes_back_with_all_subscriptions() {
    let mut setup = Setup::single();
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    let old = Topic::Conversation(room("old"));
    b.bus.subscribe(old.clone()).await;
    let times = [a.heard.missed_times(), b.heard.missed_times()];

    setup.servers[0].stop();
    until(|| async { !a.bus.is_up() && !b.redis.subscriber().is_up() }).await;
    assert!(a.bus.ping().await.is_err());
    assert!(a.bus.publish(&from(created("old", 1))).await.is_err());
    // A join goes on without Redis.
    let new = Topic::Conversation(room("new"));
    let joined = tokio::time::timeout(Duration::from_millis(500), b.bus.subscribe(new.clone()));
    joined.await.expect("nobody waits for a Redis that is down");
    // And whoever left meanwhile is not subscribed again.
    let gone = Topic::Conversation(room("gone"));
    b.bus.subscribe(gone.clone()).await;
    b.bus.unsubscribe(gone);

    setup.servers[0].restart();
    for (member, times) in [(&a, times[0]), (&b, times[1])] {
        member.whole_again(times).await;
        member.bus.ping().await.expect("it is well");
    }
    for topic in ["old", "new"] {
        a.publish(created(topic, 2)).await;
    }
    b.hears(&[(old, created("old", 2)), (new, created("new", 2))])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_arrive_waits_for_redis() {
    let mut setup = Setup::single();
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    let topic = Topic::User(user("ann"));
    b.bus.subscribe(topic.clone()).await;
    setup.servers[0].stop();
    until(|| async { !a.bus.is_up() && !b.redis.subscriber().is_up() }).await;
    // Nobody waits for its end.
    drop(a.bus.publish(&from(removed())));
    setup.servers[0].restart();
    until(|| async { !b.heard.texts().is_empty() }).await;
    assert_eq!(b.heard.texts()[0], super::text(&topic, &from(removed())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_redis() {
    let mut setup = Setup::single();
    setup.servers[0].stop();
    let (a, b) = (Member::new(&setup), Member::new(&setup));
    let topic = Topic::Conversation(room("r"));
    b.bus.subscribe(topic.clone()).await;
    assert!(!a.bus.is_up());
    setup.servers[0].restart();
    a.whole_again(0).await;
    b.whole_again(0).await;
    a.publish(created("r", 1)).await;
    b.hears(&[(topic, created("r", 1))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_holds_nobody_up() {
    let mut setup = Setup::single();
    setup
        .settings
        .push(("COMMAND_TIMEOUT_MS", "300".to_owned()));
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    let times = b.heard.missed_times();
    setup.servers[0].pause(true);
    let topic = Topic::Conversation(room("r"));
    let joined = tokio::time::timeout(Duration::from_secs(3), b.bus.subscribe(topic.clone()));
    joined.await.expect("a join waits for a while only");
    let sent = tokio::time::timeout(
        Duration::from_secs(5),
        a.bus.publish(&from(created("r", 1))),
    );
    assert!(
        sent.await
            .expect("a publication waits for a while only")
            .is_err()
    );
    until(|| async { !b.redis.subscriber().is_up() && !a.bus.is_up() }).await;
    setup.servers[0].pause(false);
    b.whole_again(times).await;
    until(|| async { a.bus.is_up() }).await;
    a.publish(created("r", 2)).await;
    until(|| async { !b.heard.texts().is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_full_still_carries_events() {
    let setup = Setup::single();
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    setup.servers[0].cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(a.bus.ping().await.is_err(), "but it is not well");
    let topic = Topic::Conversation(room("r"));
    b.bus.subscribe(topic.clone()).await;
    a.publish(created("r", 1)).await;
    b.hears(&[(topic, created("r", 1))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_publish_is_dropped() {
    let setup = Setup::single();
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    let topic = Topic::Conversation(room("r"));
    b.bus.subscribe(topic.clone()).await;
    for garbage in ["hello", "{}", "", "\u{1}", "\u{2}xxxxxxxxxxxxxxxxxxxxxxxx"] {
        assert_eq!(
            setup.servers[0].cli(&["PUBLISH", "porchlight:c:r", garbage]),
            "1"
        );
    }
    a.publish(created("r", 1)).await;
    b.hears(&[(topic, created("r", 1))]).await;
}

/// Redis Cluster ends the subscriptions of a slot that moves, and tells only that connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_takes_its_subscriptions_along() {
    let setup = Setup::cluster();
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    let topic = Topic::Conversation(room("r"));
    b.bus.subscribe(topic.clone()).await;
    a.publish(created("r", 1)).await;
    b.hears(&[(topic.clone(), created("r", 1))]).await;
    let times = b.heard.missed_times();
    let listening = |server: &Server| server.cli(&["PUBSUB", "SHARDCHANNELS"]);
    let (from, channel) = (0..3)
        .map(|n| (n, listening(&setup.servers[n])))
        .find(|(_, channel)| !channel.is_empty())
        .expect("the subscription");
    let slot = setup.servers[from].cli(&["CLUSTER", "KEYSLOT", &channel]);
    let to = (from + 1) % 3;
    let owner = setup.servers[to].cli(&["CLUSTER", "MYID"]);
    for n in [to, from, (from + 2) % 3] {
        setup.servers[n].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &owner]);
    }
    b.whole_again(times).await;
    until(|| async { listening(&setup.servers[to]) == channel }).await;
    a.publish(created("r", 2)).await;
    b.hears(&[(topic.clone(), created("r", 1)), (topic, created("r", 2))])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_names_the_next_master() {
    let mut setup = Setup::sentinel();
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    let topic = Topic::Conversation(room("r"));
    b.bus.subscribe(topic.clone()).await;
    let times = [a.heard.missed_times(), b.heard.missed_times()];
    setup.servers[0].stop();
    for (member, times) in [(&a, times[0]), (&b, times[1])] {
        member.whole_again(times).await;
    }
    until(|| async { a.bus.ping().await.is_ok() }).await;
    a.publish(created("r", 1)).await;
    b.hears(&[(topic, created("r", 1))]).await;
}

/// Counts what comes by channels of other programs.
#[derive(Default)]
struct Plain(Mutex<Vec<String>>);

impl Listener for Plain {
    fn heard(&self, _: &str, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload).into_owned();
        self.0.lock().push(text);
    }

    fn missed(&self) {}
}

/// A channel that is not sharded comes by one server only, which goes on when slots move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_of_a_cluster_move_and_nothing_is_heard_twice() {
    let setup = Setup::cluster();
    let member = Member::connected(&setup).await;
    let plain = Arc::new(Plain::default());
    let subscriber = member.bus.subscriber();
    subscriber.listen("others", plain.clone());
    subscriber.subscribe(Channel::plain("others".into())).await;
    let servers = &setup.servers;
    let listening = || {
        let at = servers.iter().position(|s| {
            let said = s.cli(&["PUBSUB", "NUMSUB", "others"]);
            said.ends_with('1')
        });
        at.expect("somebody listens")
    };
    let here = listening();
    let id = |n: usize| servers[n].cli(&["CLUSTER", "MYID"]);
    let (from, to) = (id(here), id((here + 1) % 3));
    let address = format!("127.0.0.1:{}", servers[0].port());
    let epoch = || member.redis.subscriber().watch().borrow().epoch;
    let before = epoch();
    let moved = servers[0].cli(&[
        "--cluster",
        "reshard",
        &address,
        "--cluster-from",
        &from,
        "--cluster-to",
        &to,
        "--cluster-slots",
        "5000",
        "--cluster-yes",
    ]);
    assert!(!moved.contains("[ERR]"), "{moved}");
    until(|| async { epoch() > before && subscriber.is_whole() }).await;
    for (n, server) in servers.iter().enumerate() {
        server.cli(&["PUBLISH", "others", &n.to_string()]);
    }
    until(|| async { plain.0.lock().len() >= servers.len() }).await;
    servers[here].cli(&["PUBLISH", "others", "end"]);
    until(|| async { plain.0.lock().last().is_some_and(|l| l == "end") }).await;
    let mut heard = plain.0.lock().clone();
    heard.sort();
    assert_eq!(heard, ["0", "1", "2", "end"]);
    assert_eq!(listening(), here);
}
