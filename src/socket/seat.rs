//! Whose connection it is: known from its token when it is admitted, or, where
//! `auth.trust_new_user` is on, from the first event in which it says so itself.

use std::sync::Arc;

use parking_lot::Mutex;
use socketioxide_core::Sid;

use super::{
    frame::Packet,
    inbound::Raw,
    line::Cut,
    peer::Peer,
    server::{self, Edge, SocketPathState, TOO_MANY_CONNECTIONS_RETRY},
    session::{Session, SessionParts},
};
use crate::{
    chat::{ChatError, Command, UserId},
    dialect::{Dialect, Inbound, RuleId},
    limits::EventBucket,
    telemetry,
};

/// The place of one connection.
pub struct Seat(Mutex<State>);

enum State {
    /// It has not said whose it is.
    Nameless(Box<Nameless>),
    /// It is this connection.
    Taken(Arc<Session>),
    /// It is closed.
    Gone,
}

/// What a connection is made of once it is known whose it is.
pub struct Nameless {
    /// As socketioxide knows it.
    pub sid: Sid,
    /// Which words it speaks.
    pub dialect: Arc<Dialect>,
    /// How many events it may send.
    pub bucket: EventBucket,
    /// The path that it came in by.
    pub path: Arc<SocketPathState>,
    /// The other end.
    pub peer: Arc<Peer>,
}

impl Seat {
    /// The place of a connection whose token told whose it is.
    pub fn of(session: Arc<Session>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Taken(session))))
    }

    /// The place of a connection that is yet to say so.
    pub fn nameless(nameless: Nameless) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Nameless(Box::new(nameless)))))
    }

    /// The connection that an event is for. One that has no name yet gets it by an introduction;
    /// any other event of it is refused, and there is nobody to handle it.
    pub fn session(&self, edge: &Arc<Edge>, raw: &Raw) -> Option<Arc<Session>> {
        let mut state = self.0.lock();
        let nameless = match &*state {
            State::Taken(session) => return Some(session.clone()),
            State::Gone => return None,
            State::Nameless(nameless) => nameless,
        };
        match nameless.introduced(edge, raw) {
            Ok(session) => {
                *state = State::Taken(session.clone());
                // Under the lock: its end cannot be handled before its beginning is on its way.
                edge.tasks
                    .spawn(server::begin(edge.clone(), session.clone()));
                Some(session)
            }
            Err((rule, error)) => {
                metrics::counter!(telemetry::EVENTS_REFUSED_TOTAL, "code" => error.code.as_str())
                    .increment(1);
                nameless.refuse(raw.ack, rule, &error);
                None
            }
        }
    }

    /// The connection closed; it is returned if it had a name.
    pub fn leave(&self) -> Option<Arc<Session>> {
        match std::mem::replace(&mut *self.0.lock(), State::Gone) {
            State::Taken(session) => Some(session),
            State::Nameless(_) | State::Gone => None,
        }
    }
}

impl Nameless {
    fn introduced(
        &self,
        edge: &Arc<Edge>,
        raw: &Raw,
    ) -> Result<Arc<Session>, (Option<RuleId>, ChatError)> {
        if let Err(wait) = self.bucket.check() {
            // Whoever has no name has no reason to say much.
            self.peer.cut(Cut::Flood);
            return Err((None, ChatError::rate_limited(wait)));
        }
        match self.dialect.decode(&raw.data) {
            Ok(Inbound {
                rule,
                command: Command::Introduce { user: Some(user) },
                claimed,
            }) if claimed.as_ref().is_none_or(|c| c == &user) => {
                self.session(edge, user).map_err(|e| (Some(rule), e))
            }
            Ok(inbound) => Err((
                Some(inbound.rule),
                ChatError::unauthorized("say first who you are"),
            )),
            Err(refused) => Err((refused.rule, refused.error)),
        }
    }

    fn session(&self, edge: &Arc<Edge>, user: UserId) -> Result<Arc<Session>, ChatError> {
        let identity = edge.auth.believe(user)?;
        let standing = edge.hub.controls.standing(identity.proof);
        let slot = edge
            .limits
            .connection_of_user(&identity.profile.id)
            .ok_or_else(|| ChatError::rate_limited(TOO_MANY_CONNECTIONS_RETRY))?;
        Ok(Session::new(SessionParts {
            sid: self.sid,
            profile: identity.profile,
            expires_at: None,
            standing,
            dialect: self.dialect.clone(),
            bucket: edge.limits.event_bucket(),
            edge: Arc::downgrade(edge),
            path: self.path.clone(),
            peer: self.peer.clone(),
            slot,
        }))
    }

    /// Through socketioxide's own queue: the way past it opens with the name.
    fn refuse(&self, ack: Option<i64>, rule: Option<RuleId>, error: &ChatError) {
        let packet = match ack {
            Some(id) => Some(Packet::ack(id, self.dialect.ack_error(rule, error))),
            None => self.dialect.error(rule, error).map(Packet::event),
        };
        if let Some(packet) = packet {
            // What does not fit is lost to a client that takes nothing.
            let _ = self.path.door().send(self.sid, &packet);
        }
    }
}
