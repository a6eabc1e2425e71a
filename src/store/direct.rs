//! Conversations of two: the one that a pair has, and further ones under ids of their own.

use super::{
    conversations::{ID_TAKEN, create, fill, join, lock},
    core::Core,
    engine::{Arg, Engine, Sql},
    rows::{self, conversation_columns},
    session::Session,
};
use crate::chat::{Conversation, ConversationId, Millis, Role, StoreError, StoreResult, UserId};

const FIND_DIRECT: Sql = Sql::same(concat!(
    "SELECT ",
    conversation_columns!(),
    " FROM conversations c WHERE c.direct_key = $1 AND c.deleted_at IS NULL"
));

const SAME_USER: StoreError =
    StoreError::Invalid("a direct conversation is between two different users");

/// What is unique of two users' first direct conversation. No id holds a space.
fn direct_key(a: &UserId, b: &UserId) -> String {
    format!("{} {}", a.min(b), a.max(b))
}

/// See [`Store::open_direct`](crate::chat::Store::open_direct).
pub(super) async fn open_direct<E: Engine>(
    core: &Core<E>,
    (a, b): (&UserId, &UserId),
    id: Option<&ConversationId>,
    now: Millis,
) -> StoreResult<(Conversation, bool)> {
    if a == b {
        return Err(SAME_USER);
    }
    let key = direct_key(a, b);
    let known = || async { find_direct(&mut core.reader().await?, &key).await };
    if let Some(found) = core.again_if_lost(known).await? {
        return Ok((found, false));
    }

    let id = id.cloned().unwrap_or_else(ConversationId::generate);
    let mut session = core.begin().await?;
    let opened = async {
        if create(&mut session, &id, None, false, Some(&key), now).await? {
            let both = [(a.clone(), Role::Member), (b.clone(), Role::Member)];
            join(&mut session, &id, &both, 0, now).await?;
            return Ok((lock(&mut session, &id).await?, true));
        }
        match find_direct(&mut session, &key).await? {
            Some(found) => Ok((found, false)),
            None => Err(StoreError::Conflict(ID_TAKEN)),
        }
    }
    .await;
    session.finish(opened).await
}

/// See [`Store::open_between`](crate::chat::Store::open_between).
pub(super) async fn open_between<E: Engine>(
    core: &Core<E>,
    id: &ConversationId,
    (a, b): (&UserId, &UserId),
    now: Millis,
) -> StoreResult<(Conversation, bool)> {
    if a == b {
        return Err(SAME_USER);
    }
    let key = direct_key(a, b);
    let mut session = core.begin().await?;
    let opened = async {
        // Their first direct conversation is the one that is found without an id.
        for key in [Some(&*key), None] {
            if create(&mut session, id, None, false, key, now).await? {
                let both = [(a.clone(), Role::Member), (b.clone(), Role::Member)];
                join(&mut session, id, &both, 0, now).await?;
                return Ok((lock(&mut session, id).await?, true));
            }
        }
        match lock(&mut session, id).await {
            Ok(found) if [a, b].iter().all(|u| found.participant(u).is_some()) => {
                Ok((found, false))
            }
            Ok(_) => Err(StoreError::NotParticipant),
            Err(StoreError::NotFound) => Err(StoreError::Conflict(ID_TAKEN)),
            Err(e) => Err(e),
        }
    }
    .await;
    session.finish(opened).await
}

async fn find_direct<E: Engine>(
    session: &mut Session<E>,
    key: &str,
) -> StoreResult<Option<Conversation>> {
    let Some(row) = session.row(FIND_DIRECT, &[Arg::Text(key)]).await? else {
        return Ok(None);
    };
    let mut found = [rows::conversation(&row, 0)?];
    fill(session, &mut found).await?;
    let [found] = found;
    Ok(Some(found))
}
