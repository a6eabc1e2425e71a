//! Rooms of other backends' making: they name them, and they say who is in them.
//!
//! Who is in is true at once; that this node listens to what is emitted to such a room alone follows
//! behind, in order.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use super::session::Session;
use crate::chat::{Bus, DeviceId, Topic};

/// Rooms of one connection at most.
const MAX_ROOMS: usize = 256;

/// The rooms and who is in them.
pub struct Named {
    state: Arc<Mutex<State>>,
    bus: Arc<dyn Bus>,
}

#[derive(Default)]
struct State {
    rooms: HashMap<Arc<str>, Vec<Arc<Session>>>,
    of: HashMap<DeviceId, HashSet<Arc<str>>>,
    /// Rooms to listen to, or to listen to no more.
    changes: VecDeque<Change>,
    /// Whether a task works them off.
    working: bool,
}

struct Change {
    room: Arc<str>,
    listen: bool,
}

impl Named {
    /// No rooms.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            state: Arc::default(),
            bus,
        }
    }

    /// Those in a room.
    pub fn members(&self, room: &str) -> Vec<Arc<Session>> {
        let state = self.state.lock();
        state.rooms.get(room).cloned().unwrap_or_default()
    }

    /// The rooms that a connection is in.
    pub fn rooms_of(&self, session: &Session) -> Vec<Arc<str>> {
        let state = self.state.lock();
        let rooms = state.of.get(&session.device);
        rooms.into_iter().flatten().cloned().collect()
    }

    /// All rooms.
    pub fn rooms(&self) -> Vec<Arc<str>> {
        self.state.lock().rooms.keys().cloned().collect()
    }

    /// Puts connections into a room.
    pub fn join(&self, room: &str, sessions: &[Arc<Session>]) {
        let mut state = self.state.lock();
        let room: Arc<str> = match state.rooms.get_key_value(room) {
            Some((room, _)) => room.clone(),
            None => room.into(),
        };
        for session in sessions {
            state.join(&room, session);
        }
        self.work(state);
    }

    /// Takes connections out of a room.
    pub fn leave(&self, room: &str, sessions: &[Arc<Session>]) {
        let mut state = self.state.lock();
        for session in sessions {
            state.leave(room, &session.device);
        }
        self.work(state);
    }

    /// Takes a connection that closed out of all of them.
    pub fn forget(&self, session: &Session) {
        let mut state = self.state.lock();
        let rooms = state.of.get(&session.device).cloned();
        for room in rooms.into_iter().flatten() {
            state.leave(&room, &session.device);
        }
        self.work(state);
    }

    fn work(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        if state.changes.is_empty() || state.working {
            return;
        }
        state.working = true;
        drop(state);
        let (state, bus) = (self.state.clone(), self.bus.clone());
        tokio::spawn(async move {
            while let Some(Change { room, listen }) = next(&state) {
                match listen {
                    true => bus.subscribe(Topic::Room(room)).await,
                    false => bus.unsubscribe(Topic::Room(room)),
                }
            }
        });
    }
}

fn next(state: &Mutex<State>) -> Option<Change> {
    let mut state = state.lock();
    let change = state.changes.pop_front();
    state.working = change.is_some();
    change
}

impl State {
    fn join(&mut self, room: &Arc<str>, session: &Arc<Session>) {
        // Looked at under the lock, which its end must take, too: nobody stays who is gone.
        if !session.is_live() {
            return;
        }
        let rooms = self.of.entry(session.device.clone()).or_default();
        if rooms.len() >= MAX_ROOMS || !rooms.insert(room.clone()) {
            return;
        }
        let members = self.rooms.entry(room.clone()).or_default();
        members.push(session.clone());
        if members.len() == 1 {
            self.change(room.clone(), true);
        }
    }

    fn leave(&mut self, room: &str, device: &DeviceId) {
        let Some(rooms) = self.of.get_mut(device) else {
            return;
        };
        let Some(room) = rooms.take(room) else { return };
        if rooms.is_empty() {
            self.of.remove(device);
        }
        let Some(members) = self.rooms.get_mut(&room) else {
            return;
        };
        members.retain(|s| &s.device != device);
        if members.is_empty() {
            self.rooms.remove(&room);
            self.change(room, false);
        }
    }

    fn change(&mut self, room: Arc<str>, listen: bool) {
        self.changes.push_back(Change { room, listen });
    }
}
