//! What a node does about presence all the time: it says that it lives, tells Redis what Redis
//! forgot, settles what was left undone, and takes over from nodes that died.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    error::Error,
    prelude::*,
    types::{Expiration, SetOptions},
};
use futures_util::future::try_join_all;

use super::{
    BATCH, RedisPresence, answered,
    mirror::{Unasserted, Unsettled},
    new_name,
    news::TIDY,
    scripts::Released,
};
use crate::{
    chat::{PresenceChange, Unavailable, UserId},
    telemetry,
};

pub(super) type Done<T = ()> = Result<T, Unavailable>;

impl RedisPresence {
    /// Does what has to be done, for ever; the caller ends it by dropping the future.
    pub async fn run(&self) {
        // Apart, so that a node with much to do is not taken for dead.
        tokio::join!(self.keep_alive(), self.tend());
    }

    /// Does it once, for a node that is about to serve.
    pub async fn begin(&self) {
        let mut link = self.redis.commands().watch();
        let up = link.wait_for(|link| link.up);
        let _ = tokio::time::timeout(self.redis.timeout(), up).await;
        if let Err(e) = self.round().await {
            let cause: &dyn std::error::Error = &*e.source;
            tracing::warn!(cause, "presence is not shared yet");
        }
    }

    async fn keep_alive(&self) {
        loop {
            tokio::time::sleep(self.times.heartbeat).await;
            if let Err(e) = self.beat().await {
                self.alone(&e);
            }
        }
    }

    async fn tend(&self) {
        let mut link = self.redis.commands().watch();
        let mut epoch = link.borrow().epoch;
        let mut tidied = Instant::now();
        loop {
            // Not all nodes at the same time.
            let jitter = rand::random_range(0.8..1.2);
            let pause = self.times.heartbeat.mul_f64(jitter);
            let _ = tokio::time::timeout(pause, link.changed()).await;
            let now = link.borrow_and_update().epoch;
            if std::mem::replace(&mut epoch, now) != now {
                // Another server may be there now, which knows less.
                self.mirror.doubt();
                if !self.mirror.is_empty() {
                    self.wait_for_others();
                }
            }
            let done = async {
                self.round().await?;
                self.catch_up().await;
                Done::Ok(())
            };
            if let Err(e) = done.await {
                self.alone(&e);
            } else if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                self.compare(false).await;
            }
        }
    }

    async fn round(&self) -> Done {
        // Before the heartbeat: what Redis knows nothing of after it, it never knew or has settled.
        let overdue = self.times.grace + self.times.heartbeat;
        let unsettled = self.mirror.unsettled(overdue, BATCH * 16);
        self.beat().await?;
        if self.remind().await? {
            self.together();
        }
        for some in unsettled.chunks(BATCH) {
            self.settle_left(some).await?;
        }
        self.forget().await?;
        self.reap().await
    }

    // --- This node -----------------------------------------------------------------------------

    /// Says that the node lives. `only_if_alive` does not revive one that counts as dead.
    pub(super) async fn sign_of_life(
        &self,
        redis: &Client,
        name: &str,
        life: Duration,
        only_if_alive: bool,
    ) -> Result<bool, Error> {
        let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX).max(1);
        let options = only_if_alive.then_some(SetOptions::XX);
        let set: Option<String> = redis
            .set(
                self.keys.alive(name),
                "1",
                Some(Expiration::PX(life)),
                options,
                false,
            )
            .await?;
        Ok(set.is_some())
    }

    async fn beat(&self) -> Done {
        let redis = self.redis.commands().client()?;
        let name = self.name.lock().clone();
        let life = self.times.life();
        let alive = answered(self.sign_of_life(redis, &name.now, life, name.registered)).await?;
        if !alive {
            self.rename(&name.now);
            let name = self.name();
            answered(self.sign_of_life(redis, &name, life, false)).await?;
        }
        let name = self.name();
        let () = answered(redis.sadd(self.keys.nodes(), &*name)).await?;
        let mut present = self.name.lock();
        present.registered |= Arc::ptr_eq(&name, &present.now);
        Ok(())
    }

    /// Redis was emptied, or others took this node for dead and may be taking its users over: it goes
    /// on as another one.
    fn rename(&self, old: &Arc<str>) {
        let mut name = self.name.lock();
        if !Arc::ptr_eq(&name.now, old) {
            return;
        }
        name.former = Some(std::mem::replace(&mut name.now, new_name()));
        name.registered = true;
        self.mirror.forget_assertions();
        self.renamed.store(true, Ordering::Release);
        self.wait_for_others();
        tracing::warn!("the node's sign of life was gone; telling Redis of all users again");
    }

    /// Whether the node's former self was taken for dead.
    pub(super) async fn was_reaped(&self) -> Done<bool> {
        let former = self.name.lock().former.clone();
        match former {
            Some(former) => {
                let redis = self.redis.commands().client()?;
                answered(redis.exists(self.keys.gone(&former))).await
            }
            None => Ok(false),
        }
    }

    /// Adds users to those of this node.
    pub(super) async fn list(
        &self,
        redis: &Client,
        name: &str,
        users: &[UserId],
    ) -> Result<(), Error> {
        let members: Vec<_> = users.iter().map(|u| (0.0, u.as_str())).collect();
        redis
            .zadd(self.keys.users(name), None, None, false, false, members)
            .await
    }

    /// Tells Redis of the users of whom it does not know or may not know. `false`: some are left for
    /// later.
    async fn remind(&self) -> Done<bool> {
        // Right after Redis forgot, the other nodes have to tell what they know too before anybody
        // can be called new.
        let known_only = self.renamed.swap(false, Ordering::AcqRel);
        loop {
            let due = self.mirror.unasserted(known_only, BATCH);
            if due.is_empty() {
                return Ok(!known_only || self.mirror.unasserted(false, 1).is_empty());
            }
            self.assert_all(due).await?;
        }
    }

    async fn assert_all(&self, mut due: Vec<Unasserted>) -> Done {
        let redis = self.redis.commands().client()?;
        if self.was_reaped().await? {
            // Those without devices were announced offline by whoever reaped.
            due.retain(|told| {
                let here = !told.devices.is_empty();
                if !here {
                    self.mirror.is_over(&told.user);
                }
                here
            });
        }
        let name = self.name();
        let users: Vec<_> = due.iter().map(|told| told.user.clone()).collect();
        if users.is_empty() {
            return Ok(());
        }
        answered(self.list(redis, &name, &users)).await?;
        let assert = |told: &Unasserted| {
            let (user, devices, shown) = (told.user.clone(), told.devices.clone(), told.shown);
            let (name, restated) = (name.clone(), told.restated);
            async move {
                let found = self.scripts.assert(redis, &user, &name, &devices, shown);
                let found = found.await?;
                if restated {
                    self.scripts.set_status(redis, &user, shown.status).await?;
                }
                Ok(found)
            }
        };
        let found = answered(try_join_all(due.iter().map(assert))).await?;
        metrics::counter!(telemetry::PRESENCE_REASSERTED_TOTAL).increment(due.len() as u64);
        // After the assertions: whoever was announced offline before them was so under this mark.
        let reaped = self.was_reaped().await?;
        for (told, found) in due.iter().zip(found) {
            self.mirror.asserted(told, &found);
            if found.newly && !told.devices.is_empty() && (!told.known || reaped) {
                self.tell(&told.user, PresenceChange::Online).await;
            }
        }
        Ok(())
    }

    /// Settles absences that nobody settled, such as those of a time without Redis.
    async fn settle_left(&self, unsettled: &[Unsettled]) -> Done {
        let redis = self.redis.commands().client()?;
        let (name, grace) = (self.name(), self.times.grace);
        let release = |one: &Unsettled| {
            let (user, stale, name) = (one.user.clone(), one.stale.clone(), name.clone());
            async move {
                let release = self.scripts.release(redis, &user, grace, &name, &stale);
                release.await
            }
        };
        let released = answered(try_join_all(unsettled.iter().map(release))).await?;
        for (one, released) in unsettled.iter().zip(released) {
            self.mirror.released(one, released == Released::Early);
            if released == Released::Offline {
                self.tell(&one.user, PresenceChange::Offline).await;
            }
        }
        Ok(())
    }

    /// Forgets users with whom this node has nothing to do any more.
    async fn forget(&self) -> Done {
        let redis = self.redis.commands().client()?;
        loop {
            let over = self.mirror.take_over(BATCH);
            if over.is_empty() {
                return Ok(());
            }
            let name = self.name();
            let members: Vec<_> = over.iter().map(UserId::as_str).collect();
            let () = answered(redis.zrem(self.keys.users(&name), members)).await?;
            // They may have come back while this was under way.
            let back = self.mirror.present(&over);
            if !back.is_empty() {
                answered(self.list(redis, &self.name(), &back)).await?;
            }
        }
    }

    // --- Nodes that died -----------------------------------------------------------------------

    async fn reap(&self) -> Done {
        let redis = self.redis.commands().client()?;
        let name = self.name();
        let nodes: Vec<String> = answered(redis.smembers(self.keys.nodes())).await?;
        let others: Vec<_> = nodes.into_iter().filter(|n| **n != *name).collect();
        if others.is_empty() {
            self.look(std::iter::empty());
            return Ok(());
        }
        let asked = async {
            let pipeline = redis.pipeline();
            for node in &others {
                let () = pipeline.exists(self.keys.alive(node)).await?;
            }
            pipeline.all::<Vec<bool>>().await
        };
        let alive = answered(asked).await?;
        let living = others.iter().zip(&alive).filter(|(_, alive)| **alive);
        self.look(living.map(|(node, _)| node));
        for (node, _) in others.iter().zip(alive).filter(|(_, alive)| !alive) {
            self.take_from(node, &name).await?;
        }
        Ok(())
    }

    /// Takes a dead node's users over, as long as nobody else does.
    async fn take_from(&self, node: &str, name: &str) -> Done {
        let redis = self.redis.commands().client()?;
        let (key, grace) = (self.keys.users(node), self.times.grace);
        let (mut early, mut taken) = (0, 0_u64);
        loop {
            if !answered(self.scripts.claim(redis, node, name)).await? {
                return Ok(());
            }
            let until = early + i64::try_from(BATCH).unwrap_or(i64::MAX) - 1;
            let page = redis.zrange(&key, early, until, None, false, None, false);
            let page: Vec<String> = answered(page).await?;
            if page.is_empty() {
                break;
            }
            // Names that are no ids were not written by a node, and go.
            let users: Vec<_> = page.iter().filter_map(|u| UserId::new(u).ok()).collect();
            let reap = |user: &UserId| {
                let user = user.clone();
                async move { self.scripts.reap(redis, &user, grace, node).await }
            };
            let reaped = answered(try_join_all(users.iter().map(reap))).await?;
            let mut waiting = Vec::new();
            for (user, released) in users.iter().zip(reaped) {
                match released {
                    Released::Offline => self.tell(user, PresenceChange::Offline).await,
                    Released::Nothing => {}
                    Released::Early => waiting.push(user.as_str()),
                }
            }
            early += i64::try_from(waiting.len()).unwrap_or_default();
            let done: Vec<_> = page
                .iter()
                .map(String::as_str)
                .filter(|u| !waiting.contains(u))
                .collect();
            taken += done.len() as u64;
            if !done.is_empty() {
                let () = answered(redis.zrem(&key, done)).await?;
            }
        }
        metrics::counter!(telemetry::PRESENCE_REAPED_TOTAL).increment(taken);
        if taken > 0 {
            tracing::info!(
                node,
                users = taken,
                left = early,
                "took over from a node that is gone"
            );
        }
        if early == 0 {
            // An empty set of users is no key any more.
            let () = answered(redis.srem(self.keys.nodes(), node)).await?;
            let () = answered(redis.del(self.keys.reaper(node))).await?;
        }
        Ok(())
    }
}
