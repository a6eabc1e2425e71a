//! Receipts: cursors per participant that only move forward.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Actor, Chat, ChatError, ChatResult, ConversationId, Cursor, Event, Message, MessageRef, Page,
    Receipt, ReceiptTarget, UserId,
};

/// Messages named in one receipt at most.
const MAX_TARGETS: usize = 200;
/// Messages of one sender that are confirmed one by one when many were handed over at once.
const MAX_CONFIRMED: usize = 20;
/// How many messages of one's own may follow the one of somebody else that a receipt for the
/// whole conversation is told about.
const OWN_MESSAGES_SKIPPED: u32 = 50;

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
            self.advance(actor, &conversation, refs, cursor).await?;
        }
        Ok(())
    }

    /// Records that messages of a conversation were handed to a connection of the actor's whose
    /// client confirms nothing itself. Of many messages of one sender the newest are confirmed to
    /// them, which says the same of all earlier ones.
    pub async fn handed_over(
        &self,
        actor: &Actor,
        conversation: &ConversationId,
        messages: &[Arc<Message>],
    ) -> ChatResult<()> {
        let mut left = BTreeMap::<&UserId, usize>::new();
        let newest_first = messages.iter().rev().filter(|m| {
            let confirmed = left.entry(&m.sender.id).or_default();
            *confirmed += 1;
            *confirmed <= MAX_CONFIRMED
        });
        let mut refs: Vec<_> = newest_first.map(place_of).collect();
        refs.reverse();
        self.advance(actor, conversation, refs, Cursor::Delivered)
            .await
    }

    async fn advance(
        &self,
        actor: &Actor,
        conversation: &ConversationId,
        refs: Vec<MessageRef>,
        cursor: Cursor,
    ) -> ChatResult<()> {
        let Some(seq) = refs.iter().map(|r| r.seq).max() else {
            return Ok(());
        };
        let (user, now) = (&actor.profile.id, self.clock.now());
        let before = self
            .store
            .advance(conversation, user, cursor, seq, now)
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
            // The newest message decides how far the cursor goes; the newest of somebody else's
            // is the one whose sender waits for the receipt.
            let user = &actor.profile.id;
            let page = Page::Newest {
                before: None,
                limit: OWN_MESSAGES_SKIPPED,
            };
            let (messages, _) = self.store.messages(conversation, user, page).await?;
            let others = messages.iter().rev().find(|m| &m.sender.id != user);
            let mut found: Vec<_> = messages
                .last()
                .into_iter()
                .chain(others)
                .map(place_of)
                .collect();
            found.dedup();
            found
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

fn place_of(message: &Arc<Message>) -> MessageRef {
    MessageRef {
        id: message.id.clone(),
        conversation: message.conversation.clone(),
        seq: message.seq,
        sender: message.sender.id.clone(),
    }
}
