//! Presence: the port's conformance suite, which every implementation runs, and what several nodes
//! on one Redis do.

mod cluster;
mod conformance;
mod outages;
mod slots;

use std::{sync::Arc, time::Duration};

use fred::{clients::Client, prelude::*};
use porchlight::{
    chat::{DeviceId, Presence, PresenceChange, PresenceInfo, UserId},
    presence::{PresenceTimes, RedisPresence},
};
use tokio::task::JoinHandle;

use crate::support::redis::RedisServer;

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

/// Connects to a server.
async fn connect(server: &RedisServer) -> Client {
    let config = Config::from_url(&server.url()).unwrap();
    let mut builder = Builder::from_config(config);
    builder.with_performance_config(|c| c.default_command_timeout = Duration::from_secs(1));
    builder.set_policy(ReconnectPolicy::new_constant(0, 50));
    let client = builder.build().unwrap();
    client.init().await.unwrap();
    client
}

/// A node's presence, with what it does all the time.
struct NodePresence {
    presence: Arc<RedisPresence>,
    running: Option<JoinHandle<()>>,
}

impl NodePresence {
    async fn start(server: &RedisServer) -> Self {
        Self::over(connect(server).await).await
    }

    async fn over(client: Client) -> Self {
        let presence = RedisPresence::new(client, "test", TIMES);
        presence.begin().await;
        let mut node = Self {
            presence,
            running: None,
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
