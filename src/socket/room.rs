//! A conversation's connections on this node, and the order in which messages reach them.
//!
//! Messages of a conversation arrive here from sends of this node, which finish in any order, and
//! from other nodes, which may lose some. They leave in seq order without a gap: an early one
//! waits, a repeated one is dropped, a missing one is read from the store.

use std::{collections::BTreeMap, sync::Arc};

use crate::chat::{DeviceId, Envelope, Event};

use super::session::Session;

/// Messages that may wait for a missing one before the room starts over from the store.
const MAX_PARKED: usize = 4096;

/// A connection in the room.
pub struct Member {
    /// The connection.
    pub session: Arc<Session>,
    /// It has heard everything up to this seq, by its page or by live events.
    cursor: u64,
    /// While its page is being read: the messages that came meanwhile.
    held: Option<Vec<(u64, Envelope)>>,
}

/// The room of one conversation.
#[derive(Default)]
pub struct Room {
    /// The seq that goes out next; unknown until a first page was read.
    next: Option<u64>,
    /// The newest seq that a page of the store showed.
    known: u64,
    /// Messages that came early.
    parked: BTreeMap<u64, Envelope>,
    /// Everybody in the room.
    members: Vec<Member>,
    /// Whether somebody is waiting for a gap to close or closing it.
    pub filling: bool,
}

/// A message on its way out, and whom it goes to.
pub type Emit<'a> = &'a mut dyn FnMut(&Envelope, &Arc<Session>);

impl Room {
    /// Adds a connection whose page is about to be read. `false`: it is in already.
    pub fn enter(&mut self, session: &Arc<Session>) -> bool {
        if self.has(&session.device) {
            return false;
        }
        self.members.push(Member {
            session: session.clone(),
            cursor: 0,
            held: Some(Vec::new()),
        });
        true
    }

    /// Takes a connection out.
    pub fn leave(&mut self, device: &DeviceId) -> bool {
        let before = self.members.len();
        self.members.retain(|m| &m.session.device != device);
        self.members.len() < before
    }

    /// Whether the connection is in the room.
    pub fn has(&self, device: &DeviceId) -> bool {
        self.members.iter().any(|m| &m.session.device == device)
    }

    /// Whether nobody is in the room.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Everybody in the room.
    pub fn sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.members.iter().map(|m| &m.session)
    }

    /// The connection has its page, which reaches to `last_seq`: what came meanwhile goes out.
    pub fn activate(&mut self, device: &DeviceId, last_seq: u64, emit: Emit<'_>) {
        if let Some(m) = self
            .members
            .iter_mut()
            .find(|m| &m.session.device == device)
        {
            m.cursor = m.cursor.max(last_seq);
            for (seq, envelope) in m.held.take().unwrap_or_default() {
                if seq > m.cursor {
                    m.cursor = seq;
                    emit(&envelope, &m.session);
                }
            }
        }
        self.known = self.known.max(last_seq);
        if self.next.is_none() {
            self.next = Some(last_seq + 1);
            self.parked = self.parked.split_off(&(last_seq + 1));
            self.release(emit);
        }
    }

    /// Takes a message in and sends out what is next in order.
    pub fn accept(&mut self, seq: u64, envelope: &Envelope, emit: Emit<'_>) {
        match self.next {
            Some(next) if seq < next => {}
            Some(next) if seq == next => {
                self.send(seq, envelope, emit);
                self.next = Some(next + 1);
                self.release(emit);
            }
            _ => {
                self.parked.insert(seq, envelope.clone());
                if self.parked.len() > MAX_PARKED {
                    // The gap is filled from the store anyway; what is parked only saves a read.
                    self.parked.pop_last();
                }
            }
        }
    }

    /// The seqs that are missing although later ones are here or the store has shown them:
    /// `(after, until)`, `until` inclusive.
    pub fn gap(&self) -> Option<(u64, u64)> {
        let next = self.next?;
        let until = self
            .parked
            .first_key_value()
            .map_or(self.known, |(first, _)| first - 1);
        (until >= next).then(|| (next - 1, until))
    }

    fn release(&mut self, emit: Emit<'_>) {
        while let (Some(next), Some(entry)) = (self.next, self.parked.first_entry()) {
            if *entry.key() > next {
                return;
            }
            let (seq, envelope) = entry.remove_entry();
            if seq == next {
                self.send(seq, &envelope, emit);
                self.next = Some(next + 1);
            }
        }
    }

    fn send(&mut self, seq: u64, envelope: &Envelope, emit: Emit<'_>) {
        debug_assert!(matches!(envelope.event, Event::MessageCreated { .. }));
        for m in &mut self.members {
            if let Some(held) = &mut m.held {
                held.push((seq, envelope.clone()));
            } else if seq > m.cursor {
                m.cursor = seq;
                emit(envelope, &m.session);
            }
        }
    }
}
