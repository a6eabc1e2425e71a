//! The domain: what a conversation is and what can be done with it.
//!
//! Read in this order: [`model`] (the nouns), [`command`] (what clients ask), [`event`] (what they
//! hear), [`ports`] (what the domain needs from databases, other nodes and sockets), then the use
//! cases on [`Chat`], one file each. Nothing here knows Socket.IO, HTTP, SQL or Redis.

mod clock;
mod command;
mod error;
mod event;
mod id;
mod model;
mod ports;

pub use clock::{Clock, ManualClock, Millis, SystemClock};
pub use command::{
    Command, ConversationPage, Joined, NewConversation, Page, ReceiptTarget, Reply, SendMessage,
    Sent, Synced,
};
pub use error::{ChatError, ChatResult, ErrorCode};
pub use event::{Envelope, Event, Hearer, PresenceChange, Receipt};
pub use id::{ConversationId, DeviceId, InvalidId, MAX_ID_LEN, MessageId, UserId, is_valid_id};
pub use model::{
    Conversation, ConversationSummary, Message, NewMessage, Participant, PresenceInfo, Profile,
    Role, Status,
};
pub use ports::{
    Appended, Bus, Cursor, Local, MessageRef, OutboxId, Presence, Store, StoreError, StoreResult,
    Topic, Unavailable, Unpublished,
};
