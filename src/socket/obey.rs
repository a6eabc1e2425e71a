//! Connections that are sent away: orders are carried out on those that this node has.
//!
//! Whoever is being admitted while an order comes is not found by it, but compared with what is
//! known once in the hub ([`Hub::mind`]). So each connection meets each order one way or the other.

use std::sync::Arc;

use super::{hub::Hub, session::Session};
use crate::{
    auth::AuthError,
    chat::{Ending, Order, Subject},
    telemetry,
};

impl Hub {
    /// Carries orders out. What they say is known to the hub's controls already.
    pub(super) fn obey(&self, orders: &[(i64, Order)]) {
        let mut tokens = false;
        for (_, order) in orders {
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
            }
        }
        if tokens {
            // Once for any number of tokens: connections are not listed by what they stand on.
            for session in self.sessions() {
                self.mind(&session);
            }
        }
        metrics::gauge!(telemetry::REVOCATIONS).set(self.controls.revocations() as f64);
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
