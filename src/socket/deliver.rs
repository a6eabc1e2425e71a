//! How events reach the node's connections: messages in order and without gaps, everything else as
//! it comes.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{follow, frame::Packet, hub::Hub, room::Room, session::Session, words::Words};
use crate::{
    chat::{
        ConversationId, Envelope, Event, Local, Message, MessageId, Order, Presence, RawEvent,
        Receipt, Topic, UserId, event_text,
    },
    telemetry,
};

/// How long a missing message may be on its way before it is read from the store.
const PATIENCE: Duration = Duration::from_millis(50);
/// Time between two tries to fill a gap when the store fails.
const RETRY: Duration = Duration::from_millis(500);

impl Hub {
    // --- Messages: in order, without gaps -----------------------------------------------------

    fn message(self: &Arc<Self>, envelope: &Envelope, message: &Message, participants: &[UserId]) {
        let conversation = &message.conversation;
        if let Some(room) = self.room(conversation) {
            let mut locked = room.lock();
            self.accept(&mut locked, message.seq, envelope);
            self.mind_gap(conversation, &room, &mut locked);
        }
        if !self.notified.contains(&message.id) {
            self.notify_absent(envelope, message, participants);
        }
    }

    fn accept(&self, room: &mut Room<Arc<Session>>, seq: u64, envelope: &Envelope) {
        // One encoder per message: a room in order releases exactly the message that came.
        let mut words = Words::of(envelope);
        room.accept(seq, envelope, &mut |released, to| {
            if std::ptr::eq(released, envelope) {
                self.emit(&mut words, to);
            } else {
                self.emit_one(released, to);
            }
        });
    }

    fn emit(&self, words: &mut Words<'_>, to: &Arc<Session>) {
        let packets = words.for_session(to);
        if packets.iter().all(|packet| to.deliver(packet)) {
            self.handed_over(words.event(), to, packets.len());
        }
    }

    /// A connection was handed a message, in so many packets.
    pub(super) fn handed_over(&self, event: &Event, to: &Arc<Session>, packets: usize) {
        self.meters.messages_out.increment(packets as u64);
        self.meters.events_out.increment(packets as u64);
        if to.is_following()
            && let Event::MessageCreated { message, .. } = event
        {
            self.handed.note(to, message);
        }
    }

    pub(super) fn emit_one(&self, envelope: &Envelope, to: &Arc<Session>) {
        self.emit(&mut Words::of(envelope), to);
    }

    fn notify_absent(&self, envelope: &Envelope, message: &Message, participants: &[UserId]) {
        let mut words = Words::of(envelope);
        for user in participants {
            let Some(sessions) = self.users.get(user) else {
                continue;
            };
            for session in sessions.iter() {
                if session.rooms.lock().contains(&message.conversation) {
                    continue;
                }
                if session.is_following() {
                    follow::catch_up(session, &message.conversation, message.seq - 1);
                } else if user != &message.sender.id {
                    for packet in words.for_absent(session).iter() {
                        self.count(session.deliver(packet));
                    }
                }
            }
        }
    }

    /// If something is missing: waits a moment for it to arrive, then reads it from the store.
    pub(super) fn mind_gap(
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

    /// An event that a backend has put into words itself.
    pub(super) fn emit_raw(&self, packet: &Packet, sessions: &[Arc<Session>], volatile: bool) {
        for session in sessions {
            self.count(if volatile {
                session.deliver_volatile(packet)
            } else {
                session.deliver(packet)
            });
        }
    }

    fn to_sessions(&self, envelope: &Envelope, sessions: &[Arc<Session>], volatile: bool) {
        let mut words = Words::of(envelope);
        for session in sessions {
            for packet in words.for_session(session).iter() {
                self.emit_raw(packet, std::slice::from_ref(session), volatile);
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

    fn read(&self, envelope: &Envelope, receipt: &Receipt, via: Option<&Topic>) {
        let inside = self.listeners(&receipt.conversation);
        let outside = || {
            let inside: HashSet<_> = inside.iter().map(|s| &s.device).collect();
            let mut senders = self.sessions_of(&receipt.sender);
            senders.retain(|s| !inside.contains(&s.device));
            senders
        };
        let sessions = match via {
            Some(Topic::Conversation(_)) => inside,
            Some(_) => outside(),
            None => {
                let outside = outside();
                inside.into_iter().chain(outside).collect()
            }
        };
        self.to_sessions(envelope, &sessions, false);
    }

    pub(super) fn removed(
        &self,
        envelope: &Envelope,
        conversation: &ConversationId,
        users: &[UserId],
    ) {
        let sessions: Vec<_> = users.iter().flat_map(|u| self.sessions_of(u)).collect();
        for session in &sessions {
            self.leave(conversation, session);
        }
        self.to_sessions(envelope, &sessions, false);
    }
}

/// The hub as the use cases and the other nodes see it.
pub struct LocalHub {
    /// This node's connections.
    pub hub: Arc<Hub>,
    /// Which knows what they were told of whom.
    pub presence: Arc<dyn Presence>,
}

impl Local for LocalHub {
    fn deliver(&self, envelope: &Envelope, via: Option<&Topic>) {
        let hub = &self.hub;
        match &envelope.event {
            Event::MessageCreated {
                message,
                participants,
            } => {
                hub.message(envelope, message, hearers(via, participants));
            }
            Event::MessageDelivered(receipt) => hub.to_users(envelope, [&receipt.sender], false),
            Event::MessageRead(receipt) => hub.read(envelope, receipt, via),
            Event::Typing { conversation, .. } => {
                hub.to_sessions(envelope, &hub.listeners(conversation), true);
            }
            Event::Presence { audience, info, .. } => {
                if via.is_some() && !self.presence.heard(&info.user, info.online) {
                    return;
                }
                let audience = hearers(via, audience);
                hub.to_users(envelope, audience, true);
                hub.roster.contacts_changed(audience);
            }
            Event::OnlineChanged => hub.roster.changed(),
            Event::ConversationUpdated { conversation, .. } => match via {
                Some(_) => hub.to_users(envelope, hearers(via, &[]), false),
                None => {
                    let users = conversation.participants.iter().map(|p| &p.profile.id);
                    hub.to_users(envelope, users, false);
                }
            },
            Event::ConversationDeleted {
                conversation,
                audience,
            } => {
                hub.removed(envelope, conversation, hearers(via, audience));
                if via.is_none() {
                    for session in hub.in_room(conversation) {
                        hub.leave(conversation, &session);
                    }
                }
            }
            Event::ParticipantRemoved { conversation, user } => {
                hub.removed(envelope, conversation, std::slice::from_ref(user));
            }
            Event::Orders(orders) => {
                if via.is_some() {
                    hub.controls.learn(orders);
                }
                hub.obey(orders);
            }
            Event::Emit { user, name, args } => {
                let event = RawEvent::text(event_text(name, args.get()));
                hub.emit_raw(&Packet::raw(&event, true), &hub.sessions_of(user), false);
            }
        }
    }

    fn comes_again(&self, message: &MessageId) {
        self.hub.notified.note(message);
    }

    fn obey(&self, orders: &[Order]) {
        self.hub.obey(orders);
    }

    fn missed(&self) {
        self.hub.heal.wake();
        self.presence.missed();
    }
}

/// The users that an event is for: all of them, or the one whose topic it came by.
fn hearers<'a>(via: Option<&'a Topic>, all: &'a [UserId]) -> &'a [UserId] {
    match via {
        None => all,
        Some(Topic::User(user)) => std::slice::from_ref(user),
        Some(Topic::Conversation(_) | Topic::Online | Topic::Orders | Topic::Room(_)) => &[],
    }
}
