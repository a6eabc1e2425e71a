//! Making, changing and listing conversations.

use std::sync::Arc;

use super::{
    Actor, Chat, ChatError, ChatResult, Conversation, ConversationId, ConversationPage,
    ConversationSummary, Event, NewConversation, Role, StoreError, UserId, send::is_label,
};

const MAX_TITLE_CHARS: usize = 200;

impl Chat {
    /// Opens the direct conversation with another user, or makes a group. The flag tells whether
    /// it was made now; then everybody in it hears of it.
    pub async fn create(
        &self,
        actor: &Actor,
        new: NewConversation,
    ) -> ChatResult<(Conversation, bool)> {
        let me = &actor.profile.id;
        let (NewConversation::Direct { id, .. } | NewConversation::Group { id, .. }) = &new;
        if id.is_some() && !actor.service {
            return Err(ChatError::forbidden(
                "only a service caller may choose the id",
            ));
        }
        let (conversation, made) = match new {
            NewConversation::Direct { other, .. } if &other == me => {
                return Err(ChatError::invalid("a conversation needs somebody else"));
            }
            NewConversation::Direct { other, id } => {
                self.store
                    .open_direct(me, &other, id.as_ref(), self.clock.now())
                    .await?
            }
            NewConversation::Group {
                title,
                participants,
                id,
            } => {
                check_title(&title)?;
                let mut all = vec![(me.clone(), Role::Admin)];
                for user in participants {
                    if !all.iter().any(|(u, _)| u == &user) {
                        all.push((user, Role::Member));
                    }
                }
                if all.len() > self.rules.max_participants as usize {
                    return Err(self.too_many());
                }
                let id = id.unwrap_or_else(ConversationId::generate);
                let now = self.clock.now();
                (self.store.create_group(&id, &title, &all, now).await?, true)
            }
        };
        if made {
            self.tell_updated(actor, &conversation).await;
        }
        Ok((conversation, made))
    }

    /// Gives a group another title.
    pub async fn rename(
        &self,
        actor: &Actor,
        id: &ConversationId,
        title: &str,
    ) -> ChatResult<Conversation> {
        check_title(title)?;
        self.require_admin(actor, id).await?;
        let conversation = self.store.rename(id, title, self.clock.now()).await?;
        self.tell_updated(actor, &conversation).await;
        Ok(conversation)
    }

    /// Adds users to a group.
    pub async fn add_participants(
        &self,
        actor: &Actor,
        id: &ConversationId,
        users: &[UserId],
    ) -> ChatResult<Conversation> {
        let max = self.rules.max_participants;
        if users.is_empty() {
            return Err(ChatError::invalid("name at least one user to add"));
        }
        if users.len() > max as usize {
            return Err(self.too_many());
        }
        self.require_admin(actor, id).await?;
        let now = self.clock.now();
        let conversation = self.store.add_participants(id, users, max, now).await?;
        self.tell_updated(actor, &conversation).await;
        Ok(conversation)
    }

    /// Takes a user out of a group: oneself, or anybody as an admin. Their connections are out of
    /// the room before this returns.
    pub async fn remove_participant(
        &self,
        actor: &Actor,
        id: &ConversationId,
        user: &UserId,
    ) -> ChatResult<Conversation> {
        if user == &actor.profile.id {
            // A stranger must not learn from a refusal what sort of conversation there is.
            self.conversation(actor, id).await?;
        } else {
            self.require_admin(actor, id).await?;
        }
        let conversation = self
            .store
            .remove_participant(id, user, self.clock.now())
            .await?;
        let removed = Event::ParticipantRemoved {
            conversation: id.clone(),
            user: user.clone(),
        };
        self.announce_by(actor, removed);
        self.tell_updated(actor, &conversation).await;
        Ok(conversation)
    }

    /// Deletes a conversation for everybody: a group by an admin, a direct one by either user.
    pub async fn delete(&self, actor: &Actor, id: &ConversationId) -> ChatResult<()> {
        let direct = !actor.service && !self.conversation(actor, id).await?.is_group;
        if !direct {
            self.require_admin(actor, id).await?;
        }
        let audience = self.store.delete(id, self.clock.now()).await?;
        let event = Event::ConversationDeleted {
            conversation: id.clone(),
            audience,
        };
        self.announce_by(actor, event);
        Ok(())
    }

    /// A page of the actor's conversations, the one with the newest message first.
    pub async fn list(
        &self,
        actor: &Actor,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> ChatResult<ConversationPage> {
        let limit = limit
            .unwrap_or(self.rules.page_size)
            .clamp(1, self.rules.max_page_size);
        let page = self
            .store
            .conversations(&actor.profile.id, cursor, limit)
            .await;
        match page {
            Err(StoreError::NotFound) => Err(ChatError::invalid("the cursor cannot be read")),
            page => Ok(page?),
        }
    }

    /// One conversation as the actor's list shows it.
    pub async fn summary(
        &self,
        actor: &Actor,
        id: &ConversationId,
    ) -> ChatResult<ConversationSummary> {
        let conversation = self.conversation(actor, id).await?;
        self.summarise(actor, conversation).await
    }

    /// A conversation just made or changed as the actor's list shows it.
    pub async fn summarise(
        &self,
        actor: &Actor,
        conversation: Conversation,
    ) -> ChatResult<ConversationSummary> {
        let last_message = self.store.last_message(&conversation.id).await?;
        let read = conversation
            .participant(&actor.profile.id)
            .map_or(conversation.last_seq, |p| p.read_seq);
        let unread = conversation.last_seq.saturating_sub(read);
        Ok(ConversationSummary {
            conversation,
            last_message,
            unread,
        })
    }

    /// The change is committed by now: whatever fails here must not look like a failure of it.
    pub(super) async fn tell_updated(&self, actor: &Actor, conversation: &Conversation) {
        let last_message = self.store.last_message(&conversation.id).await;
        let last_message = last_message.unwrap_or_else(|e| {
            ChatError::from(e).log("a change is announced without the last message");
            None
        });
        let conversation = Arc::new(conversation.clone());
        self.announce_by(
            actor,
            Event::ConversationUpdated {
                conversation,
                last_message,
            },
        );
    }

    fn too_many(&self) -> ChatError {
        let max = self.rules.max_participants;
        ChatError::too_large(format!("a group has at most {max} participants"))
    }
}

fn check_title(title: &str) -> ChatResult<()> {
    if is_label(title, MAX_TITLE_CHARS) {
        return Ok(());
    }
    Err(ChatError::invalid(format!(
        "title must be 1 to {MAX_TITLE_CHARS} characters without control characters"
    )))
}
