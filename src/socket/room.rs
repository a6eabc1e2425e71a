//! A conversation's connections on this node, and the order in which messages reach them.
//!
//! Messages of a conversation arrive here from sends of this node, which finish in any order, and
//! from other nodes, which may lose some. They leave in seq order without a gap: an early one
//! waits, a repeated one is dropped, a missing one is read from the store.

use std::collections::BTreeMap;

use crate::chat::{DeviceId, Envelope, Event};

/// Messages that may wait for a missing one before the room starts over from the store.
const MAX_PARKED: usize = 4096;

/// A connection in the room.
struct Member<S> {
    /// Which connection.
    device: DeviceId,
    /// The way to it.
    to: S,
    /// It has heard everything up to this seq, by its page or by live events.
    cursor: u64,
    /// It was found to take part.
    admitted: bool,
    /// While its page is being read: the messages that came meanwhile.
    held: Option<Vec<(u64, Envelope)>>,
}

/// The room of one conversation. `S` is the way to a connection.
pub struct Room<S> {
    /// The seq that goes out next; unknown until a first page was read.
    next: Option<u64>,
    /// The newest seq that a page of the store showed.
    known: u64,
    /// Messages that came early.
    parked: BTreeMap<u64, Envelope>,
    /// Everybody in the room.
    members: Vec<Member<S>>,
    /// Whether somebody is waiting for a gap to close or closing it.
    pub filling: bool,
}

/// A message on its way out, and whom it goes to.
pub type Emit<'a, S> = &'a mut dyn FnMut(&Envelope, &S);

impl<S> Default for Room<S> {
    fn default() -> Self {
        Self {
            next: None,
            known: 0,
            parked: BTreeMap::new(),
            members: Vec::new(),
            filling: false,
        }
    }
}

impl<S> Room<S> {
    /// Adds a connection whose page is about to be read. `false`: it is in already.
    pub fn enter(&mut self, device: &DeviceId, to: S) -> bool {
        if self.has(device) {
            return false;
        }
        self.members.push(Member {
            device: device.clone(),
            to,
            cursor: 0,
            admitted: false,
            held: Some(Vec::new()),
        });
        true
    }

    /// The connection was found to take part: it hears from now on what is no message. Messages
    /// still wait for [`Room::activate`].
    pub fn admit(&mut self, device: &DeviceId) {
        if let Some(m) = self.members.iter_mut().find(|m| &m.device == device) {
            m.admitted = true;
        }
    }

    /// Takes a connection out.
    pub fn leave(&mut self, device: &DeviceId) -> bool {
        let before = self.members.len();
        self.members.retain(|m| &m.device != device);
        self.members.len() < before
    }

    /// Whether the connection is in the room.
    pub fn has(&self, device: &DeviceId) -> bool {
        self.members.iter().any(|m| &m.device == device)
    }

    /// Whether nobody is in the room.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Those in the room who were found to take part; of the others it is not known yet.
    pub fn listeners(&self) -> impl Iterator<Item = &S> {
        self.members.iter().filter(|m| m.admitted).map(|m| &m.to)
    }

    /// Everybody in the room.
    pub fn sessions(&self) -> impl Iterator<Item = &S> {
        self.members.iter().map(|m| &m.to)
    }

    /// The connection has its page, which reaches to `last_seq`: what came meanwhile goes out.
    ///
    /// Pages of several connections may reach differently far. The room goes on from the shortest;
    /// whoever has more already is spared by its own cursor.
    pub fn activate(&mut self, device: &DeviceId, last_seq: u64, emit: Emit<'_, S>) {
        let Some(m) = self.members.iter_mut().find(|m| &m.device == device) else {
            return;
        };
        m.admitted = true;
        m.cursor = m.cursor.max(last_seq);
        let start = m.cursor + 1;
        for (seq, envelope) in m.held.take().unwrap_or_default() {
            self.parked.entry(seq).or_insert(envelope);
        }
        self.shown(last_seq);
        let next = self.next.map_or(start, |next| next.min(start));
        self.next = Some(next);
        self.parked = self.parked.split_off(&next);
        self.release(emit);
    }

    /// Takes a message in and sends out what is next in order.
    pub fn accept(&mut self, seq: u64, envelope: &Envelope, emit: Emit<'_, S>) {
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

    /// The store was seen to have messages up to this seq.
    pub fn shown(&mut self, last_seq: u64) {
        self.known = self.known.max(last_seq);
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

    fn release(&mut self, emit: Emit<'_, S>) {
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

    fn send(&mut self, seq: u64, envelope: &Envelope, emit: Emit<'_, S>) {
        debug_assert!(matches!(envelope.event, Event::MessageCreated { .. }));
        for m in &mut self.members {
            if let Some(held) = &mut m.held {
                held.push((seq, envelope.clone()));
            } else if seq > m.cursor {
                m.cursor = seq;
                emit(envelope, &m.to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chat::{ConversationId, Message, MessageId, Millis, Profile, UserId};

    fn message(seq: u64) -> Envelope {
        let message = Arc::new(Message {
            id: MessageId::trusted(format!("m{seq}")),
            conversation: ConversationId::trusted("c"),
            seq,
            sender: Profile::unknown(UserId::trusted("ann")),
            client_id: None,
            kind: "text".into(),
            content: "x".into(),
            attachments: Arc::from([]),
            metadata: None,
            created_at: Millis(0),
        });
        let participants = Arc::default();
        Envelope {
            origin: None,
            event: Event::MessageCreated {
                message,
                participants,
            },
        }
    }

    /// A room whose connections are letters, and what each of them heard.
    #[derive(Default)]
    struct Talk {
        room: Room<char>,
        heard: BTreeMap<char, Vec<u64>>,
    }

    impl Talk {
        fn device(who: char) -> DeviceId {
            DeviceId::trusted(who.to_string())
        }

        fn enter(&mut self, who: char) {
            self.room.enter(&Self::device(who), who);
        }

        fn hear(heard: &mut BTreeMap<char, Vec<u64>>, envelope: &Envelope, who: char) {
            let Event::MessageCreated { message, .. } = &envelope.event else {
                unreachable!()
            };
            heard.entry(who).or_default().push(message.seq);
        }

        fn activate(&mut self, who: char, last_seq: u64) {
            let Self { room, heard } = self;
            room.activate(&Self::device(who), last_seq, &mut |e, to| {
                Self::hear(heard, e, *to)
            });
        }

        fn arrive(&mut self, seqs: impl IntoIterator<Item = u64>) {
            let Self { room, heard } = self;
            for seq in seqs {
                room.accept(seq, &message(seq), &mut |e, to| Self::hear(heard, e, *to));
            }
        }

        fn heard(&self, who: char) -> &[u64] {
            self.heard.get(&who).map_or(&[], Vec::as_slice)
        }
    }

    #[test]
    fn early_messages_wait_and_repeated_ones_are_dropped() {
        let mut talk = Talk::default();
        talk.enter('a');
        talk.activate('a', 2);
        talk.arrive([4, 2, 5, 4]);
        assert_eq!(talk.heard('a'), [] as [u64; 0]);
        assert_eq!(talk.room.gap(), Some((2, 3)));
        talk.arrive([3, 3]);
        assert_eq!(talk.heard('a'), [3, 4, 5]);
        assert_eq!(talk.room.gap(), None);
    }

    #[test]
    fn what_comes_while_the_page_is_read_follows_it_once() {
        let mut talk = Talk::default();
        talk.enter('a');
        talk.arrive([8, 9, 10]);
        talk.activate('a', 9);
        assert_eq!(talk.heard('a'), [10]);
        talk.enter('b');
        talk.arrive([11, 12]);
        talk.activate('b', 11);
        talk.arrive([13]);
        assert_eq!(talk.heard('a'), [10, 11, 12, 13]);
        assert_eq!(talk.heard('b'), [12, 13]);
    }

    /// Everybody joins again after a restart, and the pages were read at different times.
    #[test]
    fn a_longer_page_takes_nothing_from_a_connection_with_a_shorter_one() {
        let mut talk = Talk::default();
        talk.enter('a');
        talk.enter('b');
        talk.arrive([9, 10]);
        talk.activate('a', 10);
        talk.activate('b', 8);
        assert_eq!(talk.room.gap(), Some((8, 10)), "to be read from the store");
        talk.arrive([9, 10]);
        assert_eq!(talk.heard('a'), [] as [u64; 0]);
        assert_eq!(talk.heard('b'), [9, 10]);

        let mut talk = Talk::default();
        talk.enter('a');
        talk.enter('b');
        talk.activate('a', 10);
        talk.arrive([9, 10, 11]);
        talk.activate('b', 8);
        talk.arrive([9, 10, 12]);
        assert_eq!(talk.heard('a'), [11, 12]);
        assert_eq!(talk.heard('b'), [9, 10, 11, 12]);
    }

    #[test]
    fn a_page_shows_what_the_room_has_missed() {
        let mut talk = Talk::default();
        talk.enter('a');
        talk.activate('a', 3);
        talk.enter('b');
        talk.activate('b', 6);
        assert_eq!(talk.room.gap(), Some((3, 6)));
        talk.arrive([4, 5, 6, 7]);
        assert_eq!(talk.heard('a'), [4, 5, 6, 7]);
        assert_eq!(talk.heard('b'), [7]);
    }

    #[test]
    fn whoever_left_hears_nothing_and_moves_nothing() {
        let mut talk = Talk::default();
        talk.enter('a');
        talk.enter('b');
        talk.activate('a', 5);
        assert!(talk.room.leave(&Talk::device('b')));
        talk.activate('b', 1);
        talk.arrive([6]);
        assert_eq!(talk.heard('a'), [6]);
        assert_eq!(talk.heard('b'), [] as [u64; 0]);
        assert_eq!(talk.room.gap(), None);
    }

    #[test]
    fn only_those_who_were_admitted_listen() {
        let mut talk = Talk::default();
        talk.enter('a');
        talk.enter('b');
        talk.room.admit(&Talk::device('a'));
        assert_eq!(talk.room.listeners().collect::<Vec<_>>(), [&'a']);
        talk.arrive([1]);
        assert_eq!(talk.heard('a'), [] as [u64; 0], "its page comes first");
    }
}
