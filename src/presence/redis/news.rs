//! What is told to the node's connections beside what its own users do: once others can hear it, to
//! those who were not told, and where it was lost, because what was told is not what is true.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{BATCH, RedisPresence};
use crate::chat::{PresenceChange, PresenceNews, Reach, UserId};

/// How long those told online are of interest, whether or not anybody here is left who was told.
pub(super) const TIDY: Duration = Duration::from_secs(600);

/// What has to wait until nodes that were away are back.
#[derive(Default)]
pub(super) struct Later {
    /// Until when changes are not told, because others could not hear them.
    quiet_until: Option<Instant>,
    owed: Vec<(UserId, PresenceChange)>,
    /// When what was told is compared with what is true.
    compare_at: Option<Instant>,
    /// Who may be online without having been told so.
    unheard: BTreeSet<UserId>,
    /// The other nodes that lived at the last look.
    alive: BTreeSet<String>,
}

impl RedisPresence {
    /// Redis may know less than it did, and other nodes may not hear yet: they are given the time
    /// after which they would count as dead.
    pub(super) fn wait_for_others(&self) {
        let life = self.times.life();
        self.later.lock().quiet_until = Some(Instant::now() + life);
        self.compare_after(life);
    }

    /// Has what was told compared with what is true, not sooner than this.
    pub(super) fn compare_after(&self, time: Duration) {
        let at = Some(Instant::now() + time);
        let mut later = self.later.lock();
        later.compare_at = later.compare_at.max(at);
    }

    /// Has these looked for when what was told is compared.
    pub(super) fn look_for(&self, users: Vec<UserId>) {
        self.later.lock().unheard.extend(users);
        self.compare_after(Duration::ZERO);
    }

    /// These nodes live. One that does no more may have had something to tell.
    pub(super) fn look<'a>(&self, alive: impl Iterator<Item = &'a String>) {
        let alive: BTreeSet<_> = alive.cloned().collect();
        let mut later = self.later.lock();
        let before = std::mem::replace(&mut later.alive, alive);
        let all_left = before.is_subset(&later.alive);
        drop(later);
        if !all_left {
            // Those who take over from it have a turn first.
            self.compare_after(self.times.heartbeat * 2);
        }
    }

    /// Tells a change, once others can hear it.
    pub(super) async fn tell(&self, user: &UserId, change: PresenceChange) {
        {
            let mut later = self.later.lock();
            if later.quiet_until.is_some() {
                later.owed.push((user.clone(), change));
                return;
            }
        }
        self.tell_now(user, change).await;
    }

    async fn tell_now(&self, user: &UserId, change: PresenceChange) {
        let reach = self.told.decide(user, change);
        self.send(user, change, reach).await;
    }

    async fn send(&self, user: &UserId, change: PresenceChange, reach: Reach) {
        let user = user.clone();
        let news = PresenceNews {
            user,
            change,
            reach,
        };
        // The receiver is a part of this.
        let _ = self.news.send(news).await;
    }

    /// Does what had to wait, if it has waited long enough.
    pub(super) async fn catch_up(&self) {
        self.told.age();
        let now = Instant::now();
        let (owed, compare) = {
            let mut later = self.later.lock();
            let mut owed = Vec::new();
            if later.quiet_until.is_some_and(|until| until <= now) {
                later.quiet_until = None;
                owed = std::mem::take(&mut later.owed);
            }
            let compare = later.compare_at.is_some_and(|at| at <= now);
            if compare {
                later.compare_at = None;
            }
            (owed, compare)
        };
        for (user, change) in owed {
            self.tell_now(&user, change).await;
        }
        if compare && !(self.compare(true).await && self.find().await) {
            self.compare_after(self.times.life());
        }
    }

    /// Finds those who are online and were never told to be, and tells this node's connections.
    /// `false`: Redis does not tell who is online.
    async fn find(&self) -> bool {
        let unheard = std::mem::take(&mut self.later.lock().unheard);
        let mut unheard: Vec<_> = unheard.into_iter().collect();
        while !unheard.is_empty() {
            let rest = unheard.split_off(unheard.len().min(BATCH));
            let Some(statuses) = self.statuses(&unheard).await else {
                self.later
                    .lock()
                    .unheard
                    .extend(unheard.into_iter().chain(rest));
                return false;
            };
            let here = unheard.iter().zip(statuses).filter(|(_, s)| s.is_some());
            for (user, _) in here {
                if self.told.is_new(user) {
                    let believed = Duration::ZERO;
                    let reach = Reach::ThisNode { believed };
                    self.send(user, PresenceChange::Online, reach).await;
                }
            }
            unheard = rest;
        }
        true
    }

    /// Finds those who were told online and are not, and tells this node's connections, or forgets
    /// those of whom that was told long ago. `false`: Redis does not tell who is online.
    pub(super) async fn compare(&self, tell: bool) -> bool {
        if !self.is_shared() {
            return false;
        }
        let mut after = None;
        loop {
            let page = self.told.online(after.as_ref(), BATCH);
            let Some((last, _)) = page.last() else {
                return true;
            };
            after = Some(last.clone());
            let users: Vec<_> = page.iter().map(|(user, _)| user.clone()).collect();
            let Some(statuses) = self.statuses(&users).await else {
                return false;
            };
            let gone = page.iter().zip(statuses).filter(|(_, s)| s.is_none());
            for ((user, told), _) in gone {
                if !tell {
                    if told.elapsed() >= TIDY {
                        self.told.forget(user, *told);
                    }
                } else if let Some(believed) = self.told.is_not(user, *told) {
                    let reach = Reach::ThisNode { believed };
                    self.send(user, PresenceChange::Offline, reach).await;
                }
            }
        }
    }
}
