//! Reading what was said: a page, a joined conversation, everything missed after an absence.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};

use super::{
    Actor, Chat, ChatError, ChatResult, ConversationId, ErrorCode, Joined, Message, Page, Synced,
    UserId, Waiting,
};

/// Conversations in one sync at most.
pub const MAX_SYNC: usize = 500;
/// Messages in the answer to one sync at most, shared out evenly; `has_more` tells who got too few.
const MAX_SYNC_MESSAGES: usize = 1000;
/// Database reads of one sync that run at the same time.
const SYNC_WIDTH: usize = 4;

impl Chat {
    /// A page of messages ascending by seq, and whether more exist in its direction.
    pub async fn messages(
        &self,
        actor: &Actor,
        id: &ConversationId,
        before: Option<u64>,
        after: Option<u64>,
        limit: Option<u32>,
    ) -> ChatResult<(Vec<Arc<Message>>, bool)> {
        if before.is_some() && after.is_some() {
            return Err(ChatError::invalid("give before or after, not both"));
        }
        let limit = limit
            .unwrap_or(self.rules.page_size)
            .clamp(1, self.rules.max_page_size);
        let page = match after {
            Some(after) => Page::After { after, limit },
            None => Page::Newest { before, limit },
        };
        Ok(self.store.messages(id, &actor.profile.id, page).await?)
    }

    /// The conversation with the newest page, or with what came after or before a seq.
    ///
    /// A caller that wants live events without a gap enters the room first and opens then: what is
    /// committed in between is in the page, in the room's events, or in both, and
    /// [`Joined::last_seq`] tells which events are old.
    pub async fn open(
        &self,
        actor: &Actor,
        id: &ConversationId,
        (before, after): (Option<u64>, Option<u64>),
        limit: Option<u32>,
    ) -> ChatResult<Joined> {
        let conversation = self.conversation(actor, id).await?;
        let (messages, has_more) = self.messages(actor, id, before, after, limit).await?;
        let newest = messages.last().map_or(0, |m| m.seq);
        let last_seq = conversation.last_seq.max(newest);
        Ok(Joined {
            viewer: actor.profile.id.clone(),
            conversation,
            messages,
            last_seq,
            has_more,
        })
    }

    /// Conversations with messages that wait for the user, a page at a time; see
    /// [`Store::waiting`](super::Store::waiting).
    pub async fn waiting(
        &self,
        user: &UserId,
        after: Option<&Waiting>,
        limit: u32,
    ) -> ChatResult<Vec<Waiting>> {
        Ok(self.store.waiting(user, after, limit).await?)
    }

    /// [`Chat::open`] for many conversations at once, at most [`MAX_SYNC`], each after the seq that
    /// the client has.
    pub async fn sync(
        &self,
        actor: &Actor,
        conversations: BTreeMap<ConversationId, u64>,
    ) -> ChatResult<Synced> {
        let share = MAX_SYNC_MESSAGES / conversations.len().max(1);
        let limit = u32::try_from(share)
            .unwrap_or(u32::MAX)
            .clamp(1, self.rules.page_size);
        let mut opened = stream::iter(conversations)
            .map(|(id, after)| async move {
                let result = self
                    .open(actor, &id, (None, Some(after)), Some(limit))
                    .await;
                (id, result)
            })
            .buffered(SYNC_WIDTH);
        let mut synced = Synced {
            conversations: Vec::new(),
            gone: Vec::new(),
        };
        while let Some((id, result)) = opened.next().await {
            match result {
                Ok(joined) => synced.conversations.push(joined),
                Err(e) if matches!(e.code, ErrorCode::NotFound | ErrorCode::Forbidden) => {
                    synced.gone.push(id);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(synced)
    }
}
