//! Receipts: cursors per participant that only move forward.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Actor, Chat, ChatError, ChatResult, ConversationId, Cursor, Event, MessageRef, Receipt,
    ReceiptTarget,
};

/// Messages named in one receipt at most.
const MAX_TARGETS: usize = 200;

impl Chat {
    /// Marks messages, or a whole conversation, as read by the actor.
    pub async fn mark_read(&self, actor: &Actor, target: ReceiptTarget) -> ChatResult<()> {
        self.mark(actor, target, Cursor::Read).await
    }

    /// Marks messages, or a whole conversation, as received by one of the actor's devices.
    pub async fn mark_delivered(&self, actor: &Actor, target: ReceiptTarget) -> ChatResult<()> {
        self.mark(actor, target, Cursor::Delivered).await
    }

    async fn mark(&self, actor: &Actor, target: ReceiptTarget, cursor: Cursor) -> ChatResult<()> {
        for (conversation, refs) in self.resolve(actor, target).await? {
            let Some(seq) = refs.iter().map(|r| r.seq).max() else {
                continue;
            };
            let (user, now) = (&actor.profile.id, self.clock.now());
            let before = self
                .store
                .advance(&conversation, user, cursor, seq, now)
                .await?;
            // One event for each message that was named and is news, because clients tick off
            // messages one by one; a message of one's own needs no receipt.
            for r in refs
                .into_iter()
                .filter(|r| r.seq > before && &r.sender != user)
            {
                let receipt = Arc::new(Receipt {
                    conversation: r.conversation,
                    message: r.id,
                    seq: r.seq,
                    sender: r.sender,
                    by: actor.profile.clone(),
                    at: now,
                });
                let event = match cursor {
                    Cursor::Read => Event::MessageRead(receipt),
                    Cursor::Delivered => Event::MessageDelivered(receipt),
                };
                self.announce_by(actor, event);
            }
        }
        Ok(())
    }

    /// The messages meant, per conversation and ascending by seq. Whether the actor takes part is
    /// left to the cursor's own check, but for a named conversation it is checked here, so that
    /// message ids cannot be probed through it.
    async fn resolve(
        &self,
        actor: &Actor,
        target: ReceiptTarget,
    ) -> ChatResult<BTreeMap<ConversationId, Vec<MessageRef>>> {
        if target.messages.len() > MAX_TARGETS {
            return Err(ChatError::too_large(format!(
                "at most {MAX_TARGETS} messages at once"
            )));
        }
        let mut found = if target.messages.is_empty() {
            let Some(conversation) = &target.conversation else {
                return Err(ChatError::invalid("name a message or a conversation"));
            };
            self.store
                .conversation(conversation, &actor.profile.id)
                .await?;
            let last = self.store.last_message(conversation).await?;
            last.map(|m| MessageRef {
                id: m.id.clone(),
                conversation: m.conversation.clone(),
                seq: m.seq,
                sender: m.sender.id.clone(),
            })
            .into_iter()
            .collect()
        } else {
            let mut found = self.store.locate(&target.messages).await?;
            if let Some(conversation) = &target.conversation {
                found.retain(|r| &r.conversation == conversation);
            }
            if found.is_empty() {
                return Err(ChatError::not_found("no such message"));
            }
            found
        };
        found.sort_by_key(|r| r.seq);
        let mut by_conversation = BTreeMap::<_, Vec<_>>::new();
        for r in found {
            by_conversation
                .entry(r.conversation.clone())
                .or_default()
                .push(r);
        }
        Ok(by_conversation)
    }
}
