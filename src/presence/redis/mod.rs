//! Presence of many nodes, in Redis.
//!
//! Each decision about a user (first device in, last one out) is one script in the user's own hash
//! slot; see [`keys`] for what is kept. Each node keeps a [`mirror`] of its own users, from which it
//! answers while Redis is away, and which it tells Redis again when Redis forgot. [`tend`] says that
//! the node lives, takes over the users of nodes that do not, and settles what was left undone.
//!
//! A node that was away for so long that others took it for dead goes on under another name, so that
//! those who still take its users over cannot harm it.

mod keys;
mod mirror;
mod scripts;
mod tend;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fred::{
    clients::Client,
    error::Error,
    prelude::*,
    types::sorted_sets::{ZRange, ZRangeBound, ZRangeKind},
};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use self::{
    keys::{Keys, device_of},
    mirror::Mirror,
    scripts::{Left, Scripts, Shown},
};
use crate::{
    chat::{
        Absence, DeviceId, Presence, PresenceChange, PresenceInfo, Status, Unavailable, UserId,
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
    news: mpsc::Sender<(UserId, PresenceChange)>,
    heard: tokio::sync::Mutex<mpsc::Receiver<(UserId, PresenceChange)>>,
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
        let (news, heard) = mpsc::channel(NEWS);
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
            news,
            heard: tokio::sync::Mutex::new(heard),
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

    /// A page of those who have devices anywhere or had until a moment ago, by id.
    async fn candidates(&self, after: Option<&UserId>, limit: u32) -> Option<Vec<UserId>> {
        let redis = self.client()?;
        let from = after.map_or_else(lowest, |user| ZRange {
            kind: ZRangeKind::Exclusive,
            range: ZRangeBound::Lex(user.as_str().to_owned()),
        });
        let asked = async {
            let nodes: Vec<String> = redis.smembers(self.keys.nodes()).await?;
            let page = |node: String| {
                let (key, from) = (self.keys.users(&node), from.clone());
                let limit = Some((0, i64::from(limit)));
                async move {
                    let page: Vec<String> = redis.zrangebylex(key, from, highest(), limit).await?;
                    Ok::<_, Error>(page)
                }
            };
            try_join_all(nodes.into_iter().map(page)).await
        };
        let pages = self.ask(asked).await?;
        let mut users: Vec<_> = pages
            .iter()
            .flatten()
            .filter_map(|user| UserId::new(user).ok())
            .collect();
        users.sort_unstable();
        users.dedup();
        // What is beyond may be missing from a page that was full.
        users.truncate(limit as usize);
        Some(users)
    }

    async fn online_anywhere(&self, after: Option<&UserId>, limit: u32) -> Option<Vec<UserId>> {
        let mut online = Vec::new();
        let mut after = after.cloned();
        loop {
            let users = self.candidates(after.as_ref(), limit).await?;
            let statuses = self.statuses(&users).await?;
            let is_last = users.len() < limit as usize;
            after = users.last().cloned();
            let announced = users.into_iter().zip(statuses).filter(|(_, s)| s.is_some());
            online.extend(announced.map(|(user, _)| user));
            if is_last || online.len() >= limit as usize {
                online.truncate(limit as usize);
                return Some(online);
            }
        }
    }
}

fn lowest() -> ZRange {
    bound(ZRangeBound::NegInfinityLex)
}

fn highest() -> ZRange {
    bound(ZRangeBound::InfiniteLex)
}

fn bound(range: ZRangeBound) -> ZRange {
    ZRange {
        kind: ZRangeKind::Inclusive,
        range,
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
        let first = self.mirror.enter(user, device);
        let Some(redis) = self.client() else {
            return Ok(self.mirror.entered_alone(user));
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
            return Ok(self.mirror.entered_alone(user));
        };
        self.mirror.entered(user, &found);
        if first && Arc::ptr_eq(&name, &self.name()) {
            self.mirror.is_asserted(user);
        }
        Ok(found.newly)
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
        match ended {
            Some(ended) => {
                self.mirror.settled(user, ended);
                Ok(ended)
            }
            None => Ok(self.mirror.settled_alone(user, absence.0)),
        }
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

    async fn changes(&self) -> Vec<(UserId, PresenceChange)> {
        let mut changes = Vec::new();
        self.heard.lock().await.recv_many(&mut changes, BATCH).await;
        changes
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
