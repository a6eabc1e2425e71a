//! What happened, in the gateway's own terms. Dialects put it into clients' words.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{
    Conversation, ConversationId, DeviceId, Message, MessageId, Millis, Order, PresenceInfo,
    Profile, Topic, UserId,
};

/// An event on its way to everyone who must hear of it.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The connection that caused it, if one did.
    pub origin: Option<DeviceId>,
    /// What happened.
    pub event: Event,
}

/// What happened. Which sockets hear it is [`Event`]'s own business as stated on each variant;
/// which words they hear, and whether the causing socket is among them, is the dialect's.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message was committed. For everyone in the room, in seq order without gaps; for the
    /// connections of participants outside the room, as a notification.
    MessageCreated {
        /// The message.
        message: Arc<Message>,
        /// Everybody who took part when it was committed.
        participants: Arc<[UserId]>,
    },
    /// A device confirmed that it received a message. For the message's sender.
    MessageDelivered(Arc<Receipt>),
    /// A participant read up to a message. For everyone in the room and for the message's sender.
    MessageRead(Arc<Receipt>),
    /// A participant started or stopped typing. For the others in the room. At most once.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: Profile,
        /// Whether it started.
        on: bool,
    },
    /// A user came online, went offline, or set another status. At most once.
    Presence {
        /// Who, and how they are now.
        info: PresenceInfo,
        /// What changed.
        change: PresenceChange,
        /// When.
        at: Millis,
        /// Those who share a conversation with them, and themselves.
        audience: Arc<[UserId]>,
    },
    /// Who is online has changed somewhere in the cluster. For nodes with connections that are told
    /// who is online ([`Topic::Online`](super::Topic::Online)). At most once.
    OnlineChanged,
    /// A conversation was made, renamed, or its participants changed. For all participants.
    ConversationUpdated {
        /// As it is now.
        conversation: Arc<Conversation>,
        /// Its newest message.
        last_message: Option<Arc<Message>>,
    },
    /// A conversation was deleted. For those who took part.
    ConversationDeleted {
        /// Which.
        conversation: ConversationId,
        /// Those who took part.
        audience: Arc<[UserId]>,
    },
    /// A participant left or was removed: their connections are out of the room before anything
    /// later is delivered. They hear it as the deletion of the conversation.
    ParticipantRemoved {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Orders were given or lifted. For every node; one that does not hear of it reads them in the
    /// store soon.
    Orders(Arc<[Order]>),
    /// A backend's own event for all connections of a user. At most once.
    Emit {
        /// For whom.
        user: UserId,
        /// The event's name.
        name: Arc<str>,
        /// The arguments as a JSON array.
        args: Arc<RawValue>,
    },
}

impl Event {
    /// The topics by which other nodes hear of it: each of their sockets that it is for listens by
    /// one of these.
    pub fn topics(&self) -> Vec<Topic> {
        let users = |ids: &[UserId]| ids.iter().cloned().map(Topic::User).collect::<Vec<_>>();
        match self {
            Self::MessageCreated {
                message,
                participants,
            } => {
                let mut topics = vec![Topic::Conversation(message.conversation.clone())];
                topics.extend(users(participants));
                topics
            }
            Self::MessageDelivered(receipt) => vec![Topic::User(receipt.sender.clone())],
            Self::MessageRead(receipt) => vec![
                Topic::Conversation(receipt.conversation.clone()),
                Topic::User(receipt.sender.clone()),
            ],
            Self::Typing { conversation, .. } => vec![Topic::Conversation(conversation.clone())],
            Self::Presence { audience, .. } => users(audience),
            Self::OnlineChanged => vec![Topic::Online],
            Self::ConversationUpdated { conversation, .. } => users(&conversation.user_ids()),
            Self::ConversationDeleted { audience, .. } => users(audience),
            Self::ParticipantRemoved { user, .. } | Self::Emit { user, .. } => {
                vec![Topic::User(user.clone())]
            }
            Self::Orders(_) => vec![Topic::Orders],
        }
    }

    /// Whether it ends something that other nodes would otherwise go on with: it is not given up
    /// because they cannot be reached for a while.
    pub fn must_arrive(&self) -> bool {
        matches!(
            self,
            Self::ConversationDeleted { .. } | Self::ParticipantRemoved { .. }
        )
    }

    /// The user who caused it, if a user did.
    pub fn by(&self) -> Option<&UserId> {
        match self {
            Self::MessageCreated { message, .. } => Some(&message.sender.id),
            Self::MessageDelivered(receipt) | Self::MessageRead(receipt) => Some(&receipt.by.id),
            Self::Typing { user, .. } => Some(&user.id),
            Self::Presence { info, .. } => Some(&info.user),
            Self::OnlineChanged
            | Self::ConversationUpdated { .. }
            | Self::ConversationDeleted { .. }
            | Self::ParticipantRemoved { .. }
            | Self::Orders(_)
            | Self::Emit { .. } => None,
        }
    }
}

/// What changed of a user's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceChange {
    /// The first device came.
    Online,
    /// The last device went.
    Offline,
    /// Another status was set.
    Status,
}

/// That a participant received or read a message, and with it all earlier ones.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Where.
    pub conversation: ConversationId,
    /// Which message.
    pub message: MessageId,
    /// Its seq.
    pub seq: u64,
    /// Who sent it.
    pub sender: UserId,
    /// Who received or read it.
    pub by: Profile,
    /// When.
    pub at: Millis,
}

/// Who a connection is in relation to an event. A dialect says for each role which words it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hearer {
    /// The connection that caused the event.
    Origin,
    /// Another connection of the user who caused it.
    OwnDevice,
    /// Another participant's connection, inside the room where the event has one.
    Other,
    /// A participant's connection outside the room ([`Event::MessageCreated`] only).
    Absent,
}

impl Hearer {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Origin, Self::OwnDevice, Self::Other, Self::Absent];
}
