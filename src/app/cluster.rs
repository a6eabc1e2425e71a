//! Alone, or one of several nodes: the way to the others.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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

/// How long a stop waits at most for what is still to be said to the others.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the other nodes, if there can be any.
pub(super) struct Cluster {
    /// The way to publish to them.
    pub(super) bus: Arc<dyn Bus>,
    /// Who is connected, there or here.
    pub(super) presence: Arc<dyn Presence>,
    shared: Option<Shared>,
}

struct Shared {
    redis: Arc<Redis>,
    bus: Arc<RedisBus>,
    presence: Arc<RedisPresence>,
    /// Other backends, as far as they are wanted.
    emitters: Option<Emitters>,
}

impl Cluster {
    /// As the configuration has it; nothing is connected.
    pub(super) fn of(config: &Config) -> Result<Self, StartError> {
        if !config.redis.is_set() {
            return Ok(Self {
                bus: Arc::new(MemoryBus),
                presence: Arc::new(MemoryPresence::default()),
                shared: None,
            });
        }
        let redis = Arc::new(Redis::new(&config.redis)?);
        let bus = Arc::new(RedisBus::new(redis.clone()));
        let times = PresenceTimes {
            grace: config.chat.presence_grace,
            heartbeat: config.chat.presence_heartbeat,
        };
        let presence = RedisPresence::new(redis.clone(), times);
        Ok(Self {
            bus: bus.clone(),
            presence: presence.clone(),
            shared: Some(Shared {
                redis,
                bus,
                presence,
                emitters: None,
            }),
        })
    }

    /// With other backends beside the nodes, as far as they are wanted.
    pub(super) fn with_emitters(mut self, config: &Config, dialects: &Dialects) -> Self {
        if let Some(shared) = &mut self.shared {
            (self.bus, shared.emitters) = Emitters::join(config, dialects, &shared.bus);
        }
        self
    }

    /// Connects, and from then on hands `local` what they publish. A Redis that is down keeps no node
    /// from starting.
    pub(super) async fn connect(self, local: Arc<dyn Local>, hub: &Arc<Hub>) -> Connected {
        let (end, tending) = (CancellationToken::new(), CancellationToken::new());
        let mut connected = Connected {
            end: end.clone(),
            tending: tending.clone(),
            presence: self.presence,
            work: None,
        };
        let Some(Shared {
            redis,
            bus,
            presence,
            emitters,
        }) = self.shared
        else {
            tracing::info!("this node runs alone: redis.url is not set");
            return connected;
        };
        if let Some(emitters) = emitters {
            emitters.open(hub);
        }
        let (tended, talking) = (presence.clone(), bus.clone());
        connected.work = Some(tokio::spawn(async move {
            let gone = CancellationToken::new();
            let talk = async {
                talking.run(local, end).await;
                gone.cancel();
            };
            let tend = tending.run_until_cancelled(tended.run());
            tokio::join!(talk, redis.keep(gone.clone()), tend);
        }));
        // Whoever sends clients or emits here once the node is ready finds it listening.
        tokio::join!(presence.begin(), bus.subscriber().whole());
        connected
    }
}

/// A connected cluster.
pub(super) struct Connected {
    end: CancellationToken,
    tending: CancellationToken,
    presence: Arc<dyn Presence>,
    work: Option<JoinHandle<()>>,
}

impl Connected {
    /// Hands presence over to the others, publishes what still waits, and disconnects.
    pub(super) async fn close(self) {
        self.tending.cancel();
        // However this ends.
        let end = self.end.drop_guard();
        let closing = async {
            self.presence.close().await;
            drop(end);
            if let Some(work) = self.work {
                // Whether it ended by itself or by a panic, there is nothing left to wait for.
                let _ = work.await;
            }
        };
        if tokio::time::timeout(PATIENCE, closing).await.is_err() {
            tracing::warn!("not everything could be published before the stop");
        }
    }
}
