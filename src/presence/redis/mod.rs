//! Presence of many nodes, in Redis.
//!
//! Each decision about a user (first device in, last one out) is one script in the user's own hash
//! slot; see [`keys`] for what is kept. Each node keeps a [`mirror`] of its own users, from which it
//! answers while Redis is away, and which it tells Redis again when Redis forgot. [`tend`] says that
//! the node lives, takes over the users of nodes that do not, and settles what was left undone.
//!
//! What the node's connections were [`told`] is compared with what Redis knows whenever something may
//! have been lost: by this node, which was cut off, or by another one, which died.
//!
//! A node that was away for so long that others took it for dead goes on under another name, so that
//! those who still take its users over cannot harm it.

mod keys;
mod mirror;
mod news;
mod pages;
mod scripts;
mod tend;
mod told;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fred::{clients::Client, error::Error, prelude::*};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use self::{
    keys::{Keys, device_of},
    mirror::{Before, Mirror},
    news::Later,
    scripts::{Left, Scripts, Shown},
    told::Told,
};
use crate::{
    chat::{
        Absence, DeviceId, Presence, PresenceChange, PresenceInfo, PresenceNews, Status,
        Unavailable, UserId,
    },
    redis::{Redis, unavailable},
    telemetry,
};

/// Users in one round trip.
const BATCH: usize = 256;
/// Changes that wait to be announced.
const NEWS: usize = 4096;

/// The times that presence goes by.
#[derive(Debug, Clone, Copy)]
pub struct PresenceTimes {
    /// How long a user stays online without a device.
    pub grace: Duration,
    /// Time between two signs of life.
    pub heartbeat: Duration,
}

impl PresenceTimes {
    /// How long a node counts as alive after its last sign of life. Longer than the grace, so that
    /// the absence of a dead node's users has lasted long enough once it is noticed.
    fn life(&self) -> Duration {
        (self.heartbeat * 3).max(self.grace + self.heartbeat)
    }
}

/// Presence shared with other nodes.
pub struct RedisPresence {
    redis: Arc<Redis>,
    keys: Keys,
    scripts: Scripts,
    times: PresenceTimes,
    mirror: Mirror,
    name: Mutex<Name>,
    /// Whether Redis answers and knows all that it should.
    shared: AtomicBool,
    /// Whether the node got another name since it last told Redis of its users.
    renamed: AtomicBool,
    told: Told,
    later: Mutex<Later>,
    news: mpsc::Sender<PresenceNews>,
    changes: tokio::sync::Mutex<mpsc::Receiver<PresenceNews>>,
}

/// Under which name Redis knows the node.
#[derive(Clone)]
struct Name {
    now: Arc<str>,
    /// The name before.
    former: Option<Arc<str>>,
    /// Whether Redis was told that it lives.
    registered: bool,
}

impl RedisPresence {
    /// Presence in this Redis.
    pub fn new(redis: Arc<Redis>, times: PresenceTimes) -> Arc<Self> {
        let keys = Keys::new(redis.prefix());
        let (news, changes) = mpsc::channel(NEWS);
        let rounds = times.life().as_millis() / times.heartbeat.as_millis().max(1);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::PRESENCE_SHARED).set(0.0);
        Arc::new(Self {
            redis,
            scripts: Scripts::new(keys.clone()),
            keys,
            times,
            mirror: Mirror::default(),
            name: Mutex::new(Name {
                now: new_name(),
                former: None,
                registered: false,
            }),
            shared: AtomicBool::new(false),
            renamed: AtomicBool::new(false),
            told: Told::new(rounds.saturating_mul(2).saturating_add(16)),
            later: Mutex::default(),
            news,
            changes: tokio::sync::Mutex::new(changes),
        })
    }

    fn name(&self) -> Arc<str> {
        self.name.lock().now.clone()
    }

    /// The way to Redis, unless it is known to be away, so that nobody waits for it.
    fn client(&self) -> Option<&Client> {
        match self.redis.commands().client() {
            _ if !self.is_shared() => None,
            Ok(client) => Some(client),
            Err(e) => {
                self.alone(&e);
                None
            }
        }
    }

    /// What Redis answers, if it does.
    async fn ask<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Option<T> {
        match answered(asked).await {
            Ok(answer) => Some(answer),
            Err(e) => {
                self.alone(&e);
                None
            }
        }
    }

    fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    fn alone(&self, failure: &Unavailable) {
        if self.shared.swap(false, Ordering::AcqRel) {
            metrics::gauge!(telemetry::PRESENCE_SHARED).set(0.0);
            let cause: &dyn std::error::Error = &*failure.source;
            tracing::warn!(
                cause,
                "presence is not shared: this node knows its own users only"
            );
        }
    }

    fn together(&self) {
        if !self.shared.swap(true, Ordering::AcqRel) {
            metrics::gauge!(telemetry::PRESENCE_SHARED).set(1.0);
            tracing::info!("presence is shared");
        }
    }

    /// Redis could not be told of a device. Returns whether the user is announced.
    fn entered_alone(&self, user: &UserId) -> bool {
        let newly = self.mirror.entered_alone(user);
        if newly {
            self.told.note(user, true);
        }
        newly
    }

    /// Those users' statuses, `None` of those who are not announced.
    async fn statuses(&self, users: &[UserId]) -> Option<Vec<Option<Status>>> {
        let redis = self.client()?;
        let mut found = Vec::with_capacity(users.len());
        for some in users.chunks(BATCH) {
            let asked = async {
                let pipeline = redis.pipeline();
                for user in some {
                    let fields = vec!["s", "v"];
                    let () = pipeline.hmget(self.keys.announced(user), fields).await?;
                }
                pipeline.all::<Vec<(Option<String>, Option<u64>)>>().await
            };
            let answer = self.ask(asked).await?;
            for (user, (status, at)) in some.iter().zip(answer) {
                let status = status.as_deref().and_then(Status::parse);
                if let (Some(status), Some(at)) = (status, at) {
                    self.mirror.shows(user, Shown { status, at });
                }
                found.push(status);
            }
        }
        Some(found)
    }
}

fn new_name() -> Arc<str> {
    DeviceId::generate().as_str().into()
}

/// What Redis answers.
async fn answered<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Unavailable> {
    asked.await.map_err(unavailable)
}

#[async_trait]
impl Presence for RedisPresence {
    async fn enter(&self, user: &UserId, device: &DeviceId) -> Result<bool, Unavailable> {
        let before = self.mirror.enter(user, device);
        let first = before == Before::Nothing;
        let Some(redis) = self.client() else {
            return Ok(self.entered_alone(user));
        };
        let name = self.name();
        // The node's set is told first: whoever is in a user's set is found when the node dies.
        let listed = async {
            match first {
                true => self.list(redis, &name, std::slice::from_ref(user)).await,
                false => Ok(()),
            }
        };
        let devices = std::slice::from_ref(device);
        let assert = self
            .scripts
            .assert(redis, user, &name, devices, Shown::default());
        let asked = async { tokio::try_join!(listed, assert) };
        let Some(((), found)) = self.ask(asked).await else {
            return Ok(self.entered_alone(user));
        };
        self.mirror.entered(user, &found);
        if first && Arc::ptr_eq(&name, &self.name()) {
            self.mirror.is_asserted(user);
        }
        if !found.newly {
            return Ok(false);
        }
        match before {
            Before::Nothing | Before::Unannounced => {
                self.told.note(user, true);
                return Ok(true);
            }
            // Redis forgot it, or others took this node for dead.
            Before::Known if !self.was_reaped().await.unwrap_or(false) => {}
            Before::Known | Before::Announced => self.tell(user, PresenceChange::Online).await,
        }
        Ok(false)
    }

    async fn leave(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<Option<Absence>, Unavailable> {
        let last = self.mirror.leave(user, device);
        let left = match self.client() {
            Some(redis) => {
                let name = self.name();
                self.ask(self.scripts.leave(redis, user, &name, device))
                    .await
            }
            None => None,
        };
        let Some(left) = left else {
            let absence = self.mirror.left_alone(user, device, last);
            return Ok(absence.map(Absence));
        };
        self.mirror.left(user, left);
        Ok(match left {
            Left::Last(absence) => Some(Absence(absence)),
            Left::Others | Left::Unknown => None,
        })
    }

    async fn settle(&self, user: &UserId, absence: Absence) -> Result<bool, Unavailable> {
        let ended = match self.client() {
            Some(redis) => self.ask(self.scripts.settle(redis, user, absence.0)).await,
            None => None,
        };
        let ended = match ended {
            Some(ended) => {
                self.mirror.settled(user, ended);
                ended
            }
            None => self.mirror.settled_alone(user, absence.0),
        };
        if ended {
            self.told.note(user, false);
        }
        Ok(ended)
    }

    async fn set_status(&self, user: &UserId, status: Status) -> Result<bool, Unavailable> {
        let set = match self.client() {
            Some(redis) => self.ask(self.scripts.set_status(redis, user, status)).await,
            None => None,
        };
        match set {
            Some(shown) => {
                if let Some(shown) = shown {
                    self.mirror.shows(user, shown);
                }
                Ok(shown.is_some())
            }
            None => Ok(self.mirror.restate(user, status)),
        }
    }

    async fn get(&self, wanted: &[UserId]) -> Result<Vec<PresenceInfo>, Unavailable> {
        let statuses = match self.statuses(wanted).await {
            Some(statuses) => statuses,
            None => wanted.iter().map(|u| self.mirror.status(u)).collect(),
        };
        let online = wanted.iter().zip(&statuses).filter(|(_, s)| s.is_some());
        self.told.answered(online.map(|(user, _)| user));
        let infos = wanted
            .iter()
            .zip(statuses)
            .map(|(user, status)| PresenceInfo {
                user: user.clone(),
                online: status.is_some(),
                status: status.unwrap_or(Status::Offline),
                last_seen: None,
            });
        Ok(infos.collect())
    }

    async fn devices(&self, user: &UserId) -> Result<Vec<DeviceId>, Unavailable> {
        let members: Option<Vec<String>> = match self.client() {
            Some(redis) => self.ask(redis.smembers(self.keys.devices(user))).await,
            None => None,
        };
        let Some(members) = members else {
            return Ok(self.mirror.devices(user));
        };
        let mut devices: Vec<_> = members.iter().filter_map(|m| device_of(m)).collect();
        devices.sort_unstable();
        Ok(devices)
    }

    async fn changes(&self) -> Vec<PresenceNews> {
        let mut news = Vec::new();
        self.changes.lock().await.recv_many(&mut news, BATCH).await;
        news
    }

    fn heard(&self, user: &UserId, online: bool) -> bool {
        self.told.heard(user, online)
    }

    fn missed(&self) {
        self.compare_after(self.times.life());
    }

    fn concerns(&self, users: Vec<UserId>) {
        self.look_for(users);
    }

    async fn close(&self) {
        // Others take over once the grace is over; until then users may come back elsewhere.
        let (name, grace) = (self.name(), self.times.grace);
        let Some(redis) = self.client() else { return };
        if self
            .ask(self.sign_of_life(redis, &name, grace, true))
            .await
            .is_some()
        {
            tracing::debug!("presence is handed over");
        }
    }

    async fn online(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, Unavailable> {
        match self.online_anywhere(after, limit).await {
            Some(users) => Ok(users),
            None => Ok(self.mirror.online(after, limit as usize)),
        }
    }
}
