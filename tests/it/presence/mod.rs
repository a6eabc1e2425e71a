//! Presence: the port's conformance suite, which every implementation runs, and what several nodes
//! on one Redis do.

mod cluster;
mod conformance;
mod outages;
mod slots;

use std::{sync::Arc, time::Duration};

use porchlight::{
    chat::{DeviceId, Presence, PresenceChange, PresenceInfo, UserId},
    config::{self, Sources},
    presence::{PresenceTimes, RedisPresence},
    redis::Redis,
};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::redis::Server;

/// Short, so that tests are; long enough for a busy machine.
const TIMES: PresenceTimes = PresenceTimes {
    grace: Duration::from_millis(300),
    heartbeat: Duration::from_millis(100),
};

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

/// How a user is.
async fn seen(presence: &dyn Presence, user: &UserId) -> PresenceInfo {
    let users = std::slice::from_ref(user);
    presence.get(users).await.unwrap().remove(0)
}

/// The way to a Redis, by these settings in the environment's words. It ends with the guard.
fn connect(settings: &[(&str, &str)]) -> (Arc<Redis>, DropGuard) {
    let names = settings
        .iter()
        .map(|(key, value)| (format!("PORCHLIGHT_REDIS_{key}"), (*value).to_owned()))
        .chain([
            ("DATABASE_URL".to_owned(), "postgres://db/x".to_owned()),
            ("PORCHLIGHT_REDIS_PREFIX".to_owned(), "test".to_owned()),
        ]);
    let config = config::load(&Sources::new(None, names)).unwrap().config;
    let redis = Arc::new(Redis::new(&config.redis).unwrap());
    let stop = CancellationToken::new();
    let (keeping, until) = (redis.clone(), stop.clone());
    tokio::spawn(async move { keeping.keep(until).await });
    (redis, stop.drop_guard())
}

/// A node's presence, with what it does all the time.
struct NodePresence {
    presence: Arc<RedisPresence>,
    running: Option<JoinHandle<()>>,
    _connected: DropGuard,
}

impl NodePresence {
    async fn start(server: &Server) -> Self {
        Self::with(&[("URL", &server.url())]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let (redis, connected) = connect(settings);
        let presence = RedisPresence::new(redis, TIMES);
        presence.begin().await;
        let mut node = Self {
            presence,
            running: None,
            _connected: connected,
        };
        node.revive();
        node
    }

    /// As `kill -9` or a cut cable: it does nothing any more.
    fn fall_silent(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }

    fn revive(&mut self) {
        let presence = self.presence.clone();
        self.running = Some(tokio::spawn(async move { presence.run().await }));
    }

    /// Changes that are told until none was for a while.
    async fn changes(&self) -> Vec<(UserId, PresenceChange)> {
        let quiet = (TIMES.grace + TIMES.heartbeat * 3) * 3;
        let mut all = Vec::new();
        while let Ok(some) = tokio::time::timeout(quiet, self.presence.changes()).await {
            all.extend(some);
        }
        all
    }

    async fn is_online(&self, id: &str) -> bool {
        seen(&*self.presence, &user(id)).await.online
    }
}

impl Drop for NodePresence {
    fn drop(&mut self) {
        self.fall_silent();
    }
}

/// The changes that any of these nodes told.
async fn changes_of(nodes: &[&NodePresence]) -> Vec<(UserId, PresenceChange)> {
    let all = nodes.iter().map(|node| node.changes());
    let mut all = futures_util::future::join_all(all).await.concat();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
