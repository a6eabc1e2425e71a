//! The domain: what a conversation is and what can be done with it.
//!
//! Read in this order: `model.rs` and `upload.rs` (the nouns), `command.rs` (what clients ask),
//! `event.rs` (what they hear), `raw.rs` (what backends have them hear), `ports.rs`, `bus.rs` and
//! `blobs.rs` (what the domain needs from databases, other nodes, sockets and storage), then the use
//! cases on [`Chat`]: `service.rs` (their common ground), `send.rs`, `history.rs`, `receipts.rs`,
//! `typing.rs`, `conversations.rs`, `people.rs`, `outbox.rs`, `uploads.rs`, `search.rs`,
//! `revocation.rs` with `control.rs` and `controls.rs` (who is sent away, and how every node learns
//! of it). Nothing here knows Socket.IO, HTTP, SQL or Redis.

mod blobs;
mod bus;
mod clock;
mod command;
mod control;
mod controls;
mod conversations;
mod error;
mod event;
mod history;
mod id;
mod model;
mod outbox;
mod people;
mod picture;
mod ports;
mod raw;
mod receipts;
mod revocation;
mod search;
mod send;
mod service;
mod typing;
mod upload;
mod uploads;
mod words;

pub use blobs::{Blob, BlobWriter, Blobs, ByteStream, Found};
pub use bus::{Bus, Local, Publishing, Topic};
pub use clock::{Clock, ManualClock, Millis, SystemClock};
pub use command::{
    Command, ConversationPage, Joined, NewConversation, Page, ReceiptTarget, Recipient, Reply,
    SendMessage, Sent, Synced,
};
pub use control::{InvalidSubject, InvalidTokenKey, NEVER, Order, Orders, Subject, TokenKey};
pub use controls::{Controls, Ending, Proof, Refusal, Standing};
pub use error::{ChatError, ChatResult, ErrorCode};
pub use event::{Envelope, Event, Hearer, PresenceChange, Receipt};
pub use history::MAX_SYNC;
pub use id::{
    ConversationId, DeviceId, InvalidId, MAX_ID_LEN, MessageId, UploadId, UserId, is_valid_id,
};
pub use model::{
    Conversation, ConversationSummary, Message, NewMessage, Participant, PresenceInfo, Profile,
    Role, Status,
};
pub use ports::{
    Absence, Appended, Cursor, MessageRef, OutboxId, Presence, PresenceNews, Reach, Store,
    StoreError, StoreResult, Unavailable, Unpublished, Waiting,
};
pub use raw::{
    OtherServers, RawEmit, RawEvent, RoomNames, SocketInfo, Sockets, Target, check_event_name,
    event_text,
};
pub use revocation::{RevokeUser, UserRevocation};
pub use search::{Hit, SearchMessages, SearchPage, SearchQuery, Span, Term};
pub use service::{Actor, Chat, Parts, Rules};
pub use upload::{Attachment, Dimensions, Upload, UploadReference};
pub use uploads::UploadRules;
