//! Connections that are sent away: orders are carried out on those that this node has.
//!
//! Whoever is being admitted while an order comes is not found by it, but compared with what is
//! known once in the hub (`Hub::mind`). So each connection meets each order one way or the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{hub::Hub, session::Session};
use crate::{
    auth::AuthError,
    chat::{Ending, Order, Subject},
    telemetry,
};

/// Time between two looks at all connections. They are not listed by the tokens that they showed,
/// because most tokens are never revoked.
const REST: Duration = Duration::from_millis(100);

/// When all connections are looked at.
#[derive(Default)]
pub(super) struct Rounds(Mutex<Round>);

#[derive(Default)]
struct Round {
    last: Option<Instant>,
    due: bool,
}

impl Rounds {
    /// How long to wait before a round; `None`: one is due already.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let mut round = self.0.lock();
        if std::mem::replace(&mut round.due, true) {
            return None;
        }
        let next = round.last.map_or(now, |last| last + REST);
        Some(next.saturating_duration_since(now))
    }

    /// A round begins: whatever comes from now on needs another one.
    fn begin(&self, now: Instant) {
        let mut round = self.0.lock();
        round.last = Some(now);
        round.due = false;
    }
}

impl Hub {
    /// Carries orders out. What they say is known to the hub's controls already.
    pub(super) fn obey(self: &Arc<Self>, orders: &[Order]) {
        let mut tokens = false;
        let mut doubtful = Vec::new();
        for order in orders {
            match &order.subject {
                Subject::Tokens(user) | Subject::User(user) | Subject::Devices(user) => {
                    for session in self.sessions_of(user) {
                        self.mind(&session);
                    }
                }
                Subject::Device(user, device) => {
                    let mut sessions = self.sessions_of(user).into_iter();
                    if let Some(session) = sessions.find(|s| &s.device == device) {
                        session.ban(None);
                    }
                }
                Subject::Token(_) => tokens = true,
                Subject::Members(id) if self.room(id).is_some() => doubtful.push(id.clone()),
                Subject::Members(_) => {}
            }
        }
        if !doubtful.is_empty() {
            self.heal.doubt(doubtful);
        }
        if tokens && let Some(wait) = self.rounds.wait(Instant::now()) {
            match wait.is_zero() {
                true => self.mind_all(),
                false => {
                    let hub = self.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(wait).await;
                        hub.mind_all();
                    });
                }
            }
        }
        metrics::gauge!(telemetry::REVOCATIONS).set(self.controls.revocations() as f64);
    }

    fn mind_all(&self) {
        self.rounds.begin(Instant::now());
        for session in self.sessions() {
            self.mind(&session);
        }
    }

    /// Sends a connection away if there is an order to.
    pub(super) fn mind(&self, session: &Arc<Session>) {
        let user = &session.actor.profile.id;
        // A statement of its own, so that the lock is free again.
        let ending = self.controls.ends(user, &session.standing());
        match ending {
            None => {}
            Some(Ending::Dismissed) => session.ban(None),
            Some(Ending::Refused(_)) => session.ban(Some(&AuthError::TokenRevoked.into())),
        }
    }
}
