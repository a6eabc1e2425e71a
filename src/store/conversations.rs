//! Making and changing conversations.
//!
//! Each change locks the conversation's row, then its participants by user id (see
//! [`postgres`](super::postgres) for the order of locks), then decides in memory.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    core::Core,
    engine::{Arg, Cells, Column, Engine, Sql, sql_in, sql_locking},
    orders,
    rows::{self, CONVERSATION_COLUMNS, conversation_columns, participant_columns, stored_seq},
    session::Session,
    text::storable,
};
use crate::chat::{Conversation, ConversationId, Millis, Role, StoreError, StoreResult, UserId};

const FIND: Sql = Sql::same(concat!(
    "SELECT ",
    conversation_columns!(),
    ", me.user_id FROM conversations c LEFT JOIN participants me
        ON me.conversation_id = c.id AND me.user_id = $2 AND me.left_at IS NULL
     WHERE c.id = $1 AND c.deleted_at IS NULL"
));

const LOCK: Sql = sql_locking!(concat!(
    "SELECT ",
    conversation_columns!(),
    " FROM conversations c WHERE c.id = $1 AND c.deleted_at IS NULL"
));

const LOCK_PARTICIPANTS: Sql =
    sql_locking!("SELECT user_id FROM participants WHERE conversation_id = $1 ORDER BY user_id");

const PARTICIPANTS: Sql = sql_in!(
    concat!(
        "SELECT p.conversation_id, ",
        participant_columns!(),
        " FROM participants p LEFT JOIN users u ON u.id = p.user_id
         WHERE p.left_at IS NULL AND p.conversation_id"
    ),
    " ORDER BY p.conversation_id, p.joined_at, p.user_id"
);

const CREATE: Sql = Sql::same(
    "INSERT INTO conversations (id, title, is_group, direct_key, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING RETURNING id",
);

/// What was said before somebody came in does not count as unread.
const JOIN: Sql = Sql {
    sqlite: "\
        INSERT INTO participants
            (conversation_id, joined_at, read_seq, delivered_seq, user_id, role)
        SELECT $1, $2, $3, $3, value ->> 0, value ->> 1 FROM json_each($4) WHERE true
        ON CONFLICT (conversation_id, user_id) DO UPDATE
            SET joined_at = excluded.joined_at, left_at = NULL, role = excluded.role,
                read_seq = excluded.read_seq, delivered_seq = excluded.delivered_seq",
    postgres: "\
        INSERT INTO participants
            (conversation_id, joined_at, read_seq, delivered_seq, user_id, role)
        SELECT $1::text, $2::bigint, $3::bigint, $3::bigint, n.user_id, n.role
        FROM UNNEST($4::text[], $5::text[]) AS n (user_id, role)
        ON CONFLICT (conversation_id, user_id) DO UPDATE
            SET joined_at = excluded.joined_at, left_at = NULL, role = excluded.role,
                read_seq = excluded.read_seq, delivered_seq = excluded.delivered_seq",
};

const LEAVE: Sql =
    Sql::same("UPDATE participants SET left_at = $3 WHERE conversation_id = $1 AND user_id = $2");

const LEAVE_ALL: Sql = Sql::same(
    "UPDATE participants SET left_at = $2 WHERE conversation_id = $1 AND left_at IS NULL",
);

const PROMOTE: Sql =
    Sql::same("UPDATE participants SET role = 'admin' WHERE conversation_id = $1 AND user_id = $2");

const TOUCH: Sql = Sql::same(
    "UPDATE conversations SET members_version = members_version + 1, updated_at = $2
     WHERE id = $1",
);

const RENAME: Sql = Sql::same("UPDATE conversations SET title = $2, updated_at = $3 WHERE id = $1");

const DELETE: Sql = Sql::same(
    "UPDATE conversations SET deleted_at = $2, updated_at = $2, direct_key = NULL,
        members_version = members_version + 1
     WHERE id = $1",
);

/// What is wrong with an id that is there already.
pub(super) const ID_TAKEN: &str = "the conversation's id is taken";
/// See [`Store::conversation`](crate::chat::Store::conversation).
pub(super) async fn get<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    user: &UserId,
) -> StoreResult<Conversation> {
    let mut session = core.reader().await?;
    let args = [Arg::Text(id.as_str()), Arg::Text(user.as_str())];
    let row = session
        .row(FIND, &args)
        .await?
        .ok_or(StoreError::NotFound)?;
    if row.maybe_text(CONVERSATION_COLUMNS)?.is_none() {
        return Err(StoreError::NotParticipant);
    }
    let mut conversation = [rows::conversation(&row, 0)?];
    fill(&mut session, &mut conversation).await?;
    let [conversation] = conversation;
    Ok(conversation)
}

/// Adds the participants to conversations, with one query for all.
pub(super) async fn fill<E: Engine>(
    session: &mut Session<E>,
    conversations: &mut [Conversation],
) -> StoreResult<()> {
    let ids = conversations.iter().map(|c| c.id.as_str()).collect();
    for row in session.rows(PARTICIPANTS, &[Arg::Texts(ids)]).await? {
        let id = row.text(0)?;
        let mut participant = rows::participant(&row, 1)?;
        if let Some(c) = conversations.iter_mut().find(|c| c.id.as_str() == id) {
            // A message may have come in between the two queries.
            participant.read_seq = participant.read_seq.min(c.last_seq);
            participant.delivered_seq = participant.delivered_seq.min(c.last_seq);
            c.participants.push(participant);
        }
    }
    Ok(())
}

/// See [`Store::create_group`](crate::chat::Store::create_group).
pub(super) async fn create_group<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    title: &str,
    participants: &[(UserId, Role)],
    now: Millis,
) -> StoreResult<Conversation> {
    storable(title)?;
    if participants.is_empty() {
        return Err(StoreError::Invalid("a group has at least one participant"));
    }
    // Whoever is named twice has the role named first.
    let mut seen = BTreeSet::new();
    let participants: Vec<_> = participants
        .iter()
        .filter(|(user, _)| seen.insert(user))
        .cloned()
        .collect();
    let mut session = core.begin().await?;
    let created = async {
        if !create(&mut session, id, Some(title), true, None, now).await? {
            return Err(StoreError::Conflict(ID_TAKEN));
        }
        join(&mut session, id, &participants, 0, now).await?;
        lock(&mut session, id).await
    }
    .await;
    session.finish(created).await
}

/// See [`Store::add_participants`](crate::chat::Store::add_participants).
pub(super) async fn add<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    users: &[UserId],
    max_participants: u32,
    now: Millis,
) -> StoreResult<Conversation> {
    let mut session = core.begin().await?;
    let added = async {
        let group = lock_group(&mut session, id).await?;
        let new: BTreeSet<_> = users
            .iter()
            .filter(|user| group.participant(user).is_none())
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(group);
        }
        if group.participants.len() + new.len() > max_participants as usize {
            return Err(StoreError::TooManyParticipants);
        }
        let new: Vec<_> = new.into_iter().map(|user| (user, Role::Member)).collect();
        join(&mut session, id, &new, group.last_seq, now).await?;
        touch(&mut session, &group, now).await?;
        lock(&mut session, id).await
    }
    .await;
    session.finish(added).await
}

/// See [`Store::remove_participant`](crate::chat::Store::remove_participant).
pub(super) async fn remove<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    user: &UserId,
    now: Millis,
) -> StoreResult<Conversation> {
    let mut session = core.begin().await?;
    let removed = async {
        let mut group = lock_group(&mut session, id).await?;
        if group.participant(user).is_none() {
            return Err(StoreError::NotParticipant);
        }
        let (key, member) = (Arg::Text(id.as_str()), Arg::Text(user.as_str()));
        session.rows(LEAVE, &[key, member, Arg::Int(now.0)]).await?;
        group.participants.retain(|p| &p.profile.id != user);
        // Ordered by joining time: the first has been there longest.
        let Some(eldest) = group.participants.first() else {
            group.updated_at = delete_locked(&mut session, &group, now).await?;
            orders::note_members(&mut session, id, now).await?;
            return Ok(group);
        };
        if group.participants.iter().all(|p| p.role != Role::Admin) {
            let (key, eldest) = (Arg::Text(id.as_str()), eldest.profile.id.as_str());
            session.rows(PROMOTE, &[key, Arg::Text(eldest)]).await?;
        }
        touch(&mut session, &group, now).await?;
        let group = lock(&mut session, id).await?;
        orders::note_members(&mut session, id, now).await?;
        Ok(group)
    }
    .await;
    session.finish(removed).await
}

/// See [`Store::rename`](crate::chat::Store::rename).
pub(super) async fn rename<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    title: &str,
    now: Millis,
) -> StoreResult<Conversation> {
    storable(title)?;
    let mut session = core.begin().await?;
    let renamed = async {
        let mut group = lock_group(&mut session, id).await?;
        group.updated_at = group.updated_at.max(now);
        group.title = Some(title.into());
        let (key, at) = (Arg::Text(id.as_str()), Arg::Int(group.updated_at.0));
        session.rows(RENAME, &[key, Arg::Text(title), at]).await?;
        Ok(group)
    }
    .await;
    session.finish(renamed).await
}

/// See [`Store::delete`](crate::chat::Store::delete).
pub(super) async fn delete<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    now: Millis,
) -> StoreResult<Arc<[UserId]>> {
    let mut session = core.begin().await?;
    let deleted = async {
        let conversation = lock(&mut session, id).await?;
        delete_locked(&mut session, &conversation, now).await?;
        orders::note_members(&mut session, id, now).await?;
        Ok(conversation.user_ids())
    }
    .await;
    session.finish(deleted).await
}

/// Locks a conversation and its participants, and reads both.
pub(super) async fn lock<E: Engine>(
    session: &mut Session<E>,
    id: &ConversationId,
) -> StoreResult<Conversation> {
    let row = session.row(LOCK, &[Arg::Text(id.as_str())]).await?;
    let mut conversation = [rows::conversation(&row.ok_or(StoreError::NotFound)?, 0)?];
    session
        .rows(LOCK_PARTICIPANTS, &[Arg::Text(id.as_str())])
        .await?;
    fill(session, &mut conversation).await?;
    let [conversation] = conversation;
    Ok(conversation)
}

async fn lock_group<E: Engine>(
    session: &mut Session<E>,
    id: &ConversationId,
) -> StoreResult<Conversation> {
    let conversation = lock(session, id).await?;
    if conversation.is_group {
        Ok(conversation)
    } else {
        Err(StoreError::Conflict("a direct conversation cannot change"))
    }
}

/// Makes the conversation's row; `false` if its id or its pair is taken.
pub(super) async fn create<E: Engine>(
    session: &mut Session<E>,
    id: &ConversationId,
    title: Option<&str>,
    is_group: bool,
    direct_key: Option<&str>,
    now: Millis,
) -> StoreResult<bool> {
    let args = [
        Arg::Text(id.as_str()),
        Arg::MaybeText(title),
        Arg::Flag(is_group),
        Arg::MaybeText(direct_key),
        Arg::Int(now.0),
    ];
    Ok(session.row(CREATE, &args).await?.is_some())
}

/// Lets users in, who have read up to `seq`.
pub(super) async fn join<E: Engine>(
    session: &mut Session<E>,
    id: &ConversationId,
    users: &[(UserId, Role)],
    seq: u64,
    now: Millis,
) -> StoreResult<()> {
    let table = [
        Column::Texts(users.iter().map(|(user, _)| user.as_str()).collect()),
        Column::Texts(users.iter().map(|(_, role)| role.as_str()).collect()),
    ];
    let args = [
        Arg::Text(id.as_str()),
        Arg::Int(now.0),
        Arg::Int(stored_seq(seq)),
        Arg::Table(&table),
    ];
    session.rows(JOIN, &args).await?;
    Ok(())
}

/// Records that the participants changed.
async fn touch<E: Engine>(
    session: &mut Session<E>,
    group: &Conversation,
    now: Millis,
) -> StoreResult<()> {
    let at = Arg::Int(group.updated_at.max(now).0);
    session
        .rows(TOUCH, &[Arg::Text(group.id.as_str()), at])
        .await?;
    Ok(())
}

/// Deletes a locked conversation; returns the time recorded.
async fn delete_locked<E: Engine>(
    session: &mut Session<E>,
    conversation: &Conversation,
    now: Millis,
) -> StoreResult<Millis> {
    let at = conversation.updated_at.max(now);
    let args = || [Arg::Text(conversation.id.as_str()), Arg::Int(at.0)];
    session.rows(LEAVE_ALL, &args()).await?;
    session.rows(DELETE, &args()).await?;
    Ok(at)
}
