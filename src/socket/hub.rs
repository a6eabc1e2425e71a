//! The node's connections, by user and by room. How events reach them is in
//! [`deliver`](super::deliver).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;
use metrics::Counter;
use parking_lot::Mutex;
use socketioxide_core::Sid;
use tokio_util::task::TaskTracker;

use super::{
    handed::Handed, heal::Heal, named::Named, notified::Notified, obey::Rounds, room::Room,
    roster::Roster, session::Session,
};
use crate::{
    chat::{Bus, Controls, ConversationId, DeviceId, Store, Topic, UserId},
    telemetry,
};

/// The node's connections.
///
/// Locks are taken in this order and never held across an await: a shard of `rooms`, a room.
pub struct Hub {
    pub(super) store: Arc<dyn Store>,
    pub(super) tasks: TaskTracker,
    pub(super) users: DashMap<UserId, Vec<Arc<Session>>>,
    pub(super) meters: Meters,
    /// Who is sent away.
    pub(super) controls: Arc<Controls>,
    pub(super) rounds: Rounds,
    pub(super) notified: Notified,
    /// Who is told who is online.
    pub roster: Roster,
    /// What was handed to connections that confirm nothing.
    pub handed: Handed,
    /// What makes good that events of other nodes were missed.
    pub heal: Heal,
    /// The rooms that other backends made connections join.
    pub(super) named: Named,
    /// Connections by their Socket.IO id.
    pub(super) sids: DashMap<Sid, Arc<Session>>,
    bus: Arc<dyn Bus>,
    rooms: DashMap<ConversationId, Arc<Mutex<Room<Arc<Session>>>>>,
    connections: AtomicUsize,
}

/// Handles on metrics that are counted once per delivery.
pub(super) struct Meters {
    pub(super) messages_out: Counter,
    pub(super) events_out: Counter,
}

impl Hub {
    /// A hub without connections.
    pub fn new(
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        controls: Arc<Controls>,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            tasks,
            controls,
            rounds: Rounds::default(),
            users: DashMap::new(),
            notified: Notified::default(),
            roster: Roster::default(),
            handed: Handed::default(),
            heal: Heal::default(),
            named: Named::new(bus.clone()),
            sids: DashMap::new(),
            bus,
            rooms: DashMap::new(),
            connections: AtomicUsize::new(0),
            meters: Meters {
                messages_out: metrics::counter!(telemetry::MESSAGES_OUT_TOTAL),
                events_out: metrics::counter!(telemetry::EVENTS_OUT_TOTAL),
            },
        })
    }

    /// Live connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Conversations with somebody in the room.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Users with a live connection.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Conversations with connections of this node in their rooms.
    pub(super) fn conversations(&self) -> Vec<ConversationId> {
        self.rooms.iter().map(|room| room.key().clone()).collect()
    }

    /// Every live connection.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.users.iter().flat_map(|u| u.value().clone()).collect()
    }

    /// Adds a connection. `false`: it is gone already, and was not added.
    pub async fn register(&self, session: &Arc<Session>) -> bool {
        let user = &session.actor.profile.id;
        for topic in topics(session) {
            self.bus.subscribe(topic).await;
        }
        let added = session.enlist(|| {
            if session.dialect.hears_online() {
                self.roster.add(session);
            }
            self.users
                .entry(user.clone())
                .or_default()
                .push(session.clone());
            self.sids.insert(session.sid, session.clone());
            self.connections.fetch_add(1, Ordering::Relaxed);
            self.gauge(session).increment(1.0);
        });
        if !added {
            self.unsubscribe(session);
        }
        added
    }

    /// Takes a connection out of everything. `false`: it had never been added.
    pub fn unregister(&self, session: &Arc<Session>) -> bool {
        let removed = session.retire(|| {
            let user = &session.actor.profile.id;
            if let Some(mut sessions) = self.users.get_mut(user) {
                sessions.retain(|s| s.device != session.device);
            }
            self.users
                .remove_if(user, |_, sessions| sessions.is_empty());
            self.sids.remove(&session.sid);
            self.named.forget(session);
            self.roster.remove(session);
            self.unsubscribe(session);
            self.connections.fetch_sub(1, Ordering::Relaxed);
            self.gauge(session).decrement(1.0);
        });
        let rooms = std::mem::take(&mut *session.rooms.lock());
        for conversation in rooms {
            self.leave_room(&conversation, &session.device);
        }
        removed
    }

    fn unsubscribe(&self, session: &Session) {
        for topic in topics(session) {
            self.bus.unsubscribe(topic);
        }
    }

    fn gauge(&self, session: &Session) -> metrics::Gauge {
        metrics::gauge!(telemetry::USERS).set(self.users.len() as f64);
        metrics::gauge!(telemetry::CONNECTIONS, "dialect" => session.dialect.name().to_owned())
    }

    /// Puts a connection into a room, where it hears nothing until [`Hub::activate`]. `false`: it
    /// was in already, and goes on hearing.
    pub async fn enter(&self, conversation: &ConversationId, session: &Arc<Session>) -> bool {
        if session.rooms.lock().contains(conversation) {
            return false;
        }
        self.bus
            .subscribe(Topic::Conversation(conversation.clone()))
            .await;
        // Under the shard's lock, so that the room cannot be dropped as empty meanwhile.
        self.rooms
            .entry(conversation.clone())
            .or_default()
            .lock()
            .enter(&session.device, session.clone());
        session.rooms.lock().insert(conversation.clone());
        if session.is_gone() {
            // It left everything while this was under way, and will not come by again.
            self.leave(conversation, session);
        }
        true
    }

    /// The connection was found to take part. It hears typing and receipts before the answer to its
    /// join is out: once the answer is there, nothing that others do may be missed.
    pub fn admit(&self, conversation: &ConversationId, session: &Session) {
        if let Some(room) = self.room(conversation) {
            room.lock().admit(&session.device);
        }
    }

    /// The connection has its page up to `last_seq`; live events carry on from there.
    pub fn activate(
        self: &Arc<Self>,
        conversation: &ConversationId,
        session: &Arc<Session>,
        last_seq: u64,
    ) {
        let Some(room) = self.room(conversation) else {
            return;
        };
        let mut locked = room.lock();
        locked.activate(&session.device, last_seq, &mut |envelope, to| {
            self.emit_one(envelope, to)
        });
        self.mind_gap(conversation, &room, &mut locked);
    }

    /// Takes a connection out of a room.
    pub fn leave(&self, conversation: &ConversationId, session: &Arc<Session>) {
        if session.rooms.lock().remove(conversation) {
            self.leave_room(conversation, &session.device);
        }
    }

    fn leave_room(&self, conversation: &ConversationId, device: &DeviceId) {
        if let Some(room) = self.room(conversation) {
            room.lock().leave(device);
        }
        self.rooms
            .remove_if(conversation, |_, room| room.lock().is_empty());
        self.bus
            .unsubscribe(Topic::Conversation(conversation.clone()));
    }

    pub(super) fn room(
        &self,
        conversation: &ConversationId,
    ) -> Option<Arc<Mutex<Room<Arc<Session>>>>> {
        self.rooms.get(conversation).map(|r| r.clone())
    }

    pub(super) fn sessions_of(&self, user: &UserId) -> Vec<Arc<Session>> {
        self.users.get(user).map(|s| s.clone()).unwrap_or_default()
    }

    pub(super) fn in_room(&self, conversation: &ConversationId) -> Vec<Arc<Session>> {
        let room = self.room(conversation);
        room.map(|r| r.lock().sessions().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn listeners(&self, conversation: &ConversationId) -> Vec<Arc<Session>> {
        let room = self.room(conversation);
        room.map(|r| r.lock().listeners().cloned().collect())
            .unwrap_or_default()
    }
}

/// What a connection has its node listen to.
fn topics(session: &Session) -> impl Iterator<Item = Topic> {
    let user = Topic::User(session.actor.profile.id.clone());
    let own = Topic::Room(session.sid.as_str().into());
    let online = session.dialect.hears_online().then_some(Topic::Online);
    [user, own].into_iter().chain(online)
}
