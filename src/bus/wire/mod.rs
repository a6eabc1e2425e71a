//! What nodes say to each other: a version, the sender's node, then the event.
//!
//! Whom an event is for is not in it: that follows from the topics by which it comes
//! ([`Event::topics`]), so that one text serves them all and no list of participants travels with
//! every message. Bytes behind what a version knows belong to a newer one and are left alone.

mod bytes;
mod model;

use std::sync::Arc;

use bytes::{Garbage, Put, Take, Taken};
use uuid::Uuid;

use crate::chat::{ConversationId, DeviceId, Envelope, Event, UserId};

/// The format's version, the first byte of every envelope.
pub const VERSION: u8 = 1;

const CREATED: u8 = 1;
const DELIVERED: u8 = 2;
const READ: u8 = 3;
const TYPING: u8 = 4;
const PRESENCE: u8 = 5;
const ONLINE: u8 = 6;
const UPDATED: u8 = 7;
const DELETED: u8 = 8;
const REMOVED: u8 = 9;
const EMIT: u8 = 11;
// 10 was a disconnection, which is an order now.
const ORDERS: u8 = 12;

/// Why an envelope cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is of another version, or of a kind that came later.
    Unknown,
    /// It is no envelope.
    Garbage,
}

impl Unreadable {
    /// The reason as metrics and logs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "version",
            Self::Garbage => "garbage",
        }
    }
}

/// The envelope as this node publishes it.
pub fn encode(envelope: &Envelope, node: Uuid) -> Vec<u8> {
    let mut put = Put::default();
    put.byte(VERSION);
    put.0.extend_from_slice(node.as_bytes());
    match &envelope.event {
        Event::MessageCreated { message, .. } => {
            head(&mut put, CREATED, envelope);
            model::put_message(&mut put, message);
        }
        Event::MessageDelivered(receipt) => {
            head(&mut put, DELIVERED, envelope);
            model::put_receipt(&mut put, receipt);
        }
        Event::MessageRead(receipt) => {
            head(&mut put, READ, envelope);
            model::put_receipt(&mut put, receipt);
        }
        Event::Typing {
            conversation,
            user,
            on,
        } => {
            head(&mut put, TYPING, envelope);
            put.text(conversation.as_str());
            model::put_profile(&mut put, user);
            put.flag(*on);
        }
        Event::Presence {
            info, change, at, ..
        } => {
            head(&mut put, PRESENCE, envelope);
            model::put_presence(&mut put, info, *change, *at);
        }
        Event::OnlineChanged => head(&mut put, ONLINE, envelope),
        Event::ConversationUpdated {
            conversation,
            last_message,
        } => {
            head(&mut put, UPDATED, envelope);
            model::put_conversation(&mut put, conversation);
            put.option(last_message.as_deref(), model::put_message);
        }
        Event::ConversationDeleted { conversation, .. } => {
            head(&mut put, DELETED, envelope);
            put.text(conversation.as_str());
        }
        Event::ParticipantRemoved { conversation, user } => {
            head(&mut put, REMOVED, envelope);
            put.text(conversation.as_str());
            put.text(user.as_str());
        }
        Event::Orders(orders) => {
            head(&mut put, ORDERS, envelope);
            put.list(orders, model::put_order);
        }
        Event::Emit { user, name, args } => {
            head(&mut put, EMIT, envelope);
            put.text(user.as_str());
            put.text(name);
            model::put_raw(&mut put, args);
        }
    }
    put.0
}

fn head(put: &mut Put, kind: u8, envelope: &Envelope) {
    put.byte(kind);
    put.option(envelope.origin.as_ref(), |put, device| {
        put.text(device.as_str());
    });
}

/// An envelope of another node; `None` if it is this node's own. Those whom it is for are those who
/// listen by the topic that it came by: its lists of them are empty.
///
/// # Errors
/// It cannot be read.
pub fn decode(payload: &[u8], node: Uuid) -> Result<Option<Envelope>, Unreadable> {
    let mut take = Take(payload);
    match take.byte() {
        Ok(VERSION) => {}
        // Foreign bytes have a first one, too; the smallest are versions to come.
        Ok(2..0x20) => return Err(Unreadable::Unknown),
        _ => return Err(Unreadable::Garbage),
    }
    let sender = take.bytes(16).map_err(|_| Unreadable::Garbage)?;
    if sender == node.as_bytes() {
        return Ok(None);
    }
    match event(&mut take) {
        Ok(Some(envelope)) => Ok(Some(envelope)),
        Ok(None) => Err(Unreadable::Unknown),
        Err(Garbage) => Err(Unreadable::Garbage),
    }
}

fn event(take: &mut Take<'_>) -> Taken<Option<Envelope>> {
    let kind = take.byte()?;
    let origin = take.option(|take| take.parsed(DeviceId::new))?;
    let event = match kind {
        CREATED => Event::MessageCreated {
            message: model::take_message(take)?,
            participants: Arc::default(),
        },
        DELIVERED => Event::MessageDelivered(model::take_receipt(take)?),
        READ => Event::MessageRead(model::take_receipt(take)?),
        TYPING => Event::Typing {
            conversation: take.parsed(ConversationId::new)?,
            user: model::take_profile(take)?,
            on: take.flag()?,
        },
        PRESENCE => {
            let (info, change, at) = model::take_presence(take)?;
            Event::Presence {
                info,
                change,
                at,
                audience: Arc::default(),
            }
        }
        ONLINE => Event::OnlineChanged,
        UPDATED => Event::ConversationUpdated {
            conversation: model::take_conversation(take)?,
            last_message: take.option(model::take_message)?,
        },
        DELETED => Event::ConversationDeleted {
            conversation: take.parsed(ConversationId::new)?,
            audience: Arc::default(),
        },
        REMOVED => Event::ParticipantRemoved {
            conversation: take.parsed(ConversationId::new)?,
            user: take.parsed(UserId::new)?,
        },
        ORDERS => {
            // Those of a kind that came later are left to be read by who knows them.
            let orders = take.list(model::take_order)?;
            Event::Orders(orders.into_iter().flatten().collect())
        }
        EMIT => Event::Emit {
            user: take.parsed(UserId::new)?,
            name: take.text()?,
            args: model::take_raw(take)?,
        },
        _ => return Ok(None),
    };
    Ok(Some(Envelope { origin, event }))
}
