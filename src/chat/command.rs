//! What clients ask for, whatever words they use, and what they are answered.
//!
//! A dialect turns a raw Socket.IO event into a [`Command`] and a [`Reply`] into an ack. Neither
//! the commands nor the replies know a dialect.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::value::RawValue;

use super::{
    Conversation, ConversationId, ConversationSummary, Message, MessageId, Millis, SearchMessages,
    SearchPage, Status, UploadId, UserId,
};

/// A decoded inbound event. Values are well-formed; whether they are allowed is not yet decided.
#[derive(Debug, Clone)]
pub enum Command {
    /// Enter a conversation's room. With `after`, everything later than that seq is asked for, with
    /// `before` the newest page of what is earlier, otherwise the newest page.
    Join {
        /// Which conversation.
        conversation: ConversationId,
        /// The highest seq that the client has.
        after: Option<u64>,
        /// The lowest seq that the client has.
        before: Option<u64>,
    },
    /// Leave the room; the user remains a participant.
    Leave {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// Say something.
    Send(SendMessage),
    /// Move the read cursor.
    Read(ReceiptTarget),
    /// Move the delivered cursor.
    Delivered(ReceiptTarget),
    /// Start or stop the typing indicator.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Whether typing started.
        on: bool,
    },
    /// Set the user's own status.
    SetStatus(Status),
    /// Replace the connection's token by a fresh one of the same user.
    Authenticate {
        /// The fresh token.
        token: String,
    },
    /// Catch up with many conversations at once after a reconnect, and join their rooms.
    Sync {
        /// The highest seq the client has, per conversation.
        conversations: BTreeMap<ConversationId, u64>,
    },
    /// Find messages by their words.
    Search(SearchMessages),
    /// Say that the connection is ready to hear its user's messages: those that wait for the user
    /// and, where the dialect follows conversations without joining them, all later ones.
    Introduce {
        /// The user that the client says it is; must be the connection's own.
        user: Option<UserId>,
    },
    /// Take the introduction back: the connection counts as gone until the next one.
    Withdraw,
    /// Say that the client is still there.
    Heartbeat,
}

/// The fields of [`Command::Send`].
#[derive(Debug, Clone)]
pub struct SendMessage {
    /// Where.
    pub to: Recipient,
    /// What; may be empty with attachments.
    pub content: Arc<str>,
    /// Complete uploads of the sender. One that is named twice counts once.
    pub attachments: Vec<UploadId>,
    /// The sort of content; `text` if absent.
    pub kind: Option<Arc<str>>,
    /// The idempotency key: 1 to 128 characters without control characters.
    pub client_id: Option<Arc<str>>,
    /// A JSON object to keep with the message.
    pub metadata: Option<Arc<RawValue>>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// Into a conversation.
    Conversation(ConversationId),
    /// To another user.
    User {
        /// Who.
        user: UserId,
        /// In this conversation, which both must take part in; made as a direct one of the two if
        /// it does not exist. Without, in the direct conversation of the two.
        conversation: Option<ConversationId>,
    },
}

impl From<ConversationId> for Recipient {
    fn from(conversation: ConversationId) -> Self {
        Self::Conversation(conversation)
    }
}

/// Which messages a receipt is about.
#[derive(Debug, Clone)]
pub struct ReceiptTarget {
    /// The conversation, where the client named it.
    pub conversation: Option<ConversationId>,
    /// The messages; empty with a conversation means all of it.
    pub messages: Vec<MessageId>,
}

/// What a command is answered with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// To [`Command::Join`].
    Joined(Box<Joined>),
    /// To [`Command::Send`].
    Sent(Sent),
    /// To [`Command::Sync`].
    Synced(Synced),
    /// To [`Command::Authenticate`].
    Authenticated {
        /// When the fresh token runs out, if ever.
        expires_at: Option<Millis>,
    },
    /// To [`Command::Search`].
    Found(SearchPage),
    /// To everything else.
    Done,
}

/// A joined conversation with the page of messages that the client asked for.
#[derive(Debug, Clone)]
pub struct Joined {
    /// Who asked.
    pub viewer: UserId,
    /// The conversation.
    pub conversation: Conversation,
    /// Ascending by seq.
    pub messages: Vec<Arc<Message>>,
    /// The conversation's newest seq; live events carry on after it.
    pub last_seq: u64,
    /// With `after`: whether messages between the page and `last_seq` remain to be fetched.
    /// Otherwise: whether there are older ones than the page's.
    pub has_more: bool,
}

/// A committed send.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message; the first one when the send was a repetition.
    pub message: Arc<Message>,
    /// Whether the same `client_id` had been committed before.
    pub duplicate: bool,
}

impl Reply {
    /// The user whose command this answers, where the answer shows messages.
    pub fn viewer(&self) -> Option<&UserId> {
        match self {
            Self::Joined(joined) => Some(&joined.viewer),
            Self::Sent(sent) => Some(&sent.message.sender.id),
            Self::Synced(synced) => synced.conversations.first().map(|joined| &joined.viewer),
            Self::Found(page) => Some(&page.viewer),
            Self::Authenticated { .. } | Self::Done => None,
        }
    }
}

/// What was missed, per conversation.
#[derive(Debug, Clone)]
pub struct Synced {
    /// Those that the user takes part in.
    pub conversations: Vec<Joined>,
    /// Those that are gone or that the user is no participant of any more.
    pub gone: Vec<ConversationId>,
}

/// How to make a conversation.
#[derive(Debug, Clone)]
pub enum NewConversation {
    /// The one conversation of two users; made if it does not exist.
    Direct {
        /// The other one.
        other: UserId,
        /// An id, from a service caller only.
        id: Option<ConversationId>,
    },
    /// A group; its maker becomes its admin.
    Group {
        /// Its title: 1 to 200 characters.
        title: Arc<str>,
        /// The others.
        participants: Vec<UserId>,
        /// An id, from a service caller only.
        id: Option<ConversationId>,
    },
}

/// Which page of a conversation's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest messages, those before `before` if given.
    Newest {
        /// Only messages with a lower seq.
        before: Option<u64>,
        /// At most this many.
        limit: u32,
    },
    /// The oldest messages after a seq.
    After {
        /// Only messages with a higher seq.
        after: u64,
        /// At most this many.
        limit: u32,
    },
}

/// A page of a user's conversations, newest first.
#[derive(Debug, Clone)]
pub struct ConversationPage {
    /// The page.
    pub items: Vec<ConversationSummary>,
    /// Give it as `cursor` for the next page; `None` on the last.
    pub next: Option<String>,
}
