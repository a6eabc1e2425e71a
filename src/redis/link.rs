//! One connection to Redis, and whether it works.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use fred::{
    clients::{Client, WithOptions},
    error::Error,
    interfaces::{ClientLike, ClusterInterface, EventInterface, FredResult},
    types::{
        ClusterHash, CustomCommand, Value,
        cluster::ClusterRouting,
        config::{Options, Server},
    },
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::unavailable;
use crate::{chat::Unavailable, telemetry};

/// Time between two looks whether Redis answers.
const BEAT: Duration = Duration::from_secs(1);
/// Time before the next try after connecting failed for good.
const RETRY: Duration = Duration::from_millis(250);

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Whether Redis answers on it.
    pub up: bool,
    /// Since when.
    pub since: Instant,
    /// How often it has come about: another number means that it was gone in between, and that
    /// subscriptions are, too. 0: never.
    pub epoch: u64,
}

/// One connection to Redis (to each of its nodes, of a Redis Cluster).
pub struct Connection {
    name: &'static str,
    client: Client,
    timeout: Duration,
    link: watch::Sender<Link>,
    renew: Notify,
    /// Of a Redis Cluster, the node of [`Connection::one_node`].
    home: Mutex<Option<Server>>,
    /// Whether the log knows that it is down.
    told: AtomicBool,
}

/// Redis is down, or was when the connection was last looked at.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection")]
struct Down;

impl Connection {
    pub(super) fn new(name: &'static str, client: Client, timeout: Duration) -> Self {
        metrics::gauge!(telemetry::REDIS_UP, "connection" => name).set(0.0);
        Self {
            name,
            client,
            timeout,
            link: watch::Sender::new(Link {
                up: false,
                since: Instant::now(),
                epoch: 0,
            }),
            renew: Notify::new(),
            home: Mutex::new(None),
            told: AtomicBool::new(false),
        }
    }

    /// The client, for commands now. They fail after `redis.command_timeout_ms` or as soon as the
    /// connection breaks, and are not repeated.
    ///
    /// # Errors
    /// The connection is down.
    pub fn client(&self) -> Result<&Client, Unavailable> {
        if self.is_up() {
            Ok(&self.client)
        } else {
            Err(Unavailable {
                what: "redis",
                source: Box::new(Down),
            })
        }
    }

    /// The client, for what has to happen at one node of a Redis Cluster: the same one for as long
    /// as there is a connection to it.
    ///
    /// # Errors
    /// The connection is down.
    pub fn one_node(&self) -> Result<WithOptions<Client>, Unavailable> {
        let client = self.client()?;
        let cluster_node = client.is_clustered().then(|| {
            let mut nodes = client.active_connections();
            let mut home = self.home.lock();
            if !home.as_ref().is_some_and(|node| nodes.contains(node)) {
                // Not the same for all who connect.
                let any = rand::random_range(0..nodes.len().max(1));
                *home = (any < nodes.len()).then(|| nodes.swap_remove(any));
            }
            home.clone()
        });
        Ok(client.with_options(&Options {
            cluster_node: cluster_node.flatten(),
            ..Options::default()
        }))
    }

    /// Whether Redis answers.
    pub fn is_up(&self) -> bool {
        self.link.borrow().up
    }

    /// The state now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// What is published to the subscriptions of this connection, from now on. The stream lasts
    /// over reconnections.
    pub fn messages(&self) -> tokio::sync::broadcast::Receiver<fred::types::Message> {
        self.client.message_rx()
    }

    /// Gives the connection up for a new one, because what it said cannot be right.
    pub fn renew(&self) {
        self.renew.notify_one();
    }

    /// Asks every node of Redis for an answer. All that was sent on this connection before has been
    /// handled when it comes.
    ///
    /// # Errors
    /// Redis refuses, or there is no connection.
    pub async fn round_trip(&self) -> Result<(), Unavailable> {
        match tokio::time::timeout(self.timeout, self.echo()).await {
            Ok(answer) => answer.map_err(unavailable),
            Err(late) => Err(Unavailable {
                what: "redis",
                source: Box::new(late),
            }),
        }
    }

    async fn look(&self) -> FredResult<()> {
        self.echo().await?;
        if self.client.is_clustered() {
            self.follow_slots().await?;
        }
        Ok(())
    }

    /// Redis Cluster ends sharded subscriptions in silence when their slots move, and fred looks
    /// where slots are only when a command is redirected. When it has looked it says that the
    /// cluster changed.
    async fn follow_slots(&self) -> FredResult<()> {
        let told = ClusterRouting::from_cluster_slots(self.client.cluster_slots().await?, "")?;
        let known = self.client.cached_cluster_state();
        if known.is_some_and(|known| !owners(&known).eq(owners(&told))) {
            self.client.sync_cluster().await?;
        }
        Ok(())
    }

    async fn echo(&self) -> FredResult<()> {
        if !self.client.is_clustered() {
            return echo(&self.client).await;
        }
        let nodes = self.client.active_connections();
        futures_util::future::try_join_all(nodes.into_iter().map(|node| {
            let options = Options {
                cluster_node: Some(node),
                ..Options::default()
            };
            let client = self.client.with_options(&options);
            async move { echo(&client).await }
        }))
        .await
        .map(drop)
    }

    /// Connects, and mends what breaks, until `stop`.
    pub(super) async fn keep(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.run()).await;
        // Nobody waits for an answer.
        let _ = tokio::time::timeout(self.timeout, self.client.quit()).await;
    }

    async fn run(&self) {
        let mut errors = self.client.error_rx();
        let mut connected = self.client.reconnect_rx();
        let mut changed = self.client.cluster_change_rx();
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut driver = self.client.connect();
        let mut fresh = false;
        loop {
            tokio::select! {
                // Errors of an old connection before the news of the next one.
                biased;
                error = errors.recv() => {
                    if let Ok((error, _)) = error {
                        self.down(&error);
                    }
                    continue;
                }
                // The client gave up: a first try failed, or the settings are wrong.
                ended = &mut driver => {
                    if let Ok(Err(error)) = ended {
                        self.down(&error);
                    }
                    tokio::time::sleep(RETRY).await;
                    driver = self.client.connect();
                    continue;
                }
                _ = connected.recv() => fresh = true,
                _ = changed.recv() => fresh = true,
                () = self.renew.notified() => {
                    self.down(&"it was given up");
                    driver.abort();
                    driver = self.client.connect();
                    continue;
                }
                _ = beat.tick() => {}
            }
            // While the client connects there is nobody to ask; it tells when it has.
            if !self.client.is_connected() {
                continue;
            }
            match tokio::time::timeout(self.timeout, self.look()).await {
                Ok(Ok(())) => self.up(std::mem::take(&mut fresh)),
                Ok(Err(error)) => self.down(&error),
                Err(_) => {
                    self.down(&"it does not answer");
                    driver.abort();
                    driver = self.client.connect();
                }
            }
        }
    }

    fn up(&self, fresh: bool) {
        let before = *self.link.borrow();
        if before.up && !fresh {
            return;
        }
        self.told.store(false, Ordering::Relaxed);
        let connection = self.name;
        metrics::gauge!(telemetry::REDIS_UP, "connection" => connection).set(1.0);
        metrics::counter!(telemetry::REDIS_CONNECTED_TOTAL, "connection" => connection)
            .increment(1);
        if before.up {
            tracing::info!(connection, "connected to Redis anew");
        } else {
            let down_ms = before.since.elapsed().as_millis();
            tracing::info!(connection, down_ms, "connected to Redis");
        }
        self.link.send_replace(Link {
            up: true,
            since: if before.up {
                before.since
            } else {
                Instant::now()
            },
            epoch: before.epoch + 1,
        });
    }

    fn down(&self, why: &dyn fmt::Display) {
        let connection = self.name;
        if self.told.swap(true, Ordering::Relaxed) {
            tracing::debug!(connection, error = %why, "still not connected to Redis");
            return;
        }
        tracing::warn!(connection, error = %why, "not connected to Redis, trying on; this node serves its own clients");
        metrics::gauge!(telemetry::REDIS_UP, "connection" => connection).set(0.0);
        self.link.send_modify(|link| {
            *link = Link {
                up: false,
                since: Instant::now(),
                ..*link
            }
        });
    }
}

/// Which node has which slots.
fn owners(routing: &ClusterRouting) -> impl Iterator<Item = (u16, u16, &str)> {
    let ranges = routing.slots().iter();
    ranges.map(|range| (range.start, range.end, &*range.id))
}

async fn echo<C: ClientLike>(client: &C) -> FredResult<()> {
    // fred takes the refusal of a SUBSCRIBE for the answer to whatever was asked next, and that one's
    // answer for the next one's: no two questions are alike, so that none is taken for another.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let text = format!("porchlight {}", ASKED.fetch_add(1, Ordering::Relaxed));
    // PING is refused by a server that cannot write to its disk.
    let command = CustomCommand::new_static("ECHO", ClusterHash::Random, false);
    match client
        .custom::<Value, _>(command, vec![text.as_str()])
        .await?
    {
        answer if answer.as_str().as_deref() == Some(&*text) => Ok(()),
        _ => Err(Error::new(
            fred::error::ErrorKind::Protocol,
            "the answer is another command's",
        )),
    }
}
