//! Who takes part in a conversation, and its newest seq, remembered between batches.
//!
//! A batch holds the lock of its conversations and reads their `members_version`, which every
//! change of membership raises under the same lock. What was remembered for that version is
//! therefore the truth at the time of the commit. A guess made without reading is tested against
//! version and seq when it is written.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    core::Core,
    engine::{Arg, Cells, Engine, Sql, sql_in},
    failure::Failure,
    session::Session,
};
use crate::chat::{ConversationId, StoreResult, UserId};

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

/// See [`Store::members`](crate::chat::Store::members).
pub(super) async fn of<E: Engine>(
    core: &Core<E>,
    ids: &[ConversationId],
) -> StoreResult<HashMap<ConversationId, Arc<[UserId]>>> {
    Ok(load(&mut core.reader().await?, ids).await?)
}

/// User ids remembered at most, over all conversations: about 20 MB.
const CAPACITY: usize = 200_000;

/// What was last known of a conversation.
#[derive(Clone)]
pub(super) struct Known {
    /// Its `members_version`.
    pub(super) version: i64,
    /// Its newest seq.
    pub(super) last_seq: u64,
    /// Its present participants.
    pub(super) users: Arc<[UserId]>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<ConversationId, Known>,
    size: usize,
}

/// Conversations, each as it was last known.
#[derive(Default)]
pub(super) struct Members(Mutex<Inner>);

impl Members {
    /// The conversation as it was last known.
    pub(super) fn get(&self, id: &ConversationId) -> Option<Known> {
        self.0.lock().known.get(id).cloned()
    }

    /// Remembers a conversation.
    pub(super) fn put(&self, id: &ConversationId, known: Known) {
        let mut inner = self.0.lock();
        if inner.size + known.users.len() >= CAPACITY {
            // Simple and rare: what is in use is back after one query each.
            *inner = Inner::default();
        }
        inner.size += known.users.len() + 1;
        if let Some(before) = inner.known.insert(id.clone(), known) {
            inner.size -= before.users.len() + 1;
        }
    }

    /// Forgets a conversation.
    pub(super) fn forget(&self, id: &ConversationId) {
        let mut inner = self.0.lock();
        if let Some(before) = inner.known.remove(id) {
            inner.size -= before.users.len() + 1;
        }
    }

    /// Forgets everything: a database that comes back may have been restored to an earlier time.
    pub(super) fn clear(&self) {
        *self.0.lock() = Inner::default();
    }
}
