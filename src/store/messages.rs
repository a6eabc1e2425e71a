//! Reading messages, and a user's list of conversations.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    conversations,
    core::Core,
    engine::{Arg, Cells, Engine, Sql, sql_in},
    rows::{self, CONVERSATION_COLUMNS, conversation_columns, message_columns, stored_seq},
    session::Session,
    text::{decode_cursor, encode_cursor},
};
use crate::chat::{
    ConversationId, ConversationPage, ConversationSummary, Message, MessageId, MessageRef, Millis,
    Page, StoreError, StoreResult, UserId, Waiting,
};

/// Of an existing conversation: its newest seq, and the user if they take part.
const ACCESS: Sql = Sql::same(
    "SELECT c.last_seq, p.user_id FROM conversations c LEFT JOIN participants p
        ON p.conversation_id = c.id AND p.user_id = $2 AND p.left_at IS NULL
     WHERE c.id = $1 AND c.deleted_at IS NULL",
);

macro_rules! messages_where {
    ($($condition:expr),+) => {
        Sql::same(concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages m LEFT JOIN users u ON u.id = m.sender_id
              WHERE m.conversation_id = $1 AND ",
            $($condition),+
        ))
    };
}

const BEFORE: Sql = messages_where!("m.seq < $2 ORDER BY m.seq DESC LIMIT $3");
const AFTER: Sql = messages_where!("m.seq > $2 ORDER BY m.seq LIMIT $3");
const BETWEEN: Sql = messages_where!("m.seq > $2 AND m.seq <= $3 ORDER BY m.seq");
const AT: Sql = messages_where!("m.seq = $2");

const LAST_SEQS: Sql = sql_in!(
    "SELECT id, last_seq FROM conversations WHERE deleted_at IS NULL AND id",
    ""
);

const LOCATE: Sql = sql_in!(
    "SELECT m.id, m.conversation_id, m.seq, m.sender_id
     FROM messages m JOIN conversations c ON c.id = m.conversation_id
     WHERE c.deleted_at IS NULL AND m.id",
    ""
);

/// The inner query finds the page, so that newest messages are read for its rows alone.
const LIST: Sql = Sql::same(concat!(
    "SELECT ",
    conversation_columns!(),
    ", c.read_seq, ",
    message_columns!(),
    " FROM (
        SELECT c.id, c.title, c.is_group, c.last_seq, c.created_at, c.updated_at, me.read_seq
        FROM participants me JOIN conversations c ON c.id = me.conversation_id
        WHERE me.user_id = $1 AND me.left_at IS NULL AND c.deleted_at IS NULL
            AND (c.updated_at < $2 OR (c.updated_at = $2 AND c.id < $3))
        ORDER BY c.updated_at DESC, c.id DESC LIMIT $4
    ) c
    LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq = c.last_seq
    LEFT JOIN users u ON u.id = m.sender_id
    ORDER BY c.updated_at DESC, c.id DESC"
));

const WAITING: Sql = Sql::same(
    "SELECT c.id, me.delivered_seq, c.updated_at
     FROM participants me JOIN conversations c ON c.id = me.conversation_id
     WHERE me.user_id = $1 AND me.left_at IS NULL AND c.deleted_at IS NULL
        AND c.last_seq > me.delivered_seq AND EXISTS (
            SELECT 1 FROM messages m WHERE m.conversation_id = c.id
                AND m.seq > me.delivered_seq AND m.sender_id <> me.user_id)
        AND (c.updated_at > $2 OR (c.updated_at = $2 AND c.id > $3))
     ORDER BY c.updated_at, c.id LIMIT $4",
);

/// See [`Store::messages`](crate::chat::Store::messages).
pub(super) async fn page<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    user: &UserId,
    page: Page,
) -> StoreResult<(Vec<Arc<Message>>, bool)> {
    let mut session = core.reader().await?;
    let args = [Arg::Text(id.as_str()), Arg::Text(user.as_str())];
    let row = session.row(ACCESS, &args).await?;
    if row.ok_or(StoreError::NotFound)?.maybe_text(1)?.is_none() {
        return Err(StoreError::NotParticipant);
    }
    let (sql, edge, limit) = match page {
        Page::Newest { before, limit } => (BEFORE, before.unwrap_or(u64::MAX), limit),
        Page::After { after, limit } => (AFTER, after, limit),
    };
    // One more than asked for tells whether there are more.
    let args = [
        Arg::Text(id.as_str()),
        Arg::Int(stored_seq(edge)),
        Arg::Int(i64::from(limit) + 1),
    ];
    let mut messages = read(&mut session, sql, &args).await?;
    let more = messages.len() > limit as usize;
    messages.truncate(limit as usize);
    if matches!(page, Page::Newest { .. }) {
        messages.reverse();
    }
    Ok((messages, more))
}

/// See [`Store::messages_between`](crate::chat::Store::messages_between).
pub(super) async fn between<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    after: u64,
    until: u64,
) -> StoreResult<Vec<Arc<Message>>> {
    let mut session = core.reader().await?;
    newest_seq(&mut session, id).await?;
    let args = [
        Arg::Text(id.as_str()),
        Arg::Int(stored_seq(after)),
        Arg::Int(stored_seq(until)),
    ];
    read(&mut session, BETWEEN, &args).await
}

/// See [`Store::message_at`](crate::chat::Store::message_at); without a seq the newest.
pub(super) async fn at<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    seq: Option<u64>,
) -> StoreResult<Option<Arc<Message>>> {
    let mut session = core.reader().await?;
    let newest = newest_seq(&mut session, id).await?;
    let args = [
        Arg::Text(id.as_str()),
        Arg::Int(stored_seq(seq.unwrap_or(newest))),
    ];
    Ok(read(&mut session, AT, &args).await?.pop())
}

/// See [`Store::last_seqs`](crate::chat::Store::last_seqs).
pub(super) async fn last_seqs<E: Engine>(
    core: &Core<E>,
    ids: &[ConversationId],
) -> StoreResult<BTreeMap<ConversationId, u64>> {
    let args = [Arg::Texts(ids.iter().map(|id| id.as_str()).collect())];
    let found = core.reader().await?.rows(LAST_SEQS, &args).await?;
    found
        .iter()
        .map(|row| Ok((ConversationId::trusted(row.text(0)?), rows::seq(row, 1)?)))
        .collect()
}

/// See [`Store::waiting`](crate::chat::Store::waiting).
pub(super) async fn waiting<E: Engine>(
    core: &Core<E>,
    user: &UserId,
    after: Option<&Waiting>,
    limit: u32,
) -> StoreResult<Vec<Waiting>> {
    let args = [
        Arg::Text(user.as_str()),
        Arg::Int(after.map_or(i64::MIN, |w| w.updated_at.0)),
        Arg::Text(after.map_or("", |w| w.conversation.as_str())),
        Arg::Int(i64::from(limit)),
    ];
    let found = core.reader().await?.rows(WAITING, &args).await?;
    found
        .iter()
        .map(|row| {
            Ok(Waiting {
                conversation: ConversationId::trusted(row.text(0)?),
                delivered_seq: rows::seq(row, 1)?,
                updated_at: Millis(row.int(2)?),
            })
        })
        .collect()
}

/// See [`Store::locate`](crate::chat::Store::locate).
pub(super) async fn locate<E: Engine>(
    core: &Core<E>,
    ids: &[MessageId],
) -> StoreResult<Vec<MessageRef>> {
    let args = [Arg::Texts(ids.iter().map(|id| id.as_str()).collect())];
    let found = core.reader().await?.rows(LOCATE, &args).await?;
    found
        .iter()
        .map(|row| {
            Ok(MessageRef {
                id: MessageId::trusted(row.text(0)?),
                conversation: ConversationId::trusted(row.text(1)?),
                seq: rows::seq(row, 2)?,
                sender: UserId::trusted(row.text(3)?),
            })
        })
        .collect()
}

/// See [`Store::conversations`](crate::chat::Store::conversations).
pub(super) async fn list<E: Engine>(
    core: &Core<E>,
    user: &UserId,
    cursor: Option<&str>,
    limit: u32,
) -> StoreResult<ConversationPage> {
    let limit = limit.max(1);
    let (at, id) = match cursor {
        Some(cursor) => decode_cursor(cursor)?,
        None => (Millis(i64::MAX), ConversationId::trusted("")),
    };
    let mut session = core.reader().await?;
    let args = [
        Arg::Text(user.as_str()),
        Arg::Int(at.0),
        Arg::Text(id.as_str()),
        Arg::Int(i64::from(limit) + 1),
    ];
    let mut found = session.rows(LIST, &args).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);

    let mut conversations = Vec::with_capacity(found.len());
    for row in &found {
        conversations.push(rows::conversation(row, 0)?);
    }
    if !conversations.is_empty() {
        conversations::fill(&mut session, &mut conversations).await?;
    }
    let mut items = Vec::with_capacity(found.len());
    for (row, conversation) in found.iter().zip(conversations) {
        let read = rows::seq(row, CONVERSATION_COLUMNS)?;
        let message = CONVERSATION_COLUMNS + 1;
        items.push(ConversationSummary {
            last_message: match row.maybe_text(message)? {
                Some(_) => Some(rows::message(row, message)?),
                None => None,
            },
            unread: conversation.last_seq.saturating_sub(read),
            conversation,
        });
    }
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| encode_cursor(last.conversation.updated_at, &last.conversation.id));
    Ok(ConversationPage { items, next })
}

/// The newest seq of a conversation that exists.
async fn newest_seq<E: Engine>(session: &mut Session<E>, id: &ConversationId) -> StoreResult<u64> {
    let args = [Arg::Text(id.as_str()), Arg::MaybeText(None)];
    let row = session.row(ACCESS, &args).await?;
    rows::seq(&row.ok_or(StoreError::NotFound)?, 0)
}

async fn read<E: Engine>(
    session: &mut Session<E>,
    sql: Sql,
    args: &[Arg<'_>],
) -> StoreResult<Vec<Arc<Message>>> {
    let found = session.rows(sql, args).await?;
    found.iter().map(|row| rows::message(row, 0)).collect()
}
