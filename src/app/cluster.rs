//! Alone, or one of several nodes: the parts that reach the others.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{StartError, emitters::Emitters};
use crate::{
    bus::{MemoryBus, RedisBus},
    chat::{Bus, Local, Presence},
    config::Config,
    dialect::Dialects,
    presence::{MemoryPresence, PresenceTimes, RedisPresence},
    redis::Redis,
    socket::hub::Hub,
};

/// How long a stop waits for what is still to be published.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the other nodes.
pub(super) struct Cluster {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) presence: Arc<dyn Presence>,
    /// Where there can be others.
    shared: Option<Shared>,
}

struct Shared {
    bus: Arc<RedisBus>,
    presence: Arc<RedisPresence>,
    /// Other backends, as far as they are wanted.
    emitters: Option<Emitters>,
    /// Ends the connections to Redis, after all who need them.
    _connected: DropGuard,
}

impl Cluster {
    /// A node that is alone, whatever the configuration says.
    pub(super) fn alone() -> Self {
        Self {
            bus: Arc::new(MemoryBus),
            presence: Arc::new(MemoryPresence::default()),
            shared: None,
        }
    }

    /// Makes the connections that are configured. A Redis that is down does not keep a node from
    /// serving its own clients.
    pub(super) async fn join(config: &Config, dialects: &Dialects) -> Result<Self, StartError> {
        if !config.redis.is_set() {
            tracing::info!("this node runs alone: redis.url is not set");
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
        let own = Arc::new(RedisBus::new(redis.clone()));
        let (bus, emitters) = Emitters::join(config, dialects, &redis, &own);
        let presence = RedisPresence::new(redis, times);
        presence.begin().await;
        Ok(Self {
            bus,
            presence: presence.clone(),
            shared: Some(Shared {
                bus: own,
                presence,
                emitters,
                _connected: end.drop_guard(),
            }),
        })
    }

    /// What is done about the other nodes' presence for as long as clients are served.
    pub(super) fn tend(&self) -> impl Future<Output = ()> + Send + 'static {
        let presence = self.shared.as_ref().map(|shared| shared.presence.clone());
        async move {
            match presence {
                Some(presence) => presence.run().await,
                None => std::future::pending().await,
            }
        }
    }

    /// From now on hands `local` what the others publish, and them what this node does.
    /// Other backends reach the hub's connections.
    pub(super) fn talk(mut self, local: Arc<dyn Local>, hub: Arc<Hub>) -> Talking {
        let end = CancellationToken::new();
        let work = self.shared.as_mut().map(|shared| {
            let (bus, last) = (shared.bus.clone(), end.clone());
            if let Some(emitters) = shared.emitters.take() {
                tokio::spawn(emitters.run(hub, end.clone()));
            }
            tokio::spawn(async move { bus.run(local, last).await })
        });
        Talking {
            cluster: self,
            end,
            work,
        }
    }
}

/// A cluster that this node takes part in.
pub(super) struct Talking {
    cluster: Cluster,
    end: CancellationToken,
    work: Option<JoinHandle<()>>,
}

impl Talking {
    /// Publishes what still waits, says good-bye if this node's own work is done, and disconnects.
    pub(super) async fn leave(self, done: bool) {
        self.end.cancel();
        if let Some(work) = self.work
            && tokio::time::timeout(PATIENCE, work).await.is_err()
        {
            tracing::warn!("not everything could be published before the stop");
        }
        if done {
            self.cluster.presence.close().await;
        }
    }
}
