//! The parts that reach the other nodes: over Redis where one is configured, otherwise this node is
//! alone.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::StartError;
use crate::{
    bus::MemoryBus,
    chat::{Bus, Presence},
    config::Config,
    presence::{MemoryPresence, PresenceTimes, RedisPresence},
    redis::Redis,
};

/// The way to the other nodes.
pub(super) struct Cluster {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) presence: Arc<dyn Presence>,
    /// What presence does all the time, where it is shared.
    tended: Option<Arc<RedisPresence>>,
    /// Ends the connections to Redis, after all who need them.
    _connected: DropGuard,
}

impl Cluster {
    /// A node that is alone, whatever the configuration says.
    pub(super) fn alone() -> Self {
        Self {
            bus: Arc::new(MemoryBus),
            presence: Arc::new(MemoryPresence::default()),
            tended: None,
            _connected: CancellationToken::new().drop_guard(),
        }
    }

    /// Makes the connections that are configured. A Redis that is down does not keep a node from
    /// serving its own clients.
    pub(super) async fn join(config: &Config) -> Result<Self, StartError> {
        if !config.redis.is_set() {
            return Ok(Self::alone());
        }
        let redis = Arc::new(Redis::new(&config.redis)?);
        let end = CancellationToken::new();
        // Not tracked: the last work of those that are needs it.
        let (keeping, until) = (redis.clone(), end.clone());
        tokio::spawn(async move { keeping.keep(until).await });
        let times = PresenceTimes {
            grace: config.chat.presence_grace,
            heartbeat: config.chat.presence_heartbeat,
        };
        let presence = RedisPresence::new(redis, times);
        presence.begin().await;
        Ok(Self {
            bus: Arc::new(MemoryBus),
            presence: presence.clone(),
            tended: Some(presence),
            _connected: end.drop_guard(),
        })
    }

    /// What is done about the other nodes for as long as clients are served.
    pub(super) fn tend(&self) -> impl Future<Output = ()> + Send + 'static {
        let tended = self.tended.clone();
        async move {
            match tended {
                Some(presence) => presence.run().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Says good-bye, after everything else is done.
    pub(super) async fn leave(&self) {
        self.presence.close().await;
    }
}
