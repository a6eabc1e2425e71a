//! One event in the words of every dialect that hears it: each encoded once, however many
//! connections there are.

use std::sync::Arc;

use super::{frame::Packet, session::Session};
use crate::chat::{DeviceId, Envelope, Event, Hearer, UserId};

/// Encodes one event lazily, once per dialect and role.
pub struct Words<'a> {
    event: &'a Event,
    origin: Option<&'a DeviceId>,
    /// The user who caused the event.
    by: Option<&'a UserId>,
    // A list, because two or three entries are all that there ever are.
    encoded: Vec<(usize, Hearer, Arc<[Packet]>)>,
}

impl<'a> Words<'a> {
    /// The words for an event.
    pub fn of(envelope: &'a Envelope) -> Self {
        Self {
            event: &envelope.event,
            origin: envelope.origin.as_ref(),
            by: envelope.event.by(),
            encoded: Vec::new(),
        }
    }

    /// The event.
    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// What this connection hears as one in the room (or addressed by itself).
    pub fn for_session(&mut self, session: &Session) -> Arc<[Packet]> {
        let hearer = if self.origin == Some(&session.device) {
            Hearer::Origin
        } else if self.by == Some(&session.actor.profile.id) {
            Hearer::OwnDevice
        } else {
            Hearer::Other
        };
        self.get(session, hearer)
    }

    /// What this connection hears as one of a participant outside the room.
    pub fn for_absent(&mut self, session: &Session) -> Arc<[Packet]> {
        self.get(session, Hearer::Absent)
    }

    fn get(&mut self, session: &Session, hearer: Hearer) -> Arc<[Packet]> {
        let index = session.dialect.index();
        if let Some((_, _, words)) = self
            .encoded
            .iter()
            .find(|(i, h, _)| *i == index && *h == hearer)
        {
            return words.clone();
        }
        let words: Arc<[Packet]> = session
            .dialect
            .encode(self.event, hearer)
            .into_iter()
            .map(Packet::event)
            .collect();
        self.encoded.push((index, hearer, words.clone()));
        words
    }
}
