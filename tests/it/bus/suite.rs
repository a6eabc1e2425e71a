//! What every bus does.

use std::sync::Arc;

use porchlight::{
    bus::MemoryBus,
    chat::{Bus, Event, Topic},
};

use super::{Member, arrived, created, every_event, from, room, until, user};
use crate::support::redis::setup::Setup;

/// Runs on every bus that there is, as `own` alone.
async fn alone(bus: Arc<dyn Bus>) {
    bus.ping().await.expect("it is well");
    assert!(bus.is_up());
    let topic = Topic::Conversation(room("alone"));
    bus.subscribe(topic.clone()).await;
    bus.publish(&from(created("alone", 1)))
        .await
        .expect("it is published");
    bus.unsubscribe(topic.clone());
    bus.unsubscribe(topic);
}

async fn nobody_hears_themselves(setup: &Setup) {
    let (a, b) = (
        Member::connected(setup).await,
        Member::connected(setup).await,
    );
    alone(a.bus.clone()).await;
    let topic = Topic::User(user("ann"));
    for member in [&a, &b] {
        member.bus.subscribe(topic.clone()).await;
    }
    let emit = |name: &str| Event::Emit {
        user: user("ann"),
        name: name.into(),
        args: serde_json::value::RawValue::from_string("[]".into())
            .expect("JSON")
            .into(),
    };
    a.publish(emit("by-a")).await;
    b.hears(&[(topic.clone(), emit("by-a"))]).await;
    b.publish(emit("by-b")).await;
    // Had its own come back, it would have come first.
    a.hears(&[(topic, emit("by-b"))]).await;
}

async fn every_event_arrives_by_every_topic(setup: &Setup) {
    let (a, b) = (
        Member::connected(setup).await,
        Member::connected(setup).await,
    );
    let users = ["ann", "bob"];
    for event in every_event(&users) {
        for topic in event.topics() {
            b.bus.subscribe(topic.clone()).await;
            a.publish(event.clone()).await;
            b.hears(&[(topic.clone(), arrived(&event))]).await;
            b.heard.events.lock().clear();
            b.bus.unsubscribe(topic.clone());
            // It lingers; another topic's event must not come by this one.
            until(|| async { listening(setup) == 0 }).await;
        }
    }
    assert_eq!(a.heard.texts(), [""; 0]);
}

/// Channels of the gateway that somebody listens to for what they bring.
fn listening(setup: &Setup) -> usize {
    let list = |server: &crate::support::redis::Server, what: &str| {
        let channels = server.cli(&["PUBSUB", what, "porchlight:*"]);
        let brings = |l: &&str| !l.is_empty() && !l.starts_with("porchlight:w:");
        channels.lines().filter(brings).count()
    };
    let servers = setup.servers.iter();
    servers
        .map(|s| list(s, "CHANNELS") + list(s, "SHARDCHANNELS"))
        .sum()
}

async fn a_subscription_holds_from_when_it_returns(setup: &Setup) {
    let (a, b) = (
        Member::connected(setup).await,
        Member::connected(setup).await,
    );
    let mut expected = Vec::new();
    for n in 0..100 {
        let name = format!("room-{n}");
        let topic = Topic::Conversation(room(&name));
        b.bus.subscribe(topic.clone()).await;
        a.publish(created(&name, 1)).await;
        expected.push((topic, created(&name, 1)));
        b.hears(&expected).await;
    }
}

async fn they_are_counted(setup: &Setup) {
    let (a, b) = (
        Member::connected(setup).await,
        Member::connected(setup).await,
    );
    let topic = Topic::Conversation(room("r"));
    for _ in 0..3 {
        b.bus.subscribe(topic.clone()).await;
    }
    b.bus.unsubscribe(topic.clone());
    b.bus.unsubscribe(topic.clone());
    a.publish(created("r", 1)).await;
    b.hears(&[(topic.clone(), created("r", 1))]).await;
    b.bus.unsubscribe(topic);
    until(|| async { listening(setup) == 0 }).await;
}

async fn a_publisher_is_heard_in_its_order(setup: &Setup) {
    let (a, b) = (
        Member::connected(setup).await,
        Member::connected(setup).await,
    );
    let topic = Topic::Conversation(room("r"));
    b.bus.subscribe(topic.clone()).await;
    let all: Vec<_> = (1..=2000).map(|seq| created("r", seq)).collect();
    let publishing: Vec<_> = all
        .iter()
        .map(|e| a.bus.publish(&from(e.clone())))
        .collect();
    let expected: Vec<_> = all.into_iter().map(|e| (topic.clone(), e)).collect();
    b.hears(&expected).await;
    for end in publishing {
        end.await.expect("it is published");
    }
}

async fn many_topics_at_once(setup: &Setup) {
    let (a, b) = (
        Member::connected(setup).await,
        Member::connected(setup).await,
    );
    let names: Vec<_> = (0..1000).map(|n| format!("room-{n}")).collect();
    let topics = names.iter().map(|n| Topic::Conversation(room(n)));
    futures_util::future::join_all(topics.map(|t| b.bus.subscribe(t))).await;
    assert_eq!(listening(setup), names.len());
    for name in &names {
        a.publish(created(name, 1)).await;
    }
    until(|| async { b.heard.texts().len() == names.len() }).await;
}

macro_rules! suite {
    ($setup:ident: $($test:ident),+ $(,)?) => {
        mod $setup {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&Setup::$setup()).await;
            })+
        }
    };
}

macro_rules! on {
    ($($setup:ident),+) => {
        $(suite!($setup:
            nobody_hears_themselves,
            every_event_arrives_by_every_topic,
            a_subscription_holds_from_when_it_returns,
            they_are_counted,
            a_publisher_is_heard_in_its_order,
            many_topics_at_once,
        );)+
    };
}

on!(single, cluster);

suite!(password: nobody_hears_themselves);
suite!(tls: nobody_hears_themselves, a_publisher_is_heard_in_its_order);
suite!(sentinel: nobody_hears_themselves);

#[tokio::test]
async fn memory() {
    alone(Arc::new(MemoryBus)).await;
    assert!(MemoryBus.is_alone());
}
