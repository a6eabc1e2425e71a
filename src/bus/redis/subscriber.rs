//! The node's one subscription to Redis: channels come and go, and what they bring is handed to
//! whoever registered for them.
//!
//! One connection for all, so that what one publisher says on several channels arrives in its
//! order. On a Redis Cluster the gateway's own channels are sharded (`SSUBSCRIBE`:
//! <https://redis.io/docs/latest/develop/pubsub/#sharded-pubsub>), so that a message goes to the
//! nodes of Redis that have listeners only. Others' channels are plain there, and subscribed at one
//! node, to which everything that is published at any comes: at two it would be heard twice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fred::{
    error::Error,
    interfaces::PubsubInterface,
    types::{Key, Message},
};
use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast, oneshot, watch};
use uuid::Uuid;

use super::{Channel, interest::Interest};
use crate::{
    chat::Unavailable,
    redis::{Redis, unavailable},
    telemetry,
};

/// How long a channel that nobody wants stays subscribed: who reloads a page is back sooner. At least
/// as long as a command may take, and this more: what was published when the channel was still wanted
/// has been handled by then ([`Subscriber::own`]), or has failed.
const LINGER: Duration = Duration::from_secs(2);
const MARGIN: Duration = Duration::from_millis(100);
/// Channels asked for at once.
const BATCH: usize = 256;
/// Time before channels that Redis refused are asked for again.
const RETRY: Duration = Duration::from_millis(500);

/// Who hears what channels bring. Never blocks.
pub trait Listener: Send + Sync + 'static {
    /// Something was published, by this node or another.
    fn heard(&self, channel: &str, payload: &[u8]);

    /// Everything is subscribed, and was not before: what was published meanwhile is lost.
    fn missed(&self);
}

/// See the module.
pub struct Subscriber {
    redis: Arc<Redis>,
    node: Uuid,
    interest: Mutex<Interest>,
    wake: Notify,
    /// The epoch of the connection on which everything has been subscribed.
    whole: watch::Sender<Option<u64>>,
    listeners: RwLock<Vec<Registered>>,
}

struct Registered {
    prefix: Box<str>,
    listener: Arc<dyn Listener>,
}

impl Subscriber {
    pub(super) fn new(redis: Arc<Redis>, node: Uuid) -> Self {
        Self {
            interest: Mutex::new(Interest::new(LINGER.max(redis.timeout() + MARGIN))),
            redis,
            node,
            wake: Notify::new(),
            whole: watch::Sender::new(None),
            listeners: RwLock::default(),
        }
    }

    /// From now on the listener hears every channel whose name begins so, once this node subscribes
    /// to it.
    pub fn listen(&self, prefix: &str, listener: Arc<dyn Listener>) {
        let prefix = prefix.into();
        self.listeners.write().push(Registered { prefix, listener });
    }

    /// Subscribes to a channel without waiting for it. Counted: each call is undone by one
    /// [`Subscriber::unsubscribe`].
    pub fn want(&self, channel: Channel) -> Option<oneshot::Receiver<()>> {
        let confirmed = self.interest.lock().add(channel)?;
        self.wake.notify_one();
        Some(confirmed)
    }

    /// As [`Subscriber::want`]. When it returns, Redis has confirmed it, or cannot now and will be
    /// asked as soon as it is back.
    pub async fn subscribe(&self, channel: Channel) {
        let Some(confirmed) = self.want(channel) else {
            return;
        };
        if self.redis.subscriber().is_up() {
            // Whoever asks Redis tells when there is nothing to wait for.
            let _ = tokio::time::timeout(self.redis.timeout(), confirmed).await;
        }
    }

    /// Gives a channel up. It stays subscribed for a moment.
    pub fn unsubscribe(&self, channel: &Channel) {
        if self.interest.lock().remove(channel, Instant::now()) {
            self.wake.notify_one();
        }
    }

    /// Whether everything is subscribed that was wanted when Redis was last away.
    pub fn is_whole(&self) -> bool {
        let link = *self.redis.subscriber().watch().borrow();
        link.up && *self.whole.borrow() == Some(link.epoch)
    }

    /// Waits until [`Subscriber::is_whole`], though not longer than an answer may take.
    pub async fn whole(&self) {
        let mut whole = self.whole.subscribe();
        // It is not dropped before this ends.
        let _ = tokio::time::timeout(self.redis.timeout(), whole.wait_for(Option::is_some)).await;
    }

    /// For each of these channels whether this node listens to it now, and the channel whose
    /// subscribers tell whether that still holds: while it has one, the connection lives on which all
    /// of them are subscribed. `None`: nothing is certain.
    pub(super) fn own(&self, channels: &[Channel]) -> Option<(Channel, Vec<bool>)> {
        self.interest.lock().own(channels)
    }

    /// Subscribes and hears, for ever; the caller ends it by dropping the future.
    pub(super) async fn run(&self) {
        let messages = self.redis.subscriber().messages();
        tokio::join!(self.hear(messages), self.work());
    }

    async fn hear(&self, mut messages: broadcast::Receiver<Message>) {
        loop {
            match messages.recv().await {
                Ok(message) => self.hand_on(&message),
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    metrics::counter!(telemetry::BUS_DROPPED_TOTAL, "reason" => "overrun")
                        .increment(count);
                    tracing::warn!(
                        count,
                        "more came from other nodes than this one could handle"
                    );
                    self.tell_missed();
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn hand_on(&self, message: &Message) {
        let channel: &str = &message.channel;
        let payload = message.value.as_bytes().unwrap_or_default();
        for Registered { prefix, listener } in self.listeners.read().iter() {
            if channel.starts_with(&**prefix) {
                listener.heard(channel, payload);
            }
        }
    }

    fn tell_missed(&self) {
        for registered in self.listeners.read().iter() {
            registered.listener.missed();
        }
    }

    /// The channel that is subscribed on the connection of this number alone. A Redis Cluster has
    /// several connections, and nothing asks it for one.
    fn witness(&self, epoch: u64) -> Option<Channel> {
        let name = || format!("{}:w:{}:{epoch}", self.redis.prefix(), self.node);
        (!self.redis.is_clustered()).then(|| Channel::own(name()))
    }

    /// Brings Redis to what is wanted: one step after the other, so that a subscription never
    /// overtakes the end of an earlier one.
    async fn work(&self) {
        let mut link = self.redis.subscriber().watch();
        let mut epoch = 0;
        loop {
            let now = *link.borrow_and_update();
            if now.epoch != epoch {
                epoch = now.epoch;
                self.whole.send_replace(None);
                let witness = self.witness(epoch);
                self.interest.lock().forget(witness);
            }
            if now.up {
                match self.step().await {
                    Ok(true) => continue,
                    Ok(false) => {
                        if self.whole.send_replace(Some(epoch)).is_none() {
                            self.tell_missed();
                        }
                    }
                    Err(e) => {
                        let cause = e.source.to_string();
                        tracing::warn!(cause, "Redis does not confirm subscriptions, trying again");
                        self.whole.send_replace(None);
                        self.interest.lock().let_go();
                        let _ = tokio::time::timeout(RETRY, link.changed()).await;
                        continue;
                    }
                }
            } else {
                self.interest.lock().let_go();
            }
            let idle = self.interest.lock().next_idle().filter(|_| now.up);
            tokio::select! {
                changed = link.changed() => if changed.is_err() { return },
                () = self.wake.notified() => {}
                () = at(idle) => {}
            }
        }
    }

    /// Ends what nobody wants, asks for what is missing. `false`: there is nothing to do.
    async fn step(&self) -> Result<bool, Unavailable> {
        let (idle, missing) = {
            let mut interest = self.interest.lock();
            let idle = interest.take_idle(Instant::now(), BATCH);
            let missing = interest.take_missing(BATCH);
            metrics::gauge!(telemetry::BUS_SUBSCRIPTIONS).set(interest.len() as f64);
            (idle, missing)
        };
        if !idle.is_empty()
            && let Err(e) = self.end(&idle).await
        {
            self.interest.lock().put_back(missing);
            return Err(e);
        }
        if missing.is_empty() {
            return Ok(!idle.is_empty());
        }
        match self.ask(&missing).await {
            Ok(()) => self.interest.lock().confirm(&missing),
            Err(e) => {
                self.interest.lock().put_back(missing);
                return Err(e);
            }
        }
        Ok(true)
    }

    async fn ask(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        let client = self.redis.subscriber().client()?;
        let (sharded, plain) = self.split(channels);
        if !plain.is_empty() {
            let node = self.redis.subscriber().one_node()?;
            node.subscribe(plain).await.map_err(unavailable)?;
            // That was sent; the answer to a question behind it tells that it was done.
            self.redis.subscriber().round_trip().await?;
        }
        all(sharded.into_iter().map(|name| client.ssubscribe(name))).await
    }

    async fn end(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        let client = self.redis.subscriber().client()?;
        let (sharded, plain) = self.split(channels);
        if !plain.is_empty() {
            let node = self.redis.subscriber().one_node()?;
            node.unsubscribe(plain).await.map_err(unavailable)?;
        }
        all(sharded.into_iter().map(|name| client.sunsubscribe(name))).await
    }

    /// The names of sharded channels and of the others.
    fn split(&self, channels: &[Channel]) -> (Vec<Key>, Vec<Key>) {
        let (mut sharded, mut plain) = (Vec::new(), Vec::new());
        for channel in channels {
            let names = match channel.is_sharded(&self.redis) {
                true => &mut sharded,
                false => &mut plain,
            };
            names.push(Key::from(channel.name()));
        }
        (sharded, plain)
    }
}

/// fred takes the answers to one command for several sharded channels for those of other commands;
/// many commands are on their way at once instead.
async fn all(
    commands: impl Iterator<Item = impl Future<Output = Result<(), Error>>>,
) -> Result<(), Unavailable> {
    let done = join_all(commands).await;
    done.into_iter()
        .collect::<Result<(), _>>()
        .map_err(unavailable)
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
