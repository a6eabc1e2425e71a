//! What the gateway knows: users, conversations, participants, messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Attachment, ConversationId, MessageId, Millis, UserId};

/// What tokens told about a user. The gateway owns no accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The token's subject.
    pub id: UserId,
    /// The name for people; the id where no token ever told one.
    pub name: Arc<str>,
    /// The e-mail address, if a token told one.
    pub email: Option<Arc<str>>,
    /// A URL of a picture, if a token told one.
    pub avatar: Option<Arc<str>>,
}

impl Profile {
    /// A user of whom nothing but the id is known.
    pub fn unknown(id: UserId) -> Self {
        Self {
            name: id.as_str().into(),
            id,
            email: None,
            avatar: None,
        }
    }
}

/// What a user says of their own availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Connected and available.
    #[default]
    Online,
    /// Connected, not at the screen.
    Away,
    /// Connected, not to be disturbed.
    Busy,
    /// Connected but inactive.
    Idle,
    /// Not connected, or wishing to appear so.
    Offline,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Online,
        Self::Away,
        Self::Busy,
        Self::Idle,
        Self::Offline,
    ];

    /// The status as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Offline => "offline",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// A user's presence over all devices and nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceInfo {
    /// Whose.
    pub user: UserId,
    /// Whether any device is connected.
    pub online: bool,
    /// What the user set; [`Status::Offline`] when no device is connected.
    pub status: Status,
    /// When the last device left; `None` while online or never seen.
    pub last_seen: Option<Millis>,
}

/// What a participant may do in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May rename, add, remove and delete.
    Admin,
    /// May read, write and leave.
    #[default]
    Member,
}

impl Role {
    /// The role as clients see it and as the database holds it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}

/// A user's part in a conversation. Receipts are cursors, not rows per message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Who.
    pub profile: Profile,
    /// What they may do.
    pub role: Role,
    /// When they came in.
    pub joined_at: Millis,
    /// The highest seq they have read.
    pub read_seq: u64,
    /// When they last read.
    pub read_at: Option<Millis>,
    /// The highest seq that one of their devices confirmed to have received.
    pub delivered_seq: u64,
    /// When the user's last device left, as the database knows it.
    pub last_seen: Option<Millis>,
    /// How they are, where [`Chat::add_presence`](super::Chat::add_presence) was asked.
    pub presence: Option<PresenceInfo>,
}

/// A conversation with its present participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// A group's title; `None` for a direct conversation.
    pub title: Option<Arc<str>>,
    /// Whether it is a group; a direct conversation has exactly two participants for ever.
    pub is_group: bool,
    /// The seq of the newest message; 0 when there is none.
    pub last_seq: u64,
    /// When it was made.
    pub created_at: Millis,
    /// When a message, its title or its participants last changed.
    pub updated_at: Millis,
    /// Those who take part now, ordered by joining time, then id.
    pub participants: Vec<Participant>,
}

impl Conversation {
    /// The participant of that id.
    pub fn participant(&self, user: &UserId) -> Option<&Participant> {
        self.participants.iter().find(|p| &p.profile.id == user)
    }

    /// The ids of all participants.
    pub fn user_ids(&self) -> Arc<[UserId]> {
        self.participants
            .iter()
            .map(|p| p.profile.id.clone())
            .collect()
    }
}

/// A conversation as one participant's list shows it.
#[derive(Debug, Clone)]
pub struct ConversationSummary {
    /// The conversation.
    pub conversation: Conversation,
    /// Its newest message.
    pub last_message: Option<Arc<Message>>,
    /// `last_seq - read_seq` of the participant whose list it is.
    pub unread: u64,
}

/// A committed message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id (UUIDv7).
    pub id: MessageId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place in the conversation: 1, 2, 3, ... without a gap.
    pub seq: u64,
    /// Who said it.
    pub sender: Profile,
    /// The sender's own key, by which a repeated send is recognised.
    pub client_id: Option<Arc<str>>,
    /// What sort of content: `text` unless the client says otherwise.
    pub kind: Arc<str>,
    /// The content; may be empty where there are attachments.
    pub content: Arc<str>,
    /// Uploads that belong to it.
    pub attachments: Arc<[Attachment]>,
    /// Whatever JSON object the client attached, kept as it came.
    pub metadata: Option<Arc<RawValue>>,
    /// When it was committed.
    pub created_at: Millis,
}

/// A message before it is committed. Already validated by the use case.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The id it will have if it is not a repetition.
    pub id: MessageId,
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub sender: Profile,
    /// The idempotency key, unique per sender and without expiry.
    pub client_id: Option<Arc<str>>,
    /// `text` or whatever the client names.
    pub kind: Arc<str>,
    /// The content.
    pub content: Arc<str>,
    /// Uploads of the sender.
    pub attachments: Arc<[Attachment]>,
    /// A JSON object, or nothing.
    pub metadata: Option<Arc<RawValue>>,
    /// Somebody else who must take part too, where the sender names one.
    pub with: Option<UserId>,
    /// The time to record.
    pub created_at: Millis,
}
