//! Finding messages by their words.
//!
//! Both indexes hold the conversation of a message as one more word, so that a search reads its own
//! conversations' entries only, however often others use a word. Participation is checked by the
//! tables all the same.

use std::sync::Arc;

use super::{
    core::Core,
    engine::{Arg, Cells, Engine, Sql},
    rows::{self, message_columns},
};
use crate::chat::{
    ConversationId, Message, MessageId, SearchQuery, StoreError, StoreResult, UserId,
};

/// Conversations that one search looks through at most.
const MAX_ROOMS: i64 = 1000;

/// Where the user may search.
const ROOMS: Sql = Sql::same(
    "SELECT c.id FROM participants me JOIN conversations c ON c.id = me.conversation_id
     WHERE me.user_id = $1 AND me.left_at IS NULL AND c.deleted_at IS NULL
     ORDER BY c.updated_at DESC, c.id LIMIT $2",
);

/// Whether the user may search there.
const ROOM: Sql = Sql::same(
    "SELECT c.id FROM participants me JOIN conversations c ON c.id = me.conversation_id
     WHERE me.conversation_id = $2 AND me.user_id = $1
        AND me.left_at IS NULL AND c.deleted_at IS NULL",
);

macro_rules! found {
    ($from:expr, $order:expr) => {
        concat!(
            "SELECT ",
            message_columns!(),
            " FROM ",
            $from,
            " JOIN conversations c ON c.id = m.conversation_id AND c.deleted_at IS NULL
              JOIN participants me ON me.conversation_id = m.conversation_id
                AND me.user_id = $3 AND me.left_at IS NULL
              LEFT JOIN users u ON u.id = m.sender_id
              WHERE m.deleted_at IS NULL AND m.conversation_id = COALESCE($6, m.conversation_id)
              ORDER BY ",
            $order,
            " DESC LIMIT $5"
        )
    };
}

/// SQLite walks the index from its newest entry and stops when it has enough. PostgreSQL's finds
/// all first: without the fence it might walk all messages by id instead.
const FIND: Sql = Sql {
    sqlite: found!(
        "(
            SELECT rowid AS place FROM message_index
            WHERE message_index MATCH $2 || ' AND ' || $1
                AND rowid <= COALESCE((SELECT number FROM messages WHERE id = $4), 9e18)
            ORDER BY rowid DESC
        ) f CROSS JOIN messages m ON m.number = f.place",
        "m.number"
    ),
    postgres: concat!(
        "WITH f AS MATERIALIZED (
            SELECT m.id FROM messages m
            WHERE porchlight_words(m.conversation_id, m.content)
                    @@ (to_tsquery('pg_catalog.simple', $1) && $2::tsquery)
                AND ($4::text IS NULL OR m.id <= $4)
        ) ",
        found!("f JOIN messages m ON m.id = f.id", "m.id")
    ),
};

/// See [`Store::search`](crate::chat::Store::search).
pub(super) async fn find<E: Engine>(
    core: &Core<E>,
    user: &UserId,
    conversation: Option<&ConversationId>,
    query: &SearchQuery,
    from: Option<&MessageId>,
    limit: u32,
) -> StoreResult<Vec<Arc<Message>>> {
    let mut session = core.reader().await?;
    let me = Arg::Text(user.as_str());
    let rooms = match conversation {
        Some(id) => session.rows(ROOM, &[me, Arg::Text(id.as_str())]).await?,
        None => session.rows(ROOMS, &[me, Arg::Int(MAX_ROOMS)]).await?,
    };
    if rooms.is_empty() {
        return match conversation {
            Some(_) => Err(StoreError::NotParticipant),
            None => Ok(Vec::new()),
        };
    }
    let rooms = rooms.iter().map(|row| row.text(0));
    let rooms = E::search_rooms(&rooms.collect::<StoreResult<Vec<_>>>()?);
    let words = E::search_words(query);
    let args = [
        Arg::Text(&words),
        Arg::Text(&rooms),
        Arg::Text(user.as_str()),
        Arg::MaybeText(from.map(MessageId::as_str)),
        Arg::Int(limit.into()),
        Arg::MaybeText(conversation.map(ConversationId::as_str)),
    ];
    let found = session.rows(FIND, &args).await?;
    found.iter().map(|row| rows::message(row, 0)).collect()
}
