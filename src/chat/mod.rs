//! The domain: what a conversation is and what can be done with it.
//!
//! Read in this order: `model.rs` (the nouns), `command.rs` (what clients ask), `event.rs` (what
//! they hear), `raw.rs` (what backends have them hear), `ports.rs` (what the domain needs from databases, other nodes and sockets), then the
//! use cases on [`Chat`]: `service.rs` (their common ground), `send.rs`, `history.rs`,
//! `receipts.rs`, `typing.rs`, `conversations.rs`, `people.rs`, `outbox.rs`. Nothing here knows
//! Socket.IO, HTTP, SQL or Redis.

mod clock;
mod command;
mod conversations;
mod error;
mod event;
mod history;
mod id;
mod model;
mod outbox;
mod people;
mod ports;
mod raw;
mod receipts;
mod send;
mod service;
mod typing;

pub use clock::{Clock, ManualClock, Millis, SystemClock};
pub use command::{
    Command, ConversationPage, Joined, NewConversation, Page, ReceiptTarget, Recipient, Reply,
    SendMessage, Sent, Synced,
};
pub use error::{ChatError, ChatResult, ErrorCode};
pub use event::{Envelope, Event, Hearer, PresenceChange, Receipt};
pub use history::MAX_SYNC;
pub use id::{ConversationId, DeviceId, InvalidId, MAX_ID_LEN, MessageId, UserId, is_valid_id};
pub use model::{
    Conversation, ConversationSummary, Message, NewMessage, Participant, PresenceInfo, Profile,
    Role, Status,
};
pub use ports::{
    Absence, Appended, Bus, Cursor, Local, MessageRef, OutboxId, Presence, Store, StoreError,
    StoreResult, Topic, Unavailable, Unpublished, Waiting,
};
pub use raw::{
    OtherServers, RawEmit, RawEvent, RoomNames, SocketInfo, Sockets, Target, check_event_name,
    event_text,
};
pub use service::{Actor, Chat, Parts, Rules};
