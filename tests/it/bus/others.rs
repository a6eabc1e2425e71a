//! Nothing is published to a channel that only the publisher listens to, and nothing is left out
//! because of a subscription that is none any more.

use std::sync::Arc;

use porchlight::chat::{Bus, Event, Topic, UserId};

use super::{Member, arrived, message, room, until, user};
use crate::support::redis::{Server, setup::Setup};

const USERS: usize = 2500;

/// A message to a group of many.
fn to_many(seq: u64) -> Event {
    Event::MessageCreated {
        message: message("r", seq),
        participants: (0..USERS)
            .map(|n| user(&format!("u{n}")))
            .collect::<Arc<[UserId]>>(),
    }
}

/// Publications that Redis has counted so far.
fn published(redis: &Server) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find(|l| l.starts_with("cmdstat_publish:"));
    let calls = line.and_then(|l| l.split("calls=").nth(1)?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_else_listens_to_is_left_out() {
    let setup = Setup::single();
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    for topic in to_many(1).topics() {
        a.bus.subscribe(topic).await;
    }
    a.publish(to_many(1)).await;
    assert_eq!(published(&setup.servers[0]), 0);

    // One in each of the parts in which so many are published.
    let others = [
        Topic::Conversation(room("r")),
        Topic::User(user("u1200")),
        Topic::User(user("u2499")),
    ];
    for topic in &others {
        b.bus.subscribe(topic.clone()).await;
    }
    a.publish(to_many(2)).await;
    let expected: Vec<_> = others.map(|topic| (topic, arrived(&to_many(2)))).into();
    b.hears(&expected).await;
    assert_eq!(published(&setup.servers[0]), 3);
    assert_eq!(a.heard.texts(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_redis_dropped_does_not_count() {
    let setup = Setup::single();
    let redis = &setup.servers[0];
    let (a, b) = (
        Member::connected(&setup).await,
        Member::connected(&setup).await,
    );
    let topic = Topic::Conversation(room("r"));
    let mut expected = Vec::new();
    b.bus.subscribe(topic.clone()).await;
    for event in to_many(1).topics() {
        a.bus.subscribe(event).await;
    }
    for seq in 1..=20 {
        // The connection of `a` ends without its knowledge, and it says something at once.
        let clients = redis.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        let its = clients.lines().find(|l| !l.contains(" sub=2 "));
        if let Some(id) = its.and_then(|l| l.strip_prefix("id=")?.split(' ').next()) {
            redis.cli(&["CLIENT", "KILL", "ID", id]);
        }
        a.publish(to_many(seq)).await;
        expected.push((topic.clone(), arrived(&to_many(seq))));
        b.hears(&expected).await;
    }
    until(|| async { a.redis.subscriber().is_up() }).await;
}
