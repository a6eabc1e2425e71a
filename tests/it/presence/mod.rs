//! Presence: the port's conformance suite, which every implementation runs, and what several nodes
//! on one Redis do.

mod cluster;
mod conformance;
mod lost;
mod outages;
mod slots;

use std::{sync::Arc, time::Duration};

use porchlight::{
    chat::{
        Absence, DeviceId, Presence, PresenceChange, PresenceInfo, PresenceNews, Status, UserId,
    },
    presence::{PresenceTimes, RedisPresence},
};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use crate::support::redis::{Server, setup::connect};

/// Short, so that tests are; long enough for a busy machine.
const TIMES: PresenceTimes = PresenceTimes {
    grace: Duration::from_millis(300),
    heartbeat: Duration::from_millis(200),
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
        let (redis, connected) = connect(&[settings, &[("PREFIX", "test")]].concat());
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

    /// Two nodes.
    async fn two(server: &Server) -> (Self, Self) {
        (Self::start(server).await, Self::start(server).await)
    }

    /// A device of a user comes here. Returns whether that is to be announced.
    async fn enter(&self, id: &str, name: &str) -> bool {
        let entered = self.presence.enter(&user(id), &device(name)).await;
        entered.unwrap()
    }

    /// A device leaves. Returns the absence if it was the last one.
    async fn leave(&self, id: &str, name: &str) -> Option<Absence> {
        let left = self.presence.leave(&user(id), &device(name)).await;
        left.unwrap()
    }

    /// The last device leaves for good. Returns whether that is to be announced.
    async fn leave_for_good(&self, id: &str, name: &str) -> bool {
        let absence = self.leave(id, name).await.expect("the last device");
        self.presence.settle(&user(id), absence).await.unwrap()
    }

    /// News until there were none for a while.
    async fn news(&self) -> Vec<PresenceNews> {
        let quiet = (TIMES.grace + TIMES.heartbeat * 3) * 3;
        let mut all = Vec::new();
        while let Ok(some) = tokio::time::timeout(quiet, self.presence.changes()).await {
            all.extend(some);
        }
        all.sort_by(|a, b| a.user.cmp(&b.user));
        all
    }

    /// Changes that are told until none was for a while, to whomever.
    async fn changes(&self) -> Vec<(UserId, PresenceChange)> {
        let news = self.news().await.into_iter();
        news.map(|news| (news.user, news.change)).collect()
    }

    async fn is_online(&self, id: &str) -> bool {
        seen(&*self.presence, &user(id)).await.online
    }

    /// Sets a status. Returns whether that is to be announced.
    async fn set_status(&self, id: &str, status: Status) -> bool {
        let set = self.presence.set_status(&user(id), status).await;
        set.unwrap()
    }

    async fn devices(&self, id: &str) -> Vec<DeviceId> {
        self.presence.devices(&user(id)).await.unwrap()
    }

    async fn online(&self) -> Vec<UserId> {
        self.presence.online(None, 1000).await.unwrap()
    }
}

fn online(id: &str) -> (UserId, PresenceChange) {
    (user(id), PresenceChange::Online)
}

fn offline(id: &str) -> (UserId, PresenceChange) {
    (user(id), PresenceChange::Offline)
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
