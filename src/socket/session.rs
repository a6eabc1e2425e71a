//! One connection: who is behind it, which words it speaks, and how to reach and end it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::Stream;
use parking_lot::{Mutex, MutexGuard};
use socketioxide_core::Sid;

use super::{
    frame::Packet,
    inbound::Inbox,
    line::Cut,
    outlet::SendFailed,
    peer::Peer,
    roster::UNTOLD,
    server::{Edge, SocketPathState},
};
use crate::{
    chat::{
        Actor, ChatError, ConversationId, DeviceId, Millis, Profile, Proof, RawEvent, Standing,
    },
    dialect::{Dialect, RuleId},
    limits::{EventBucket, Slot},
    telemetry,
};

/// Time that a last word has to get out before the transport is cut.
const LAST_WORD: Duration = Duration::from_millis(300);
/// How long a full queue may stay full for those who wait for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often they look.
const LOOK: Duration = Duration::from_millis(20);

/// A live Socket.IO connection.
///
/// It owns neither the socket nor a task, so that an idle connection costs little and nothing
/// keeps a closed one alive.
pub struct Session {
    /// The connection, as other nodes and backends know it.
    pub device: DeviceId,
    /// The connection, as socketioxide knows it. Secret: it opens polling sessions.
    pub sid: Sid,
    /// Who is behind it.
    pub actor: Actor,
    /// Which words it speaks.
    pub dialect: Arc<Dialect>,
    /// Inbound events waiting for their turn.
    pub inbox: Inbox,
    /// How many events it may send.
    pub bucket: EventBucket,
    /// The rooms that it is in.
    pub rooms: Mutex<HashSet<ConversationId>>,
    /// What it was told of who is online, as [`roster`](super::roster) counts it.
    pub told_online: AtomicU64,
    following: AtomicBool,
    edge: Weak<Edge>,
    path: Arc<SocketPathState>,
    peer: Arc<Peer>,
    expires_at: AtomicI64,
    standing: Mutex<Standing>,
    banned: AtomicBool,
    stage: AtomicU8,
    registered: Mutex<bool>,
    _slot: Slot,
}

/// Where a connection is in its life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Admitted, but not yet in the hub.
    New = 0,
    /// In the hub.
    Live = 1,
    /// Being ended from this side: it hears and says nothing more.
    Ending = 2,
    /// Out of the hub.
    Gone = 3,
}

/// What a connection is made of.
pub struct SessionParts {
    /// See [`Session::sid`].
    pub sid: Sid,
    /// The verified user.
    pub profile: Profile,
    /// When the token runs out.
    pub expires_at: Option<Millis>,
    /// What it stands on.
    pub standing: Standing,
    /// See [`Session::dialect`].
    pub dialect: Arc<Dialect>,
    /// See [`Session::bucket`].
    pub bucket: EventBucket,
    /// What all connections need.
    pub edge: Weak<Edge>,
    /// The path that it came in by.
    pub path: Arc<SocketPathState>,
    /// The other end.
    pub peer: Arc<Peer>,
    /// Counts the connection against its user.
    pub slot: Slot,
}

impl Session {
    /// An admitted connection.
    pub fn new(parts: SessionParts) -> Arc<Self> {
        let device = DeviceId::generate();
        let actor = Actor {
            profile: parts.profile,
            device: Some(device.clone()),
            service: false,
        };
        Arc::new(Self {
            device,
            sid: parts.sid,
            actor,
            dialect: parts.dialect,
            inbox: Inbox::new(parts.path.receive_queue),
            bucket: parts.bucket,
            rooms: Mutex::default(),
            told_online: AtomicU64::new(UNTOLD),
            following: AtomicBool::new(false),
            edge: parts.edge,
            path: parts.path,
            peer: parts.peer,
            expires_at: AtomicI64::new(parts.expires_at.map_or(i64::MAX, |t| t.0)),
            standing: Mutex::new(parts.standing),
            banned: AtomicBool::new(false),
            stage: AtomicU8::new(Stage::New as u8),
            registered: Mutex::new(false),
            _slot: parts.slot,
        })
    }

    /// Moves on to `next` from an earlier stage. `false`: it is there or further already.
    pub fn advance(&self, next: Stage) -> bool {
        self.stage.fetch_max(next as u8, Ordering::AcqRel) < next as u8
    }

    /// Runs `add` and makes the connection live, unless it is gone already. Exclusive with
    /// [`Session::retire`], so that whatever `add` did is undone exactly once.
    pub fn enlist(&self, add: impl FnOnce()) -> bool {
        let mut registered = self.registered.lock();
        if self.is_gone() {
            return false;
        }
        add();
        *registered = true;
        self.advance(Stage::Live);
        true
    }

    /// The connection is gone: runs `remove` if it had been added.
    pub fn retire(&self, remove: impl FnOnce()) -> bool {
        let mut registered = self.registered.lock();
        self.advance(Stage::Gone);
        let was = std::mem::take(&mut *registered);
        if was {
            remove();
        }
        was
    }

    /// Whether it is in the hub and may hear and say things.
    pub fn is_live(&self) -> bool {
        self.stage.load(Ordering::Acquire) == Stage::Live as u8
    }

    /// Whether its client has to ask for what it is sent.
    pub fn is_polling(&self) -> bool {
        self.peer.is_polling()
    }

    /// Whether it is out of the hub for good.
    pub fn is_gone(&self) -> bool {
        self.stage.load(Ordering::Acquire) == Stage::Gone as u8
    }

    /// When the connection's token runs out.
    pub fn expires_at(&self) -> Millis {
        Millis(self.expires_at.load(Ordering::Acquire))
    }

    /// A fresh token was accepted.
    pub fn renew(&self, expires_at: Option<Millis>, proof: Proof) {
        self.standing.lock().renew(proof);
        self.expires_at
            .store(expires_at.map_or(i64::MAX, |t| t.0), Ordering::Release);
    }

    /// What it stands on.
    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock()
    }

    /// Whether it was sent away for good.
    pub fn is_banned(&self) -> bool {
        self.banned.load(Ordering::Acquire)
    }

    /// Whether it hears its user's conversations without joining them.
    pub fn is_following(&self) -> bool {
        self.following.load(Ordering::Acquire)
    }

    /// Starts or stops that. `true`: it was not so before.
    pub fn set_following(&self, following: bool) -> bool {
        self.following.swap(following, Ordering::AcqRel) != following
    }

    /// What all connections need, until the node stops.
    pub fn edge(&self) -> Option<Arc<Edge>> {
        self.edge.upgrade()
    }

    /// The other end.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The path that it came in by.
    pub fn path(&self) -> &Arc<SocketPathState> {
        &self.path
    }

    /// Queues an event that must not be lost: if it cannot be queued the connection is cut, so
    /// that the client comes back and resumes from what it has. `false`: it was not queued.
    pub fn deliver(&self, packet: &Packet) -> bool {
        if !self.is_live() {
            return false;
        }
        self.send(packet)
    }

    /// As [`Session::deliver`], but waits while the queue is full, for a while: for those who have
    /// more to send than it holds, to a reader who does take it.
    pub async fn deliver_patiently(&self, packet: &Packet) -> bool {
        let until = Instant::now() + PATIENCE;
        while self.is_live() {
            match self.peer.send(packet, &self.engine_queue()) {
                Err(SendFailed::Full) if Instant::now() < until => tokio::time::sleep(LOOK).await,
                result => return self.sent(result),
            }
        }
        false
    }

    /// Queues an event that may be lost: a congested connection does not get it.
    pub fn deliver_volatile(&self, packet: &Packet) -> bool {
        if self.peer.is_congested() {
            metrics::counter!(telemetry::EVENTS_DROPPED_TOTAL).increment(1);
            return false;
        }
        self.deliver(packet)
    }

    /// Queues an event whatever the stage: greetings and last words.
    pub fn tell(&self, data: String) -> bool {
        self.send(&Packet::event(data))
    }

    /// Queues an ack.
    pub fn ack(&self, id: i64, args: String) -> bool {
        self.send(&Packet::ack(id, args))
    }

    /// Queues an event that asks for an ack, and waits for it. `None`: it was not queued.
    pub fn ask(
        &self,
        packet: &Packet,
        patience: Duration,
    ) -> Option<impl Stream<Item = RawEvent> + Send + use<>> {
        if !self.is_live() {
            return None;
        }
        let ask = || self.path.door().ask(self.sid, packet, patience);
        match self.peer.ask(&self.engine_queue(), ask) {
            Ok(acks) => Some(acks),
            Err(failed) => {
                self.sent(Err(failed));
                None
            }
        }
    }

    /// Tells of a refusal, as an ack where one was asked for, otherwise as the dialect's error
    /// event.
    pub fn refuse(&self, ack: Option<i64>, rule: Option<RuleId>, error: &ChatError) {
        let event = rule.map(|rule| self.dialect.event_name(rule));
        tracing::debug!(code = %error.code, event, device = %self.device, "event refused");
        match ack {
            Some(id) => {
                self.ack(id, self.dialect.ack_error(rule, error));
            }
            None => {
                if let Some(event) = self.dialect.error(rule, error) {
                    self.tell(event);
                }
            }
        }
    }

    /// Socketioxide has queued the connect packet: what is sent from now on follows it.
    pub fn open(&self) {
        self.sent(self.peer.open(&self.engine_queue()));
    }

    fn send(&self, packet: &Packet) -> bool {
        self.sent(self.peer.send(packet, &self.engine_queue()))
    }

    /// Socketioxide's own queue of this connection.
    fn engine_queue(&self) -> impl Fn(&Packet) -> Result<(), SendFailed> {
        |packet| self.path.door().send(self.sid, packet)
    }

    fn sent(&self, result: Result<(), SendFailed>) -> bool {
        match result {
            Ok(()) => true,
            Err(SendFailed::Closed) => false,
            Err(SendFailed::Full) => {
                if self.advance(Stage::Ending) {
                    metrics::counter!(telemetry::SEND_QUEUE_FULL_TOTAL).increment(1);
                    tracing::info!(user = %self.actor.profile.id, device = %self.device, "connection is too slow, closing it to resume");
                    self.cut(Cut::SendQueueFull);
                }
                false
            }
        }
    }

    /// Ends the connection at once and in a way that clients come back from by themselves.
    pub fn cut(&self, reason: Cut) {
        self.advance(Stage::Ending);
        self.peer.cut(reason);
        if self.peer.polls() {
            self.path.close_polling(self.sid);
        }
    }

    /// Says a last word, then ends the connection. It hears and says nothing else from now on.
    pub fn end_with(self: &Arc<Self>, reason: Cut, error: &ChatError) {
        if !self.advance(Stage::Ending) {
            return;
        }
        if let Some(event) = self.dialect.error(None, error) {
            self.tell(event);
        }
        self.cut_soon(reason);
    }

    /// Ends the connection so that its client stays away, as Socket.IO clients do when the server
    /// disconnects the namespace, after a last word if there is one. Works on a stalled reader too.
    pub fn ban(self: &Arc<Self>, last_word: Option<&ChatError>) {
        if !self.advance(Stage::Ending) {
            return;
        }
        self.banned.store(true, Ordering::Release);
        if let Some(event) = last_word.and_then(|error| self.dialect.error(None, error)) {
            self.tell(event);
        }
        self.path.disconnect(self.sid);
        self.cut_soon(Cut::Revoked);
    }

    fn cut_soon(self: &Arc<Self>, reason: Cut) {
        let session = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORD).await;
            session.cut(reason);
        });
    }
}
