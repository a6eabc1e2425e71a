//! Redis as other backends use it: what they publish comes in by the node's one subscriber
//! connection, in the order in which it was published; what is for them goes out by the one for
//! commands.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fred::interfaces::PubsubInterface;
use futures_util::future::join_all;
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    channel::Channels,
    dropped::{Dropped, Drops},
    gate::{Gate, Publisher, control_channels, names},
    interest::{Interest, Step},
};
use crate::{
    chat::{Bus, Envelope, RoomNames, Topic, Unavailable},
    config,
    redis::{Redis, unavailable},
};

/// Messages to other backends that may wait. What does not fit is lost.
const OUTGOING: usize = 4096;
/// Messages on their way to Redis at the same time.
const BATCH: usize = 64;
/// Channels in one command at most.
const CHANNELS: usize = 256;
/// Time before the next try after Redis refused.
const RETRY: Duration = Duration::from_millis(250);

/// The way to and from other backends.
pub struct Link {
    redis: Arc<Redis>,
    channels: Channels,
    names: RoomNames,
    interest: Interest,
    outgoing: mpsc::Sender<(String, Vec<u8>)>,
    drops: Drops,
}

/// What waits to go out, for [`Link::run`].
pub struct Outgoing(mpsc::Receiver<(String, Vec<u8>)>);

impl Link {
    /// A link that is idle until it runs.
    pub fn new(redis: Arc<Redis>, config: &config::Emitters) -> (Arc<Self>, Outgoing) {
        let (outgoing, waiting) = mpsc::channel(OUTGOING);
        let link = Self {
            redis,
            channels: Channels::new(&config.key),
            names: names(config),
            interest: Interest::new(control_channels(config)),
            outgoing,
            drops: Drops::default(),
        };
        (Arc::new(link), Outgoing(waiting))
    }

    /// The channel on which other backends emit to that topic's room alone.
    fn channel(&self, topic: &Topic) -> Option<String> {
        let room = match topic {
            Topic::User(id) => self.names.user(id),
            Topic::Conversation(id) => self.names.conversation(id),
            Topic::Room(name) => name.to_string(),
            Topic::Online => return None,
        };
        Some(self.channels.room(&room))
    }

    /// Takes in and sends out, until `stop`.
    pub async fn run(&self, gate: Gate, outgoing: Outgoing, stop: CancellationToken) {
        let all = async {
            tokio::join!(self.receive(&gate), self.subscribe(), self.send(outgoing.0));
        };
        stop.run_until_cancelled(all).await;
    }

    async fn receive(&self, gate: &Gate) {
        let mut messages = self.redis.subscriber().messages();
        loop {
            match messages.recv().await {
                Ok(message) => {
                    if let Some(payload) = message.value.into_bytes() {
                        gate.take(&message.channel, &payload);
                    }
                }
                Err(RecvError::Lagged(_)) => self.drops.note(Dropped::Behind, "all"),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn subscribe(&self) {
        let mut state = self.redis.subscriber().watch();
        let mut epoch = 0;
        loop {
            let now = *state.borrow_and_update();
            if !now.up {
                if state.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if now.epoch != epoch {
                epoch = now.epoch;
                self.interest.lost();
            }
            let step = self.interest.step();
            match self.take(&step).await {
                Ok(()) => self.interest.done(step),
                Err(e) => {
                    tracing::debug!(error = %e, "cannot listen to other backends, trying again");
                    self.interest.failed(step);
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            tokio::select! {
                () = self.interest.changed() => {}
                changed = state.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn take(&self, step: &Step) -> Result<(), Unavailable> {
        let client = self.redis.subscriber().client()?;
        for channels in step.add.chunks(CHANNELS) {
            let asked = client.subscribe(channels.to_vec());
            asked.await.map_err(unavailable)?;
        }
        for channels in step.remove.chunks(CHANNELS) {
            let asked = client.unsubscribe(channels.to_vec());
            asked.await.map_err(unavailable)?;
        }
        Ok(())
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
    async fn publish(&self, envelope: &Envelope) -> Result<(), Unavailable> {
        self.bus.publish(envelope).await
    }

    async fn subscribe(&self, topic: Topic) -> Result<(), Unavailable> {
        let patience = match self.link.redis.subscriber().is_up() {
            true => self.link.redis.timeout(),
            false => Duration::ZERO,
        };
        let channel = self.link.channel(&topic);
        let others = async {
            if let Some(channel) = &channel {
                self.link.interest.want(channel.clone(), patience).await;
            }
        };
        let (own, ()) = tokio::join!(self.bus.subscribe(topic), others);
        if own.is_err()
            && let Some(channel) = &channel
        {
            self.link.interest.unwant(channel);
        }
        own
    }

    fn unsubscribe(&self, topic: Topic) {
        if let Some(channel) = self.link.channel(&topic) {
            self.link.interest.unwant(&channel);
        }
        self.bus.unsubscribe(topic);
    }

    fn is_alone(&self) -> bool {
        self.bus.is_alone()
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        self.bus.ping().await
    }
}
