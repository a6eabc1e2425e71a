//! Redis as other backends use it: what they publish comes in by the node's one subscriber
//! connection, in the order in which it was published; what is for them goes out by the one for
//! commands.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::PubsubInterface;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    channel::Channels,
    dropped::{Dropped, Drops},
    gate::{Gate, Publisher, control_channels, names},
};
use crate::{
    bus::redis::{Channel, Listener, RedisBus},
    chat::{Bus, Envelope, Publishing, RoomNames, Topic, Unavailable},
    config,
    redis::Redis,
};

/// Messages to other backends that may wait. What does not fit is lost.
const OUTGOING: usize = 4096;
/// Messages on their way to Redis at the same time.
const BATCH: usize = 64;

/// The way to and from other backends.
pub struct Link {
    redis: Arc<Redis>,
    /// Of which the subscription is shared, so that there is one order.
    bus: Arc<RedisBus>,
    channels: Channels,
    control: Vec<String>,
    names: RoomNames,
    outgoing: mpsc::Sender<(String, Vec<u8>)>,
    drops: Drops,
}

/// What waits to go out, for [`Link::run`].
pub struct Outgoing(mpsc::Receiver<(String, Vec<u8>)>);

impl Link {
    /// A link that is idle until it runs, beside the nodes on `bus`.
    pub fn new(
        redis: Arc<Redis>,
        bus: Arc<RedisBus>,
        config: &config::Emitters,
    ) -> (Arc<Self>, Outgoing) {
        let (outgoing, waiting) = mpsc::channel(OUTGOING);
        let link = Self {
            redis,
            bus,
            channels: Channels::new(&config.key),
            control: control_channels(config),
            names: names(config),
            outgoing,
            drops: Drops::default(),
        };
        (Arc::new(link), Outgoing(waiting))
    }

    /// The channel on which other backends emit to that topic's room alone.
    fn channel(&self, topic: &Topic) -> Option<Channel> {
        let room = match topic {
            Topic::User(id) => self.names.user(id),
            Topic::Conversation(id) => self.names.conversation(id),
            Topic::Room(name) => name.to_string(),
            Topic::Online | Topic::Orders => return None,
        };
        Some(Channel::plain(self.channels.room(&room)))
    }

    /// Takes in and sends out, until `stop`.
    pub async fn run(&self, gate: Gate, outgoing: Outgoing, stop: CancellationToken) {
        let subscriber = self.bus.subscriber();
        let gate = Arc::new(gate);
        for prefix in prefixes(&self.control) {
            subscriber.listen(prefix, gate.clone());
        }
        for channel in &self.control {
            subscriber.subscribe(Channel::plain(channel.clone())).await;
        }
        stop.run_until_cancelled(self.send(outgoing.0)).await;
    }

    async fn send(&self, mut outgoing: mpsc::Receiver<(String, Vec<u8>)>) {
        let mut batch = Vec::new();
        while outgoing.recv_many(&mut batch, BATCH).await > 0 {
            let Ok(client) = self.redis.commands().client() else {
                self.drops.note(Dropped::Unpublished, "all");
                batch.clear();
                continue;
            };
            // They are written in this order, and then waited for together.
            let publish = |(channel, payload): (String, Vec<u8>)| async move {
                client
                    .publish::<(), _, _>(channel, payload.as_slice())
                    .await
            };
            let results = join_all(batch.drain(..).map(publish)).await;
            for _ in results.iter().filter(|r| r.is_err()) {
                self.drops.note(Dropped::Unpublished, "all");
            }
        }
    }
}

/// What all channels begin with that are one of these or below one: none of them begins with
/// another, so that nothing is heard twice, whatever names were chosen.
fn prefixes(channels: &[String]) -> Vec<&str> {
    let begins_elsewhere = |n: usize, channel: &String| {
        channels.iter().enumerate().any(|(m, other)| {
            let shorter = other.len() < channel.len() || other == channel && m < n;
            shorter && channel.starts_with(other)
        })
    };
    let first = channels.iter().enumerate();
    first
        .filter(|(n, channel)| !begins_elsewhere(*n, channel))
        .map(|(_, channel)| channel.as_str())
        .collect()
}

impl Listener for Gate {
    fn heard(&self, channel: &str, payload: &[u8]) {
        self.take(channel, &Bytes::copy_from_slice(payload));
    }

    /// At most once: nobody keeps what other backends publish.
    fn missed(&self) {}
}

impl Publisher for Link {
    fn publish(&self, channel: String, payload: Vec<u8>) {
        if self.outgoing.try_send((channel, payload)).is_err() {
            self.drops.note(Dropped::Unpublished, "all");
        }
    }
}

/// The bus, with other backends heard in the same rooms.
pub struct WithEmitters {
    bus: Arc<dyn Bus>,
    link: Arc<Link>,
}

impl WithEmitters {
    /// What is listened to on `bus` is listened to on `link`, too.
    pub fn new(bus: Arc<dyn Bus>, link: Arc<Link>) -> Self {
        Self { bus, link }
    }
}

#[async_trait]
impl Bus for WithEmitters {
    fn publish(&self, envelope: &Envelope) -> Publishing {
        self.bus.publish(envelope)
    }

    async fn subscribe(&self, topic: Topic) {
        let others = async {
            if let Some(channel) = self.link.channel(&topic) {
                self.link.bus.subscriber().subscribe(channel).await;
            }
        };
        tokio::join!(self.bus.subscribe(topic.clone()), others);
    }

    fn unsubscribe(&self, topic: Topic) {
        if let Some(channel) = self.link.channel(&topic) {
            self.link.bus.subscriber().unsubscribe(&channel);
        }
        self.bus.unsubscribe(topic);
    }

    fn is_alone(&self) -> bool {
        self.bus.is_alone()
    }

    fn is_up(&self) -> bool {
        self.bus.is_up()
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        self.bus.ping().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_heard_twice() {
        let of = |channels: &[&str]| {
            let channels: Vec<_> = channels.iter().map(|&c| c.to_owned()).collect();
            prefixes(&channels).join(" ")
        };
        let usual = ["socket.io#/#", "socket.io-request#/#", "socketio"];
        assert_eq!(of(&usual), usual.join(" "));
        assert_eq!(
            of(&["socketio#/#", "socketio-request#/#", "socketio"]),
            "socketio"
        );
        assert_eq!(of(&["a", "a"]), "a");
    }
}
