//! The other end of an Engine.IO session: where it comes from, what it said in its handshake, and
//! which line carries it at the moment.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock, Weak},
};

use dashmap::DashMap;
use parking_lot::Mutex;
use socketioxide_core::Sid;

use super::{
    frame::Packet,
    line::{Cut, Line},
    outlet::{Bound, MARKER, SendFailed},
    session::Session,
};
use crate::{auth::Credentials, limits::Slot};

/// What the HTTP request that opened a session told.
pub struct Peer {
    /// The client's address.
    pub addr: IpAddr,
    /// Which dialect it asked for in the query, if any.
    pub dialect: Option<String>,
    credentials: Mutex<Option<Credentials>>,
    lines: Mutex<Lines>,
    /// How much may wait for a slow reader.
    send_queue: Bound,
    session: Mutex<Weak<Session>>,
    cut: OnceLock<Cut>,
    sid: OnceLock<Sid>,
    /// Counts the connection against its address for as long as the session lives.
    _slot: Slot,
}

/// The WebSockets of a session; none while it polls.
struct Lines {
    /// Those that carry the session or tried to. All of them are kept, so that nobody can hide a
    /// line from a cut by trying to upgrade once more.
    all: Vec<Arc<Line>>,
    /// The one that carries it.
    active: Option<Arc<Line>>,
}

impl Lines {
    /// The WebSocket that carries the session. If that is new, what is sent there follows what is
    /// still queued in `engine`.
    fn active(&mut self, engine: EngineQueue<'_>) -> Result<Option<&Arc<Line>>, SendFailed> {
        if self.active.is_none()
            && let Some(line) = self.all.iter().find(|l| l.carries()).cloned()
        {
            line.hold();
            engine(&Packet::event(MARKER))?;
            self.active = Some(line);
        }
        Ok(self.active.as_ref())
    }
}

impl Peer {
    /// A peer whose session is about to be made.
    pub fn new(
        addr: IpAddr,
        dialect: Option<String>,
        credentials: Credentials,
        line: Option<Arc<Line>>,
        send_queue: Bound,
        slot: Slot,
    ) -> Arc<Self> {
        Arc::new(Self {
            addr,
            dialect,
            credentials: Mutex::new(Some(credentials)),
            lines: Mutex::new(Lines {
                all: line.iter().cloned().collect(),
                active: line,
            }),
            send_queue,
            session: Mutex::default(),
            cut: OnceLock::new(),
            sid: OnceLock::new(),
            _slot: slot,
        })
    }

    /// The handshake's credentials. They are given away once, so that no connection keeps a
    /// token in memory for its whole life.
    pub fn take_credentials(&self) -> Option<Credentials> {
        self.credentials.lock().take()
    }

    /// The session is about to be carried by this WebSocket.
    pub fn upgrading(&self, line: Arc<Line>) {
        let mut lines = self.lines.lock();
        // Under the lock: a cut sets its reason first and then takes the lines.
        if let Some(reason) = self.cut.get() {
            line.cut(*reason);
        }
        // Lines that nobody else holds belong to streams that are gone.
        lines.all.retain(|l| Arc::strong_count(l) > 1);
        lines.all.push(line);
    }

    /// The connection admitted on this session.
    pub fn set_session(&self, session: &Arc<Session>) {
        *self.session.lock() = Arc::downgrade(session);
    }

    /// The connection admitted on this session, while it lives.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.session.lock().upgrade()
    }

    /// Why the session was or is being ended from this side, if it was.
    pub fn why_cut(&self) -> Option<Cut> {
        let on_a_line = || self.lines.lock().all.iter().find_map(|l| l.why_cut());
        self.cut.get().copied().or_else(on_a_line)
    }

    /// Cuts every line, now and later.
    pub fn cut(&self, reason: Cut) {
        let _ = self.cut.set(reason);
        for line in &self.lines.lock().all {
            line.cut(reason);
        }
    }

    /// Whether the session has an id under which requests may poll.
    pub fn polls(&self) -> bool {
        self.sid.get().is_some()
    }

    /// Whether it polls, and no WebSocket carries it.
    pub fn is_polling(&self) -> bool {
        self.polls() && !self.lines.lock().all.iter().any(|line| line.carries())
    }

    /// A connection is about to be answered: what is sent to it must wait until it is.
    pub fn hold(&self) {
        if let Some(line) = &self.lines.lock().active {
            line.hold();
        }
    }

    /// The answer is queued in `engine`, socketioxide's queue: whatever was sent follows it.
    pub fn open(&self, engine: EngineQueue<'_>) -> Result<(), SendFailed> {
        match self.lines.lock().active {
            Some(_) => engine(&Packet::event(MARKER)),
            None => Ok(()),
        }
    }

    /// Sends a packet: straight to the WebSocket, or through `engine`, socketioxide's queue, while
    /// the session polls.
    pub fn send(&self, packet: &Packet, engine: EngineQueue<'_>) -> Result<(), SendFailed> {
        // The lock keeps packets in order while the session changes from one way to the other.
        let mut lines = self.lines.lock();
        match lines.active(engine)? {
            Some(line) => line.send(packet.frame(line.compress_from()), self.send_queue),
            None => engine(packet),
        }
    }

    /// Has `ask` put something into `engine`, socketioxide's queue, in its place among what is sent.
    pub fn ask<T>(
        &self,
        engine: EngineQueue<'_>,
        ask: impl FnOnce() -> T,
    ) -> Result<T, SendFailed> {
        let mut lines = self.lines.lock();
        let Some(line) = lines.active(engine)? else {
            return Ok(ask());
        };
        line.fence();
        let asked = ask();
        engine(&Packet::event(MARKER))?;
        Ok(asked)
    }

    /// Stops reading from it.
    pub fn pause(&self) {
        self.lines.lock().all.iter().for_each(|l| l.pause());
    }

    /// Reads on.
    pub fn resume(&self) {
        self.lines.lock().all.iter().for_each(|l| l.resume());
    }

    /// Whether writing is stalled, so that what may be dropped should be.
    pub fn is_congested(&self) -> bool {
        self.lines.lock().all.iter().any(|l| l.is_congested())
    }
}

/// Socketioxide's queue of a connection.
type EngineQueue<'a> = &'a dyn Fn(&Packet) -> Result<(), SendFailed>;

/// The sessions that polled at least once, by Engine.IO session id: a later request must come
/// from the address that opened the session, because the id alone is no secret (it equals the
/// Socket.IO id that applications show around).
#[derive(Default)]
pub struct Peers(DashMap<Sid, Arc<Peer>>);

impl Peers {
    /// Remembers a session under its id.
    pub fn insert(&self, sid: Sid, peer: Arc<Peer>) {
        let _ = peer.sid.set(sid);
        self.0.insert(sid, peer);
    }

    /// The peer of a session.
    pub fn get(&self, sid: Sid) -> Option<Arc<Peer>> {
        self.0.get(&sid).map(|p| p.clone())
    }

    /// The ids of all sessions.
    pub fn sids(&self) -> Vec<Sid> {
        self.0.iter().map(|p| *p.key()).collect()
    }

    fn remove(&self, sid: Sid) {
        self.0.remove(&sid);
    }
}

/// Lives in the request that socketioxide keeps for the session's life: with it goes the entry in
/// [`Peers`], however the session ends.
#[derive(Clone)]
pub struct PeerGuard(Arc<Guarded>);

struct Guarded {
    peer: Arc<Peer>,
    peers: Arc<Peers>,
}

impl PeerGuard {
    /// Guards a peer.
    pub fn new(peer: Arc<Peer>, peers: Arc<Peers>) -> Self {
        Self(Arc::new(Guarded { peer, peers }))
    }

    /// The peer.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.0.peer
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(sid) = self.peer.sid.get() {
            self.peers.remove(*sid);
        }
    }
}
