//! Alone, or one of several nodes: the way to the others.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::{
    bus::{MemoryBus, RedisBus},
    chat::{Bus, Local},
    config::Config,
    redis::Redis,
};

/// How long a stop waits for what is still to be published.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the other nodes, if there can be any.
pub(super) struct Cluster(Option<(Arc<Redis>, Arc<RedisBus>)>);

impl Cluster {
    /// As the configuration has it; nothing is connected.
    pub(super) fn of(config: &Config) -> Result<Self, StartError> {
        if !config.redis.is_set() {
            return Ok(Self(None));
        }
        let redis = Arc::new(Redis::new(&config.redis)?);
        let bus = Arc::new(RedisBus::new(redis.clone()));
        Ok(Self(Some((redis, bus))))
    }

    /// The way to publish to them.
    pub(super) fn bus(&self) -> Arc<dyn Bus> {
        match &self.0 {
            Some((_, bus)) => bus.clone(),
            None => Arc::new(MemoryBus),
        }
    }

    /// Connects, and from then on hands `local` what they publish.
    pub(super) fn connect(self, local: Arc<dyn Local>) -> Connected {
        let end = CancellationToken::new();
        let Some((redis, bus)) = self.0 else {
            tracing::info!("this node runs alone: redis.url is not set");
            return Connected { end, work: None };
        };
        let last = end.clone();
        let work = tokio::spawn(async move {
            let gone = CancellationToken::new();
            let talk = async {
                bus.run(local, last).await;
                gone.cancel();
            };
            tokio::join!(talk, redis.keep(gone.clone()));
        });
        Connected {
            end,
            work: Some(work),
        }
    }
}

/// A connected cluster.
pub(super) struct Connected {
    end: CancellationToken,
    work: Option<JoinHandle<()>>,
}

impl Connected {
    /// Publishes what still waits, and disconnects.
    pub(super) async fn close(self) {
        self.end.cancel();
        if let Some(work) = self.work
            && tokio::time::timeout(PATIENCE, work).await.is_err()
        {
            tracing::warn!("not everything could be published before the stop");
        }
    }
}
