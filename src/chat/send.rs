//! Saying something: validate, commit, announce.

use std::sync::Arc;

use super::{
    Actor, Appended, Attachment, Chat, ChatError, ChatResult, ConversationId, Envelope, Event,
    MessageId, NewConversation, NewMessage, Recipient, SendMessage, Sent, StoreError, UploadId,
    UserId,
};

const MAX_KIND_CHARS: usize = 32;
const MAX_CLIENT_ID_CHARS: usize = 128;
const MAX_METADATA_BYTES: usize = 16 * 1024;

impl Chat {
    /// Commits a message and announces it. An `Ok` is the promise that the message survives; a
    /// repetition of the same `client_id` returns the first message and announces nothing.
    ///
    /// # Errors
    /// `invalid`, `too_large`, `forbidden` (no participant, or the receiver is none, or an attachment
    /// is no complete upload of the sender), `conflict` (the `client_id` was used in another
    /// conversation), `unavailable` (try again with the same `client_id`).
    pub async fn send(&self, actor: &Actor, send: SendMessage) -> ChatResult<Sent> {
        let kind = send.kind.clone().unwrap_or_else(|| Arc::from("text"));
        self.check(&send, &kind)?;
        let attachments = self.attachments(actor, &send.attachments).await?;
        let (conversation, with) = self.place(actor, send.to).await?;
        let Appended {
            message,
            participants,
            duplicate,
            outbox,
        } = self
            .append(
                actor,
                NewMessage {
                    id: MessageId::generate(),
                    conversation: conversation.clone(),
                    sender: actor.profile.clone(),
                    client_id: send.client_id,
                    kind,
                    content: send.content,
                    attachments,
                    metadata: send.metadata,
                    with,
                    created_at: self.clock.now(),
                },
            )
            .await?;
        if !duplicate {
            // Not every client says that it stopped before it sends.
            self.stop_typing(&conversation, actor);
            let event = Event::MessageCreated {
                message: message.clone(),
                participants,
            };
            self.announce(
                Envelope {
                    origin: actor.device.clone(),
                    event,
                },
                outbox,
            );
        }
        Ok(Sent { message, duplicate })
    }

    /// What the message will show of its attachments. There is one answer to what does not exist
    /// and to what belongs to somebody else.
    async fn attachments(&self, actor: &Actor, ids: &[UploadId]) -> ChatResult<Arc<[Attachment]>> {
        let mut distinct: Vec<&UploadId> = Vec::new();
        for id in ids {
            if !distinct.contains(&id) {
                distinct.push(id);
            }
            let max = self.rules.max_attachments;
            if distinct.len() > max {
                return Err(ChatError::too_large(format!(
                    "a message has at most {max} attachments"
                )));
            }
        }
        if distinct.is_empty() {
            return Ok(Arc::from([]));
        }
        let wanted: Vec<_> = distinct.into_iter().cloned().collect();
        let mut found = self.store.uploads(&wanted).await?;
        found.retain(|upload| upload.owner == actor.profile.id);
        wanted
            .iter()
            .map(|id| found.iter().find(|upload| upload.file.id == *id))
            .map(|upload| Some(upload?.file.clone()))
            .collect::<Option<_>>()
            .ok_or_else(|| ChatError::forbidden("attachments must be complete uploads of yours"))
    }

    /// The conversation meant, and who else must take part in it.
    async fn place(
        &self,
        actor: &Actor,
        to: Recipient,
    ) -> ChatResult<(ConversationId, Option<UserId>)> {
        let (other, conversation) = match to {
            Recipient::Conversation(conversation) => return Ok((conversation, None)),
            Recipient::User { user, conversation } => (user, conversation),
        };
        if other == actor.profile.id {
            return Err(ChatError::invalid("a message needs somebody else"));
        }
        match conversation {
            Some(conversation) => Ok((conversation, Some(other))),
            None => {
                let (direct, _) = self
                    .create(actor, NewConversation::Direct { other, id: None })
                    .await?;
                Ok((direct.id, None))
            }
        }
    }

    /// Commits a message; where it names its receiver, the conversation is made on first use.
    async fn append(&self, actor: &Actor, message: NewMessage) -> ChatResult<Appended> {
        let Some(with) = message.with.clone() else {
            return Ok(self.store.append(message).await?);
        };
        // Nearly always the conversation is there, and its commit finds out who takes part.
        match self.store.append(message.clone()).await {
            Err(StoreError::NotFound) => {}
            appended => return Ok(appended?),
        }
        let (me, now) = (&actor.profile.id, self.clock.now());
        let opened = self
            .store
            .open_between(&message.conversation, me, &with, now);
        let (conversation, made) = opened.await?;
        if made {
            self.tell_updated(actor, &conversation).await;
        }
        Ok(self.store.append(message).await?)
    }

    fn check(&self, send: &SendMessage, kind: &str) -> ChatResult<()> {
        if send.content.trim().is_empty() && send.attachments.is_empty() {
            return Err(ChatError::invalid("content must not be empty"));
        }
        let max = self.rules.max_content_chars;
        // Counting characters is only needed where the bytes could be too many of them.
        if send.content.len() > max && send.content.chars().count() > max {
            return Err(ChatError::too_large(format!(
                "content is longer than {max} characters"
            )));
        }
        // PostgreSQL's text cannot hold it, and no keyboard makes it.
        if send.content.contains('\0') {
            return Err(ChatError::invalid(
                "content must not contain the character U+0000",
            ));
        }
        if send
            .metadata
            .as_ref()
            .is_some_and(|m| m.get().len() > MAX_METADATA_BYTES)
        {
            return Err(ChatError::too_large(format!(
                "metadata is longer than {MAX_METADATA_BYTES} bytes"
            )));
        }
        if !is_label(kind, MAX_KIND_CHARS) {
            return Err(ChatError::invalid(format!(
                "type must be 1 to {MAX_KIND_CHARS} characters without control characters"
            )));
        }
        match &send.client_id {
            Some(id) if !is_label(id, MAX_CLIENT_ID_CHARS) => Err(ChatError::invalid(format!(
                "clientId must be 1 to {MAX_CLIENT_ID_CHARS} characters without control characters"
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether the text can be stored and shown as a short name.
pub(super) fn is_label(text: &str, max_chars: usize) -> bool {
    !text.trim().is_empty()
        && text.len() <= max_chars * 4
        && text.chars().count() <= max_chars
        && !text.chars().any(char::is_control)
}
