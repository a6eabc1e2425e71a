//! Who takes part in a conversation, remembered between batches.
//!
//! A batch holds the lock of its conversations and reads their `members_version`, which every
//! change of membership raises under the same lock. What was remembered for that version is
//! therefore the truth at the time of the commit.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    engine::{Arg, Cells, Engine, Sql, sql_in},
    failure::Failure,
    session::Session,
};
use crate::chat::{ConversationId, UserId};

const MEMBERS: Sql = sql_in!(
    "SELECT conversation_id, user_id FROM participants WHERE left_at IS NULL AND conversation_id",
    " ORDER BY conversation_id, joined_at, user_id"
);

/// The present participants of each of these conversations, by joining time, then id.
pub(super) async fn load<E: Engine>(
    session: &mut Session<E>,
    ids: impl IntoIterator<Item = &ConversationId>,
) -> Result<HashMap<ConversationId, Arc<[UserId]>>, Failure> {
    let mut members: HashMap<_, Vec<_>> =
        ids.into_iter().map(|id| (id.clone(), Vec::new())).collect();
    if members.is_empty() {
        return Ok(HashMap::new());
    }
    let args = [Arg::Texts(
        members.keys().map(ConversationId::as_str).collect(),
    )];
    for row in session.rows(MEMBERS, &args).await? {
        if let Some(users) = members.get_mut(row.text(0)?.as_str()) {
            users.push(UserId::trusted(row.text(1)?));
        }
    }
    Ok(members
        .into_iter()
        .map(|(id, users)| (id, users.into()))
        .collect())
}

/// User ids remembered at most, over all conversations: about 20 MB.
const CAPACITY: usize = 200_000;

#[derive(Default)]
struct Inner {
    known: HashMap<ConversationId, (i64, Arc<[UserId]>)>,
    size: usize,
}

/// The present participants of conversations, each with the version that it holds for.
#[derive(Default)]
pub(super) struct Members(Mutex<Inner>);

impl Members {
    /// The participants at that version, if remembered.
    pub(super) fn get(&self, id: &ConversationId, version: i64) -> Option<Arc<[UserId]>> {
        let inner = self.0.lock();
        let (known, users) = inner.known.get(id)?;
        (*known == version).then(|| Arc::clone(users))
    }

    /// Remembers the participants at that version.
    pub(super) fn put(&self, id: ConversationId, version: i64, users: Arc<[UserId]>) {
        let mut inner = self.0.lock();
        if inner.size + users.len() >= CAPACITY {
            // Simple and rare: what is in use is back after one query each.
            *inner = Inner::default();
        }
        inner.size += users.len() + 1;
        if let Some((_, before)) = inner.known.insert(id, (version, users)) {
            inner.size -= before.len() + 1;
        }
    }

    /// Forgets everything: a database that comes back may have been restored to an earlier time.
    pub(super) fn clear(&self) {
        *self.0.lock() = Inner::default();
    }
}
