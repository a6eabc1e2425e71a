//! Connections to Redis: made by the configuration, watched, and mended.
//!
//! A node has two: one for commands, one that is subscribed. Each is driven by a task of its own
//! ([`Redis::keep`]) and always answers at once whether it works. What waits for Redis never waits
//! longer than `redis.command_timeout_ms`; what is sent while a connection is down fails at once and
//! is not kept, so that nothing stale reaches Redis when it is back.
//!
//! Redis 6 or newer is needed (RESP3: <https://redis.io/docs/latest/develop/reference/protocol-spec/>),
//! and 7 for a Redis Cluster.

mod link;
mod settings;

use std::time::Duration;

use fred::{
    interfaces::KeysInterface,
    types::{Expiration, Value},
};
use tokio_util::sync::CancellationToken;

pub use link::{Connection, Link};
pub use settings::SettingsError;

use crate::{chat::Unavailable, config};

/// How long the key of [`Redis::check`] stays.
const PROBE_TTL_S: i64 = 60;

/// A node's way to Redis.
pub struct Redis {
    commands: Connection,
    subscriber: Connection,
    prefix: Box<str>,
    clustered: bool,
    timeout: Duration,
}

impl Redis {
    /// What the configuration describes; not connected until [`Redis::keep`] runs.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: &config::Redis) -> Result<Self, SettingsError> {
        let connection = |name| -> Result<_, SettingsError> {
            let client = settings::client(config)?;
            Ok(Connection::new(name, client, config.command_timeout))
        };
        Ok(Self {
            commands: connection("commands")?,
            subscriber: connection("subscriber")?,
            prefix: config.prefix.as_str().into(),
            clustered: config.cluster,
            timeout: config.command_timeout,
        })
    }

    /// Connects, and mends what breaks, until `stop`.
    pub async fn keep(&self, stop: CancellationToken) {
        tokio::join!(
            self.commands.keep(stop.clone()),
            self.subscriber.keep(stop.clone())
        );
    }

    /// The connection for commands, shared by all who have some: commands of several callers are
    /// on their way at the same time, those of one in their order.
    pub fn commands(&self) -> &Connection {
        &self.commands
    }

    /// The connection that is subscribed. It belongs to the bus.
    pub fn subscriber(&self) -> &Connection {
        &self.subscriber
    }

    /// What the names of all keys and channels begin with; a colon follows it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether this is a Redis Cluster: keys that one command or script names must share a hash
    /// tag, and pub/sub is sharded.
    pub fn is_clustered(&self) -> bool {
        self.clustered
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether both connections work and Redis takes writes: a server that is full, a replica, or
    /// has trouble with its disk answers, but refuses them.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn check(&self) -> Result<(), Unavailable> {
        self.subscriber.client()?;
        let client = self.commands.client()?;
        let key = format!("{}:probe", self.prefix);
        let expire = Some(Expiration::EX(PROBE_TTL_S));
        client
            .set::<Value, _, _>(key, 1, expire, None, false)
            .await
            .map(drop)
            .map_err(unavailable)
    }
}

/// An error of Redis or of the way there, as ports tell it.
pub fn unavailable(error: fred::error::Error) -> Unavailable {
    Unavailable {
        what: "redis",
        source: Box::new(error),
    }
}
