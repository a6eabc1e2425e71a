//! From rows to the domain's types. The column lists stand beside the functions that read them.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{attachments, engine::Cells};
use crate::chat::{
    Conversation, ConversationId, Message, MessageId, Millis, Participant, Profile, Role,
    StoreError, StoreResult, UserId,
};

/// The columns of [`message`], of `messages m LEFT JOIN users u ON u.id = m.sender_id`.
macro_rules! message_columns {
    () => {
        "m.id, m.conversation_id, m.seq, m.client_id, m.kind, m.content, m.metadata, \
         m.created_at, m.sender_id, u.name, u.email, u.avatar, m.attachments"
    };
}
pub(super) use message_columns;

/// How many columns [`message`] reads.
pub(super) const MESSAGE_COLUMNS: usize = 13;

/// The columns of [`conversation`], of `conversations c`.
macro_rules! conversation_columns {
    () => {
        "c.id, c.title, c.is_group, c.last_seq, c.created_at, c.updated_at"
    };
}
pub(super) use conversation_columns;

/// How many columns [`conversation`] reads.
pub(super) const CONVERSATION_COLUMNS: usize = 6;

/// The columns of [`participant`], of `participants p LEFT JOIN users u ON u.id = p.user_id`.
macro_rules! participant_columns {
    () => {
        "p.user_id, u.name, u.email, u.avatar, p.role, p.joined_at, p.read_seq, p.read_at, \
         p.delivered_seq, u.last_seen"
    };
}
pub(super) use participant_columns;

/// A message from the columns beginning at `at`.
pub(super) fn message(row: &impl Cells, at: usize) -> StoreResult<Arc<Message>> {
    let metadata = row.maybe_text(at + 6)?.map(RawValue::from_string);
    Ok(Arc::new(Message {
        id: MessageId::trusted(row.text(at)?),
        conversation: ConversationId::trusted(row.text(at + 1)?),
        seq: seq(row, at + 2)?,
        client_id: row.maybe_text(at + 3)?.map(Into::into),
        kind: row.text(at + 4)?.into(),
        content: row.text(at + 5)?.into(),
        metadata: metadata
            .transpose()
            .map_err(|_| StoreError::Corrupt("a message's metadata is not JSON".to_owned()))?
            .map(Into::into),
        created_at: Millis(row.int(at + 7)?),
        sender: profile(row, at + 8)?,
        attachments: match row.maybe_text(at + 12)? {
            Some(json) => attachments::decode(&json)?,
            None => Arc::from([]),
        },
    }))
}

/// A user from the columns id, name, email, avatar beginning at `at`.
pub(super) fn profile(row: &impl Cells, at: usize) -> StoreResult<Profile> {
    let id = UserId::trusted(row.text(at)?);
    Ok(Profile {
        name: match row.maybe_text(at + 1)? {
            Some(name) => name.into(),
            None => id.as_str().into(),
        },
        id,
        email: row.maybe_text(at + 2)?.map(Into::into),
        avatar: row.maybe_text(at + 3)?.map(Into::into),
    })
}

/// A conversation, still without participants, from the columns beginning at `at`.
pub(super) fn conversation(row: &impl Cells, at: usize) -> StoreResult<Conversation> {
    Ok(Conversation {
        id: ConversationId::trusted(row.text(at)?),
        title: row.maybe_text(at + 1)?.map(Into::into),
        is_group: row.flag(at + 2)?,
        last_seq: seq(row, at + 3)?,
        created_at: Millis(row.int(at + 4)?),
        updated_at: Millis(row.int(at + 5)?),
        participants: Vec::new(),
    })
}

/// A participant from the columns beginning at `at`.
pub(super) fn participant(row: &impl Cells, at: usize) -> StoreResult<Participant> {
    Ok(Participant {
        profile: profile(row, at)?,
        role: match row.text(at + 4)?.as_str() {
            "admin" => Role::Admin,
            _ => Role::Member,
        },
        joined_at: Millis(row.int(at + 5)?),
        read_seq: seq(row, at + 6)?,
        read_at: row.maybe_int(at + 7)?.map(Millis),
        delivered_seq: seq(row, at + 8)?,
        last_seen: row.maybe_int(at + 9)?.map(Millis),
        presence: None,
    })
}

/// A seq.
pub(super) fn seq(row: &impl Cells, at: usize) -> StoreResult<u64> {
    u64::try_from(row.int(at)?).map_err(|_| StoreError::Corrupt("a seq is negative".to_owned()))
}

/// A seq as the databases hold it. One that is larger than they can hold stands for "the newest".
pub(super) fn stored_seq(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
