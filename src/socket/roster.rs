//! Who is online, told to the connections of dialects that want all of it whenever it changes.
//!
//! Changes are gathered: a connection is told at most once per interval, however many users come
//! and go. A list of everybody grows with the square of the users, so above a bound each connection
//! is told of those alone whom its user shares a conversation with.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{frame::Packet, session::Session};
use crate::{
    chat::{Chat, ChatResult, DeviceId, UserId},
    telemetry,
};

/// Time after which is looked without being told of a change: such tellings can be lost.
const RECHECK: Duration = Duration::from_secs(10);
/// Connections that are told before others have a turn at the processor.
const AT_ONCE: usize = 64;
/// Users whose own list is made in one interval at most, where each has one of their own.
const OWN_LISTS_AT_ONCE: usize = 200;

/// Nothing yet, in [`Session::told_online`].
pub const UNTOLD: u64 = 0;
/// The user's own contacts, in [`Session::told_online`]; any other number is a version.
const CONTACTS: u64 = u64::MAX;

/// The connections that are told who is online.
#[derive(Default)]
pub struct Roster {
    listeners: DashMap<DeviceId, Arc<Session>>,
    wake: Notify,
    /// Whether too many are online to tell everybody of all.
    crowded: AtomicBool,
    /// While it is crowded: users of whose contacts somebody came or went.
    stale: Mutex<HashSet<UserId>>,
}

/// The bounds of the list.
#[derive(Debug, Clone, Copy)]
pub struct RosterRules {
    /// Users in the list at most.
    pub max: u32,
    /// The least time between two lists.
    pub interval: Duration,
}

/// What everybody was told last.
#[derive(Default)]
struct Everyone {
    users: Vec<UserId>,
    version: u64,
}

impl Roster {
    /// A connection wants to be told.
    pub fn add(&self, session: &Arc<Session>) {
        self.listeners
            .insert(session.device.clone(), session.clone());
        self.changed();
    }

    /// A connection is gone.
    pub fn remove(&self, session: &Session) {
        self.listeners.remove(&session.device);
    }

    /// A connection asks to be told, whatever it was told before.
    pub fn tell_again(&self, session: &Session) {
        session.told_online.store(UNTOLD, Ordering::Release);
        self.changed();
    }

    /// Somebody came or went.
    pub fn changed(&self) {
        self.wake.notify_one();
    }

    /// Somebody whom these users share a conversation with came or went.
    pub fn contacts_changed(&self, users: &[UserId]) {
        if self.crowded.load(Ordering::Acquire) {
            self.stale.lock().extend(users.iter().cloned());
            self.changed();
        }
    }

    /// Anybody may have come or gone.
    pub fn all_changed(&self) {
        if self.crowded.load(Ordering::Acquire) {
            let all = self.listeners.iter();
            let users = all.map(|session| session.actor.profile.id.clone());
            self.stale.lock().extend(users);
        }
        self.changed();
    }

    /// Tells what changes, for ever; the caller ends it by dropping the future.
    pub async fn run(&self, chat: &Chat, rules: RosterRules) {
        let mut everyone = Everyone::default();
        loop {
            let _ = tokio::time::timeout(RECHECK, self.wake.notified()).await;
            let left = self.tell(chat, rules.max, &mut everyone).await;
            match left {
                Ok(false) => {}
                Ok(true) => self.changed(),
                Err(e) => {
                    e.log("it could not be told who is online");
                    self.changed();
                }
            }
            tokio::time::sleep(rules.interval).await;
        }
    }

    /// Tells everybody who is not up to date. `true`: some are left.
    async fn tell(&self, chat: &Chat, max: u32, everyone: &mut Everyone) -> ChatResult<bool> {
        if self.listeners.is_empty() {
            return Ok(false);
        }
        let online = chat.everyone_online(max).await?;
        self.crowded.store(online.is_none(), Ordering::Release);
        match online {
            Some(users) => Ok(self.tell_all(users, everyone).await),
            None => self.tell_contacts(chat, max).await,
        }
    }

    async fn tell_all(&self, users: Vec<UserId>, everyone: &mut Everyone) -> bool {
        self.stale.lock().clear();
        if users != everyone.users || everyone.version == UNTOLD {
            everyone.version += 1;
            everyone.users = users;
        }
        let mut words = Words::new(&everyone.users);
        let mut left = false;
        for (n, session) in self.not_told(everyone.version).iter().enumerate() {
            left |= !words.tell(session, everyone.version);
            if n % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        left
    }

    /// The connections that were told something else last, or nothing yet.
    fn not_told(&self, version: u64) -> Vec<Arc<Session>> {
        let told = |s: &Session| s.told_online.load(Ordering::Acquire) == version;
        let all = self.listeners.iter();
        all.filter(|s| !told(s)).map(|s| s.clone()).collect()
    }

    async fn tell_contacts(&self, chat: &Chat, max: u32) -> ChatResult<bool> {
        let stale = std::mem::take(&mut *self.stale.lock());
        let mut due = BTreeMap::<UserId, Vec<Arc<Session>>>::new();
        for session in self.listeners.iter() {
            let user = &session.actor.profile.id;
            if stale.contains(user) || session.told_online.load(Ordering::Acquire) != CONTACTS {
                due.entry(user.clone()).or_default().push(session.clone());
            }
        }
        for session in due.values().flatten() {
            // Until it is: so that nobody is forgotten who has to wait or whose contacts fail.
            session.told_online.store(UNTOLD, Ordering::Release);
        }
        let mut left = due.len() > OWN_LISTS_AT_ONCE;
        for (user, sessions) in due.into_iter().take(OWN_LISTS_AT_ONCE) {
            let users = chat.contacts_online(&user, max).await?;
            let mut words = Words::new(&users);
            for session in sessions {
                left |= !words.tell(&session, CONTACTS);
            }
        }
        Ok(left)
    }
}

/// A list in the words of every dialect that hears it.
struct Words<'a> {
    users: &'a [UserId],
    encoded: Vec<(usize, Vec<Packet>)>,
}

impl<'a> Words<'a> {
    fn new(users: &'a [UserId]) -> Self {
        Self {
            users,
            encoded: Vec::new(),
        }
    }

    /// Tells a connection. `false`: it takes nothing at the moment, and should be told later.
    fn tell(&mut self, session: &Session, version: u64) -> bool {
        // First, so that a wish to be told again that comes meanwhile is not forgotten.
        session.told_online.store(version, Ordering::Release);
        let told = self
            .of(session)
            .iter()
            .all(|packet| session.deliver_volatile(packet));
        if told {
            metrics::counter!(telemetry::EVENTS_OUT_TOTAL).increment(1);
        } else {
            session.told_online.store(UNTOLD, Ordering::Release);
        }
        told || !session.is_live()
    }

    fn of(&mut self, session: &Session) -> &[Packet] {
        let index = session.dialect.index();
        let at = match self.encoded.iter().position(|(i, _)| *i == index) {
            Some(at) => at,
            None => {
                let words = session.dialect.encode_online(self.users);
                let words = words.into_iter().map(Packet::event).collect();
                self.encoded.push((index, words));
                self.encoded.len() - 1
            }
        };
        &self.encoded[at].1
    }
}
