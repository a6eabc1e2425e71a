//! The node's connections as other backends address them: by the names of rooms.

use std::{collections::HashSet, str::FromStr, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use socketioxide_core::Sid;

use super::{frame::Packet, hub::Hub, session::Session};
use crate::chat::{
    ConversationId, RawEmit, RawEvent, RoomNames, SocketInfo, Sockets, Target, UserId,
};

/// The hub for other backends.
pub struct ForeignSockets {
    hub: Arc<Hub>,
    names: RoomNames,
}

impl ForeignSockets {
    /// The hub's connections, in rooms of these names.
    pub fn new(hub: Arc<Hub>, names: RoomNames) -> Self {
        Self { hub, names }
    }

    /// Those in a room; some may be named twice.
    fn room(&self, room: &str) -> Vec<Arc<Session>> {
        let mut found = self.hub.named.members(room);
        if let Some(user) = self.names.as_user(room) {
            found.extend(self.hub.sessions_of(&UserId::trusted(user)));
        }
        if let Some(conversation) = self.names.as_conversation(room) {
            found.extend(self.hub.listeners(&ConversationId::trusted(conversation)));
        }
        if let Ok(sid) = Sid::from_str(room) {
            found.extend(self.hub.sids.get(&sid).map(|s| s.clone()));
        }
        found
    }

    fn select(&self, target: &Target) -> Vec<Arc<Session>> {
        let mut found = match &target.rooms[..] {
            [] => self.hub.sessions(),
            rooms => rooms.iter().flat_map(|room| self.room(room)).collect(),
        };
        let mut seen: HashSet<_> = target
            .except
            .iter()
            .flat_map(|room| self.room(room))
            .map(|session| session.device.clone())
            .collect();
        found.retain(|session| seen.insert(session.device.clone()));
        found
    }

    fn rooms_of(&self, session: &Session) -> Vec<String> {
        let conversations = session.rooms.lock();
        let conversations = conversations.iter().map(|c| self.names.conversation(c));
        [
            session.sid.to_string(),
            self.names.user(&session.actor.profile.id),
        ]
        .into_iter()
        .chain(conversations)
        .chain(
            self.hub
                .named
                .rooms_of(session)
                .iter()
                .map(|r| r.to_string()),
        )
        .collect()
    }
}

impl Sockets for ForeignSockets {
    fn emit(&self, emit: &RawEmit) {
        let packet = Packet::raw(&emit.event, emit.compress);
        self.hub
            .emit_raw(&packet, &self.select(&emit.target), emit.volatile);
    }

    fn ask(&self, emit: &RawEmit, patience: Duration) -> (usize, BoxStream<'static, RawEvent>) {
        let packet = Packet::raw(&emit.event, emit.compress);
        let acks: Vec<_> = self
            .select(&emit.target)
            .iter()
            .filter_map(|session| session.ask(&packet, patience))
            .map(StreamExt::boxed)
            .collect();
        (acks.len(), stream::select_all(acks).boxed())
    }

    fn join(&self, target: &Target, rooms: &[String]) {
        let sessions = self.select(target);
        for room in rooms {
            self.hub.named.join(room, &sessions);
        }
    }

    fn leave(&self, target: &Target, rooms: &[String]) {
        let sessions = self.select(target);
        for room in rooms {
            self.hub.named.leave(room, &sessions);
        }
    }

    fn disconnect(&self, target: &Target) {
        for session in self.select(target) {
            session.ban(None);
        }
    }

    fn list(&self, target: &Target) -> Vec<SocketInfo> {
        let info = |session: Arc<Session>| SocketInfo {
            id: session.sid.to_string(),
            rooms: self.rooms_of(&session),
            user: session.actor.profile.clone(),
            dialect: session.dialect.name().to_owned(),
        };
        self.select(target).into_iter().map(info).collect()
    }

    fn rooms(&self) -> HashSet<String> {
        let hub = &self.hub;
        let sids = hub.sids.iter().map(|s| s.key().to_string());
        let users = hub.users.iter().map(|u| self.names.user(u.key()));
        let conversations = hub.conversations();
        let conversations = conversations.iter().map(|c| self.names.conversation(c));
        let named = hub.named.rooms();
        let named = named.iter().map(|r| r.to_string());
        sids.chain(users)
            .chain(conversations)
            .chain(named)
            .collect()
    }
}
