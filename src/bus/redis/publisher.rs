//! What this node tells the others: one queue, sent in its order, many at a time.
//!
//! Most participants of a conversation are connected to this node alone, or not at all: a message to
//! a group of fifty would be published to fifty channels for nobody, and Redis would send each copy
//! back to the only subscriber, this node. So what has several channels is published by a script
//! (`publish.lua`) that leaves out those without another subscriber. It is told to which this node
//! listens, and a channel that is subscribed on the very connection on which these are: where that has
//! no subscriber any more, what the node believes is out of date, and nothing is left out.
//!
//! On a Redis Cluster the channels are on different servers, and each is published to by itself.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{
    clients::{Client, Pipeline},
    error::Error,
    interfaces::{ClientLike, PubsubInterface},
    types::{ClusterHash, CustomCommand, Value},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Channel, subscriber::Subscriber};
use crate::{
    chat::{Publishing, Unavailable},
    redis::{Redis, unavailable},
    telemetry,
};

/// Publications that may wait to be sent. Messages that find no room are left to the outbox.
const QUEUE: usize = 16_384;
/// Publications taken from the queue at once.
const BATCH: usize = 256;
/// Messages sent before their answers are waited for.
const AT_ONCE: usize = 4096;
/// Channels that one call of the script names at most: Lua passes on no more than 8,000 arguments.
const PER_SCRIPT: usize = 1000;
/// Arguments: the payload; the channel that vouches for the node's subscriptions; for each channel `1`
/// if the node listens to it, `0` if not; the channels. Sent as a text each time: were it called by
/// its hash, a server that has forgotten it would publish some of a batch and not the rest.
const SCRIPT: &str = include_str!("publish.lua");
/// Publications kept for a Redis that is down, at most; the oldest go first.
const KEPT: usize = 10_000;
/// What was kept is sent when Redis is back, and again after this: other nodes need a moment to
/// come back, too. What is kept may be said twice.
const ONCE_MORE: Duration = Duration::from_secs(5);

struct Publication {
    channels: Vec<Channel>,
    payload: Bytes,
    /// Whether it is kept while Redis is down.
    keep: bool,
    done: Option<oneshot::Sender<Result<(), Unavailable>>>,
}

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("there is no connection")]
    Down,
    #[error("more waits to be published than may")]
    Full,
    #[error("this node stops")]
    Stopping,
}

impl From<Why> for Unavailable {
    fn from(why: Why) -> Self {
        Self {
            what: "redis",
            source: Box::new(why),
        }
    }
}

/// See the module.
pub struct Publisher {
    redis: Arc<Redis>,
    subscriber: Arc<Subscriber>,
    queue: mpsc::Sender<Publication>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Publication>>,
}

impl Publisher {
    pub(super) fn new(redis: Arc<Redis>, subscriber: Arc<Subscriber>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self {
            redis,
            subscriber,
            queue,
            waiting: tokio::sync::Mutex::new(waiting),
        }
    }

    /// Publishes to these channels, in the order of the calls. While Redis is down it fails at
    /// once, or, where `keep` is set, is sent when Redis is back.
    pub fn publish(&self, channels: Vec<Channel>, payload: Bytes, keep: bool) -> Publishing {
        let count = channels.len() as u64;
        let refused = |why: Why| -> Publishing {
            metrics::counter!(telemetry::BUS_UNPUBLISHED_TOTAL).increment(count);
            Box::pin(std::future::ready(Err(why.into())))
        };
        if !keep && !self.redis.commands().is_up() {
            return refused(Why::Down);
        }
        let (done, end) = oneshot::channel();
        let publication = Publication {
            channels,
            payload,
            keep,
            done: Some(done),
        };
        match self.queue.try_send(publication) {
            Ok(()) => Box::pin(async { end.await.unwrap_or_else(|_| Err(Why::Stopping.into())) }),
            Err(mpsc::error::TrySendError::Full(_)) => refused(Why::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => refused(Why::Stopping),
        }
    }

    /// Sends what is published until `stop`, and then what still waits.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let mut link = self.redis.commands().watch();
        let mut kept = VecDeque::new();
        let mut again_at: Option<Instant> = None;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let again = async {
                match again_at {
                    Some(time) => tokio::time::sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = waiting.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = stop.cancelled() => waiting.close(),
                changed = link.changed(), if !kept.is_empty() => {
                    if changed.is_ok() && link.borrow().up {
                        self.send_kept(&kept).await;
                        again_at = Some(Instant::now() + ONCE_MORE);
                    }
                }
                () = again => {
                    again_at = None;
                    if link.borrow().up {
                        self.send_kept(&kept).await;
                        kept.clear();
                    }
                }
            }
            for publication in self.send(std::mem::take(&mut batch)).await {
                if kept.len() >= KEPT {
                    kept.pop_front();
                }
                kept.push_back(publication);
                if link.borrow().up {
                    again_at = Some(Instant::now() + ONCE_MORE);
                }
            }
        }
    }

    async fn send_kept(&self, kept: &VecDeque<Publication>) {
        let again = kept.iter().map(|p| Publication {
            channels: p.channels.clone(),
            payload: p.payload.clone(),
            keep: false,
            done: None,
        });
        self.send(again.collect()).await;
    }

    /// Sends these. What is to be kept and could not be sent is returned.
    async fn send(&self, batch: Vec<Publication>) -> Vec<Publication> {
        let mut kept = Vec::new();
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let mut some = Vec::new();
            let mut messages = 0;
            while messages < AT_ONCE
                && let Some(publication) = batch.next()
            {
                messages += publication.channels.len();
                some.push(publication);
            }
            let results = self.send_some(&some).await;
            for (mut publication, failed) in some.into_iter().zip(results) {
                let count = publication.channels.len() as u64;
                let counter = match failed {
                    None => telemetry::BUS_PUBLISHED_TOTAL,
                    Some(_) => telemetry::BUS_UNPUBLISHED_TOTAL,
                };
                metrics::counter!(counter).increment(count);
                let keep = publication.keep && failed.is_some();
                if let Some(done) = publication.done.take() {
                    // Most do not wait for the end.
                    let _ = done.send(failed.map_or(Ok(()), Err));
                }
                if keep {
                    kept.push(publication);
                }
            }
        }
        kept
    }

    /// For each publication why it failed, if it did.
    async fn send_some(&self, some: &[Publication]) -> Vec<Option<Unavailable>> {
        let all = |why: &dyn Fn() -> Unavailable| some.iter().map(|_| Some(why())).collect();
        let client = match self.redis.commands().client() {
            Ok(client) => client,
            Err(_) => return all(&|| Why::Down.into()),
        };
        let pipeline = client.pipeline();
        let mut counts = Vec::with_capacity(some.len());
        for publication in some {
            match self.queue_one(&pipeline, publication).await {
                Ok(count) => counts.push(count),
                Err(e) => return all(&|| unavailable(e.clone())),
            }
        }
        let results = pipeline.try_all::<Value>().await;
        if results.len() != counts.iter().sum::<usize>() {
            return all(&|| Why::Down.into());
        }
        let mut results = results.into_iter();
        let mut failed = |count| results.by_ref().take(count).filter_map(Result::err).last();
        let failures = counts
            .into_iter()
            .map(|count| failed(count).map(unavailable));
        failures.collect()
    }

    /// Adds a publication's commands, and returns how many they are.
    async fn queue_one(
        &self,
        pipeline: &Pipeline<Client>,
        publication: &Publication,
    ) -> Result<usize, Error> {
        let payload = || Value::Bytes(publication.payload.clone());
        let channels = &publication.channels;
        if channels.len() > 1 && !self.redis.is_clustered() {
            for some in channels.chunks(PER_SCRIPT) {
                let arguments = self.arguments(payload(), some);
                let eval = CustomCommand::new_static("EVAL", ClusterHash::Random, false);
                let () = pipeline.custom(eval, arguments).await?;
            }
            return Ok(channels.chunks(PER_SCRIPT).len());
        }
        for channel in channels {
            let () = match channel.is_sharded(&self.redis) {
                true => pipeline.spublish(channel.name(), payload()).await?,
                false => pipeline.publish(channel.name(), payload()).await?,
            };
        }
        Ok(channels.len())
    }

    /// What `EVAL` is told: the script, that it names no keys, its arguments.
    fn arguments(&self, payload: Value, channels: &[Channel]) -> Vec<Value> {
        let (witness, own) = match self.subscriber.own(channels) {
            Some((witness, own)) => {
                let flags = own.into_iter().map(|own| if own { '1' } else { '0' });
                (witness.name().into(), flags.collect::<String>())
            }
            // Nobody subscribes to a channel without a name: then no flag is looked at.
            None => (Value::from_static_str(""), String::new()),
        };
        let names = channels.iter().map(|channel| Value::from(channel.name()));
        let head = [SCRIPT.into(), "0".into(), payload, witness, own.into()];
        head.into_iter().chain(names).collect()
    }
}
