//! The bus over Redis: a channel for each conversation and each user, listened to only by nodes
//! that have somebody there.
//!
//! | channel | topic |
//! |---|---|
//! | `<prefix>:c:<id>` | [`Topic::Conversation`] |
//! | `<prefix>:u:<id>` | [`Topic::User`] |
//! | `<prefix>:o` | [`Topic::Online`] |
//! | `<prefix>:x` | [`Topic::Orders`] |
//! | `<prefix>:w:<node>:<n>` | none: subscribed by that node on its nth connection, not on a cluster; see `publisher` |
//!
//! While Redis is down this node goes on with its own clients. When it is back, everything is
//! subscribed again, and then the node makes good what it missed ([`Local::missed`]).

mod interest;
mod publisher;
mod subscriber;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use subscriber::{Listener, Subscriber};

use self::publisher::Publisher;
use super::wire::{self, Unreadable};
use crate::{
    chat::{Bus, ConversationId, Envelope, Local, Publishing, Topic, Unavailable, UserId},
    redis::Redis,
    telemetry,
};

/// A channel of Redis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    name: Arc<str>,
    own: bool,
}

impl Channel {
    /// One of the gateway's own, sharded on a Redis Cluster.
    pub fn own(name: String) -> Self {
        let (name, own) = (name.into(), true);
        Self { name, own }
    }

    /// One that other programs publish to or listen to as well, never sharded.
    pub fn plain(name: String) -> Self {
        let (name, own) = (name.into(), false);
        Self { name, own }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_sharded(&self, redis: &Redis) -> bool {
        self.own && redis.is_clustered()
    }
}

/// See the module.
pub struct RedisBus {
    node: Uuid,
    redis: Arc<Redis>,
    subscriber: Arc<Subscriber>,
    publisher: Publisher,
}

impl RedisBus {
    /// A bus that reaches nobody until it runs ([`RedisBus::run`]).
    pub fn new(redis: Arc<Redis>) -> Self {
        let node = Uuid::now_v7();
        let subscriber = Arc::new(Subscriber::new(redis.clone(), node));
        Self {
            node,
            publisher: Publisher::new(redis.clone(), subscriber.clone()),
            subscriber,
            redis,
        }
    }

    /// The node's subscription, for channels of others on the same Redis.
    pub fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    /// Publishes on a channel of other programs, in the order of the calls and those of
    /// [`Bus::publish`]. With `keep` it waits for a Redis that is down.
    pub fn publish_plain(&self, channel: String, payload: Vec<u8>, keep: bool) -> Publishing {
        let channel = Channel::plain(channel);
        self.publisher.publish(vec![channel], payload.into(), keep)
    }

    /// Hands `local` what other nodes publish, and them what this one does, until `stop`; then sends
    /// what still waits.
    pub async fn run(&self, local: Arc<dyn Local>, stop: CancellationToken) {
        let prefix = format!("{}:", self.redis.prefix());
        let ears = Ears {
            node: self.node,
            prefix: prefix.clone(),
            local,
            told: Default::default(),
        };
        self.subscriber.listen(&prefix, Arc::new(ears));
        tokio::select! {
            () = self.subscriber.run() => {}
            () = self.publisher.run(stop) => {}
        }
    }

    /// `None`: nodes publish nothing there.
    fn channel(&self, topic: &Topic) -> Option<Channel> {
        let prefix = self.redis.prefix();
        Some(Channel::own(match topic {
            Topic::Conversation(id) => format!("{prefix}:c:{id}"),
            Topic::User(id) => format!("{prefix}:u:{id}"),
            Topic::Online => format!("{prefix}:o"),
            Topic::Orders => format!("{prefix}:x"),
            Topic::Room(_) => return None,
        }))
    }
}

/// The topic of a channel, whose name is given without the prefix.
fn topic(name: &str) -> Option<Topic> {
    match name.split_once(':') {
        Some(("c", id)) => ConversationId::new(id).ok().map(Topic::Conversation),
        Some(("u", id)) => UserId::new(id).ok().map(Topic::User),
        None if name == "o" => Some(Topic::Online),
        None if name == "x" => Some(Topic::Orders),
        _ => None,
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn publish(&self, envelope: &Envelope) -> Publishing {
        let event = &envelope.event;
        let topics = event.topics();
        let channels = topics
            .iter()
            .filter_map(|topic| self.channel(topic))
            .collect();
        let payload = wire::encode(envelope, self.node);
        self.publisher
            .publish(channels, payload.into(), event.must_arrive())
    }

    async fn subscribe(&self, topic: Topic) {
        if let Some(channel) = self.channel(&topic) {
            self.subscriber.subscribe(channel).await;
        }
    }

    fn unsubscribe(&self, topic: Topic) {
        if let Some(channel) = self.channel(&topic) {
            self.subscriber.unsubscribe(&channel);
        }
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn is_up(&self) -> bool {
        self.redis.commands().is_up()
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        self.redis.check().await?;
        match self.subscriber.is_whole() {
            true => Ok(()),
            false => Err(Unavailable {
                what: "redis",
                source: Box::new(Deaf),
            }),
        }
    }
}

/// Redis answers, and has not confirmed all subscriptions since it was away.
#[derive(Debug, thiserror::Error)]
#[error("not everything is subscribed yet")]
struct Deaf;

/// Hears the gateway's own channels.
struct Ears {
    node: Uuid,
    /// With its colon.
    prefix: String,
    local: Arc<dyn Local>,
    /// Of which kinds of unreadable envelopes the log knows: unknown, garbage.
    told: [AtomicBool; 2],
}

impl Ears {
    fn drop_unreadable(&self, channel: &str, why: Unreadable) {
        metrics::counter!(telemetry::BUS_DROPPED_TOTAL, "reason" => why.as_str()).increment(1);
        let (told, text) = match why {
            Unreadable::Unknown => (
                &self.told[0],
                "an event of a newer version came from another node and is dropped; more will be \
                 dropped without saying so",
            ),
            Unreadable::Garbage => (
                &self.told[1],
                "something else than an event was published on a channel of this gateway and is \
                 dropped; more will be dropped without saying so",
            ),
        };
        if !told.swap(true, Ordering::Relaxed) {
            tracing::warn!(channel, "{text}");
        }
    }
}

impl Listener for Ears {
    fn heard(&self, channel: &str, payload: &[u8]) {
        let Some(topic) = channel.strip_prefix(&self.prefix).and_then(topic) else {
            return;
        };
        match wire::decode(payload, self.node) {
            Ok(Some(envelope)) => {
                metrics::counter!(telemetry::BUS_RECEIVED_TOTAL).increment(1);
                self.local.deliver(&envelope, Some(&topic));
            }
            Ok(None) => {}
            Err(why) => self.drop_unreadable(channel, why),
        }
    }

    fn missed(&self) {
        self.local.missed();
    }
}
