//! Events that backends emit in their own words, past the dialects, and the port by which they
//! reach this node's sockets.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde_json::Value;

use super::{ChatError, ChatResult, ConversationId, Profile, UserId};

/// Names with a meaning of their own in Socket.IO: `RESERVED_EVENTS` of socket.io 4, and those of
/// socket.io-client 4. Clients refuse or misread them.
const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];
const MAX_EVENT_CHARS: usize = 128;

/// Refuses names that an event of a backend's own cannot have.
pub fn check_event_name(name: &str) -> ChatResult<()> {
    if RESERVED_EVENTS.contains(&name) {
        let text = "the event's name is one of Socket.IO's own";
        return Err(ChatError::invalid(text));
    }
    if name.is_empty()
        || name.chars().count() > MAX_EVENT_CHARS
        || name.chars().any(char::is_control)
    {
        return Err(ChatError::invalid(format!(
            "event must be 1 to {MAX_EVENT_CHARS} characters without control characters"
        )));
    }
    Ok(())
}

/// A Socket.IO event or ack as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    /// A JSON array: `["name", arg, ...]` of an event, `[arg, ...]` of an ack. Where binary data
    /// belongs stands `{"_placeholder":true,"num":n}`.
    pub data: Arc<str>,
    /// The binary data, by `num`.
    pub attachments: Arc<[Bytes]>,
}

impl RawEvent {
    /// An event without binary data.
    pub fn text(data: impl Into<Arc<str>>) -> Self {
        Self {
            data: data.into(),
            attachments: Arc::default(),
        }
    }
}

/// Which connections are meant, by the names of rooms: a user's connections, those in a
/// conversation's room, one connection by its id, or those that were made to join a room of that
/// name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Those in any of these rooms; all connections if there are none.
    pub rooms: Vec<String>,
    /// But not those in one of these.
    pub except: Vec<String>,
}

impl Target {
    /// Those in one room.
    pub fn room(room: impl Into<String>) -> Self {
        Self {
            rooms: vec![room.into()],
            except: Vec::new(),
        }
    }

    /// Whether all connections are meant, or all but some.
    pub fn is_everybody(&self) -> bool {
        self.rooms.is_empty()
    }
}

/// An event of a backend's own on its way to connections. At most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEmit {
    /// What they hear.
    pub event: RawEvent,
    /// Who hears it.
    pub target: Target,
    /// Whether a congested connection may miss it.
    pub volatile: bool,
    /// Whether it may be compressed.
    pub compress: bool,
}

/// Servers that are none of this gateway's nodes. They do what they are told in the order of the
/// calls, none of which blocks.
pub trait OtherServers: Send + Sync + 'static {
    /// Has them deliver an event to their connections. At most once.
    fn tell(&self, emit: &RawEmit);

    /// Has them take connections out of a room. Where they cannot be reached for a while, it may be
    /// said twice then.
    fn leave(&self, target: &Target, room: &str);

    /// Has them close connections for good; as [`OtherServers::leave`].
    fn disconnect(&self, target: &Target);
}

/// A connection as other backends may know it.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketInfo {
    /// Its Socket.IO id.
    pub id: String,
    /// The names of the rooms that it is in, its own id among them.
    pub rooms: Vec<String>,
    /// Whose it is.
    pub user: Profile,
    /// Which words it speaks.
    pub dialect: String,
}

/// This node's connections, for other backends. Never blocks.
pub trait Sockets: Send + Sync + 'static {
    /// Delivers an event.
    fn emit(&self, emit: &RawEmit);

    /// Delivers an event that asks for acks. Returns to how many connections, and the acks of those
    /// that answer within `patience`.
    fn ask(&self, emit: &RawEmit, patience: Duration) -> (usize, BoxStream<'static, RawEvent>);

    /// Makes connections join rooms, which they leave when they close.
    fn join(&self, target: &Target, rooms: &[String]);

    /// Makes connections leave rooms that they were made to join. A user's and a conversation's own
    /// connections stay.
    fn leave(&self, target: &Target, rooms: &[String]);

    /// Closes connections for good: their clients do not come back by themselves.
    fn disconnect(&self, target: &Target);

    /// These connections.
    fn list(&self, target: &Target) -> Vec<SocketInfo>;

    /// The names of all rooms with a connection in them.
    fn rooms(&self) -> HashSet<String>;
}

/// The names of the rooms that users' and conversations' connections are in, for other backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomNames {
    /// What stands before a user's id.
    pub user_prefix: String,
    /// What stands before a conversation's id.
    pub conversation_prefix: String,
}

impl RoomNames {
    /// The room of a user's connections.
    pub fn user(&self, id: &UserId) -> String {
        format!("{}{id}", self.user_prefix)
    }

    /// The room of the connections in a conversation.
    pub fn conversation(&self, id: &ConversationId) -> String {
        format!("{}{id}", self.conversation_prefix)
    }

    /// The user whose connections are in a room of that name, if it is such a name.
    pub fn as_user<'a>(&self, room: &'a str) -> Option<&'a str> {
        room.strip_prefix(&self.user_prefix)
    }

    /// The conversation whose connections are in a room of that name, if it is such a name.
    pub fn as_conversation<'a>(&self, room: &'a str) -> Option<&'a str> {
        room.strip_prefix(&self.conversation_prefix)
    }
}

/// `["name", ...args]` of a name and a JSON array.
pub fn event_text(name: &str, args: &str) -> String {
    let name = Value::from(name);
    let inner = args.trim().strip_prefix('[').map(str::trim_start);
    match inner {
        None | Some("]") => format!("[{name}]"),
        Some(inner) => format!("[{name},{inner}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backends_own_arguments_pass_through() {
        for (args, text) in [
            ("[]", r#"["order \"paid\""]"#),
            (" [ ] ", r#"["order \"paid\""]"#),
            (r#"[{"a":[1]},"b"]"#, r#"["order \"paid\"",{"a":[1]},"b"]"#),
        ] {
            assert_eq!(event_text("order \"paid\"", args), text);
        }
    }

    #[test]
    fn names_of_socket_ios_own_are_refused() {
        for name in ["", "disconnect", "a\nb", &"x".repeat(129)] {
            assert!(check_event_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "order paid", "connected", &"ü".repeat(128)] {
            assert!(check_event_name(name).is_ok(), "{name:?}");
        }
    }
}
