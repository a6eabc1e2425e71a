//! Redis as other backends use it: what they publish comes in by the node's one subscription, in the
//! order in which it was published; what is for them goes out in one order with what is for the
//! nodes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;

use super::{
    channel::Channels,
    dropped::{Dropped, Drops},
    gate::{Gate, Publisher, control_channels, names},
};
use crate::{
    bus::redis::{Channel, Listener, RedisBus},
    chat::{Bus, Envelope, Publishing, RoomNames, Topic, Unavailable},
    config,
};

/// The way to and from other backends.
pub struct Link {
    /// Whose subscription is shared, so that there is one order.
    bus: Arc<RedisBus>,
    channels: Channels,
    control: Vec<String>,
    names: RoomNames,
    drops: Drops,
}

impl Link {
    /// A link beside the nodes on `bus`.
    pub fn new(bus: Arc<RedisBus>, config: &config::Emitters) -> Arc<Self> {
        Arc::new(Self {
            bus,
            channels: Channels::new(&config.key),
            control: control_channels(config),
            names: names(config),
            drops: Drops::default(),
        })
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

    /// From now on `gate` takes in what arrives. To be called before the bus runs: what it listens to
    /// from its beginning is confirmed when [`Bus::ping`] says that all is well.
    pub fn open(&self, gate: Gate) {
        let subscriber = self.bus.subscriber();
        let gate = Arc::new(gate);
        for prefix in prefixes(&self.control) {
            subscriber.listen(prefix, gate.clone());
        }
        for channel in &self.control {
            // Whether it is confirmed is asked of all at once.
            let _ = subscriber.want(Channel::plain(channel.clone()));
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
    fn publish(&self, channel: String, payload: Vec<u8>, keep: bool) {
        let publishing = self.bus.publish_plain(channel, payload, keep);
        // Nobody waits for the end of those that were begun.
        if let Some(Err(_)) = publishing.now_or_never() {
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
