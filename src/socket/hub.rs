//! The node's connections, by user and by room, and how events reach them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use metrics::Counter;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::{room::Room, session::Session, words::Words};
use crate::{
    chat::{
        Bus, ConversationId, DeviceId, Envelope, Event, Local, Message, Receipt, Store, Topic,
        Unavailable, UserId,
    },
    telemetry,
};

/// How long a missing message may be on its way before it is read from the store.
const PATIENCE: Duration = Duration::from_millis(50);
/// Time between two tries to fill a gap when the store fails.
const RETRY: Duration = Duration::from_millis(500);

/// The node's connections.
///
/// Locks are taken in this order and never held across an await: a shard of `rooms`, a room.
pub struct Hub {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    tasks: TaskTracker,
    users: DashMap<UserId, Vec<Arc<Session>>>,
    rooms: DashMap<ConversationId, Arc<Mutex<Room<Arc<Session>>>>>,
    connections: AtomicUsize,
    meters: Meters,
}

/// Handles on metrics that are counted once per delivery.
struct Meters {
    messages_out: Counter,
    events_out: Counter,
}

impl Hub {
    /// A hub without connections.
    pub fn new(store: Arc<dyn Store>, bus: Arc<dyn Bus>, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            store,
            bus,
            tasks,
            users: DashMap::new(),
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

    /// Every live connection.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.users.iter().flat_map(|u| u.value().clone()).collect()
    }

    /// Adds a connection. `false`: it is gone already, and was not added.
    pub async fn register(&self, session: &Arc<Session>) -> Result<bool, Unavailable> {
        let user = &session.actor.profile.id;
        self.bus.subscribe(Topic::User(user.clone())).await?;
        let added = session.enlist(|| {
            self.users
                .entry(user.clone())
                .or_default()
                .push(session.clone());
            self.connections.fetch_add(1, Ordering::Relaxed);
            self.gauge(session).increment(1.0);
        });
        if !added {
            self.bus.unsubscribe(Topic::User(user.clone()));
        }
        Ok(added)
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
            self.bus.unsubscribe(Topic::User(user.clone()));
            self.connections.fetch_sub(1, Ordering::Relaxed);
            self.gauge(session).decrement(1.0);
        });
        let rooms = std::mem::take(&mut *session.rooms.lock());
        for conversation in rooms {
            self.leave_room(&conversation, &session.device);
        }
        removed
    }

    fn gauge(&self, session: &Session) -> metrics::Gauge {
        metrics::gauge!(telemetry::USERS).set(self.users.len() as f64);
        metrics::gauge!(telemetry::CONNECTIONS, "dialect" => session.dialect.name().to_owned())
    }

    /// Puts a connection into a room, where it hears nothing until [`Hub::activate`]. `false`: it
    /// was in already, and goes on hearing.
    pub async fn enter(
        &self,
        conversation: &ConversationId,
        session: &Arc<Session>,
    ) -> Result<bool, Unavailable> {
        if session.rooms.lock().contains(conversation) {
            return Ok(false);
        }
        self.bus
            .subscribe(Topic::Conversation(conversation.clone()))
            .await?;
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
        Ok(true)
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

    fn room(&self, conversation: &ConversationId) -> Option<Arc<Mutex<Room<Arc<Session>>>>> {
        self.rooms.get(conversation).map(|r| r.clone())
    }

    fn sessions_of(&self, user: &UserId) -> Vec<Arc<Session>> {
        self.users.get(user).map(|s| s.clone()).unwrap_or_default()
    }

    // --- Messages: in order, without gaps -----------------------------------------------------

    fn message(self: &Arc<Self>, envelope: &Envelope, message: &Message, participants: &[UserId]) {
        let conversation = &message.conversation;
        if let Some(room) = self.room(conversation) {
            let mut locked = room.lock();
            self.accept(&mut locked, message.seq, envelope);
            self.mind_gap(conversation, &room, &mut locked);
        }
        self.notify_absent(envelope, message, participants);
    }

    fn accept(&self, room: &mut Room<Arc<Session>>, seq: u64, envelope: &Envelope) {
        // One encoder per message: a room in order releases exactly the message that came.
        let mut words = words_of(envelope);
        room.accept(seq, envelope, &mut |released, to| {
            if std::ptr::eq(released, envelope) {
                self.emit(&mut words, to);
            } else {
                self.emit_one(released, to);
            }
        });
    }

    fn emit(&self, words: &mut Words<'_>, to: &Arc<Session>) {
        for packet in words.for_session(to).iter() {
            if to.deliver(packet) {
                self.meters.messages_out.increment(1);
                self.meters.events_out.increment(1);
            }
        }
    }

    fn emit_one(&self, envelope: &Envelope, to: &Arc<Session>) {
        self.emit(&mut words_of(envelope), to);
    }

    fn notify_absent(&self, envelope: &Envelope, message: &Message, participants: &[UserId]) {
        let mut words = words_of(envelope);
        for user in participants.iter().filter(|u| *u != &message.sender.id) {
            let Some(sessions) = self.users.get(user) else {
                continue;
            };
            for session in sessions.iter() {
                if !session.rooms.lock().contains(&message.conversation) {
                    for packet in words.for_absent(session).iter() {
                        self.count(session.deliver(packet));
                    }
                }
            }
        }
    }

    /// If something is missing: waits a moment for it to arrive, then reads it from the store.
    fn mind_gap(
        self: &Arc<Self>,
        conversation: &ConversationId,
        room: &Arc<Mutex<Room<Arc<Session>>>>,
        locked: &mut Room<Arc<Session>>,
    ) {
        if locked.filling || locked.gap().is_none() {
            return;
        }
        locked.filling = true;
        let (hub, conversation, room) = (self.clone(), conversation.clone(), room.clone());
        self.tasks
            .spawn(async move { hub.fill_gaps(&conversation, &room).await });
    }

    async fn fill_gaps(&self, conversation: &ConversationId, room: &Mutex<Room<Arc<Session>>>) {
        tokio::time::sleep(PATIENCE).await;
        loop {
            let (after, until) = {
                let mut room = room.lock();
                match room.gap() {
                    Some(gap) if !room.is_empty() => gap,
                    _ => {
                        room.filling = false;
                        return;
                    }
                }
            };
            match self
                .store
                .messages_between(conversation, after, until)
                .await
            {
                Ok(messages) if !messages.is_empty() => {
                    metrics::counter!(telemetry::GAPS_FILLED_TOTAL).increment(1);
                    let mut room = room.lock();
                    for message in messages {
                        let seq = message.seq;
                        let participants = Arc::default();
                        let event = Event::MessageCreated {
                            message,
                            participants,
                        };
                        self.accept(
                            &mut room,
                            seq,
                            &Envelope {
                                origin: None,
                                event,
                            },
                        );
                    }
                }
                // Seq has no gaps in the store, so this is a replica that lags or a failure.
                Ok(_) => tokio::time::sleep(RETRY).await,
                Err(e) => {
                    tracing::warn!(error = %e, "cannot read missing messages, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    // --- Everything else -----------------------------------------------------------------------

    fn count(&self, delivered: bool) {
        if delivered {
            self.meters.events_out.increment(1);
        }
    }

    fn to_sessions(&self, envelope: &Envelope, sessions: &[Arc<Session>], volatile: bool) {
        let mut words = words_of(envelope);
        for session in sessions {
            for packet in words.for_session(session).iter() {
                self.count(if volatile {
                    session.deliver_volatile(packet)
                } else {
                    session.deliver(packet)
                });
            }
        }
    }

    fn to_users<'a>(
        &self,
        envelope: &Envelope,
        users: impl IntoIterator<Item = &'a UserId>,
        volatile: bool,
    ) {
        let sessions: Vec<_> = users
            .into_iter()
            .flat_map(|u| self.sessions_of(u))
            .collect();
        self.to_sessions(envelope, &sessions, volatile);
    }

    fn in_room(&self, conversation: &ConversationId) -> Vec<Arc<Session>> {
        let room = self.room(conversation);
        room.map(|r| r.lock().sessions().cloned().collect())
            .unwrap_or_default()
    }

    fn listeners(&self, conversation: &ConversationId) -> Vec<Arc<Session>> {
        let room = self.room(conversation);
        room.map(|r| r.lock().listeners().cloned().collect())
            .unwrap_or_default()
    }

    fn read(&self, envelope: &Envelope, receipt: &Receipt) {
        let mut sessions = self.listeners(&receipt.conversation);
        let inside: HashSet<_> = sessions.iter().map(|s| s.device.clone()).collect();
        let senders = self.sessions_of(&receipt.sender);
        sessions.extend(senders.into_iter().filter(|s| !inside.contains(&s.device)));
        self.to_sessions(envelope, &sessions, false);
    }

    fn removed(&self, envelope: &Envelope, conversation: &ConversationId, user: &UserId) {
        let sessions = self.sessions_of(user);
        for session in &sessions {
            self.leave(conversation, session);
        }
        self.to_sessions(envelope, &sessions, false);
    }

    fn deleted(&self, envelope: &Envelope, conversation: &ConversationId, audience: &[UserId]) {
        for session in self.in_room(conversation) {
            self.leave(conversation, &session);
        }
        self.to_users(envelope, audience, false);
    }

    fn disconnect(&self, user: &UserId, device: Option<&DeviceId>) {
        for session in self.sessions_of(user) {
            if device.is_none_or(|d| d == &session.device) {
                session.ban();
            }
        }
    }
}

/// The hub as the use cases see it.
pub struct LocalHub(pub Arc<Hub>);

impl Local for LocalHub {
    fn deliver(&self, envelope: &Envelope) {
        let hub = &self.0;
        match &envelope.event {
            Event::MessageCreated {
                message,
                participants,
            } => {
                hub.message(envelope, message, participants);
            }
            Event::MessageDelivered(receipt) => hub.to_users(envelope, [&receipt.sender], false),
            Event::MessageRead(receipt) => hub.read(envelope, receipt),
            Event::Typing { conversation, .. } => {
                hub.to_sessions(envelope, &hub.listeners(conversation), true);
            }
            Event::Presence { audience, .. } => hub.to_users(envelope, audience.iter(), true),
            Event::ConversationUpdated { conversation, .. } => {
                let users = conversation.participants.iter().map(|p| &p.profile.id);
                hub.to_users(envelope, users, false);
            }
            Event::ConversationDeleted {
                conversation,
                audience,
            } => {
                hub.deleted(envelope, conversation, audience);
            }
            Event::ParticipantRemoved { conversation, user } => {
                hub.removed(envelope, conversation, user);
            }
            Event::Disconnect { user, device } => hub.disconnect(user, device.as_ref()),
            Event::Emit { user, .. } => hub.to_users(envelope, [user], false),
        }
    }
}

fn words_of(envelope: &Envelope) -> Words<'_> {
    Words::new(
        &envelope.event,
        envelope.origin.as_ref(),
        envelope.event.by(),
    )
}
