//! [`Chat`]: the use cases' common ground, and the one way by which events leave them.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{
    Blobs, Bus, ChatError, ChatResult, Clock, Command, Controls, Conversation, ConversationId,
    DeviceId, Envelope, Event, Local, OutboxId, Presence, Profile, Reply, Role, Store, UploadRules,
    typing::Typing, uploads::THUMBNAILS_AT_ONCE,
};

/// The numbers of `[chat]`.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Characters in a message's content at most.
    pub max_content_chars: usize,
    /// Attachments of a message at most.
    pub max_attachments: usize,
    /// Participants in a group at most.
    pub max_participants: u32,
    /// Messages in a page when the client does not say.
    pub page_size: u32,
    /// Messages in a page at most.
    pub max_page_size: u32,
    /// When typing stops by itself.
    pub typing_timeout: Duration,
    /// The least time between two typing indicators of a user in a conversation.
    pub typing_throttle: Duration,
    /// How long a user stays online without a device.
    pub presence_grace: Duration,
    /// Uploads.
    pub uploads: UploadRules,
}

/// On whose behalf something is done.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The verified user, or the one a service caller acts for.
    pub profile: Profile,
    /// The connection, if it came over one.
    pub device: Option<DeviceId>,
    /// Whether a service caller (API key) asks: roles do not bind it, and it may choose ids.
    pub service: bool,
}

impl Actor {
    /// A user without a connection, as over REST.
    pub fn user(profile: Profile) -> Self {
        Self {
            profile,
            device: None,
            service: false,
        }
    }
}

/// What [`Chat`] is made of.
pub struct Parts {
    /// The durable truth.
    pub store: Arc<dyn Store>,
    /// The bytes of uploads.
    pub blobs: Arc<dyn Blobs>,
    /// The way to other nodes.
    pub bus: Arc<dyn Bus>,
    /// This node's sockets.
    pub local: Arc<dyn Local>,
    /// Who is connected.
    pub presence: Arc<dyn Presence>,
    /// Who is sent away.
    pub controls: Arc<Controls>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The numbers.
    pub rules: Rules,
    /// Where work that outlives a call is tracked, so that a stop can wait for it.
    pub tasks: TaskTracker,
}

/// The use cases. One per node, shared by the Socket.IO and the REST edge.
pub struct Chat {
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Arc<dyn Blobs>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) local: Arc<dyn Local>,
    pub(super) presence: Arc<dyn Presence>,
    pub(super) controls: Arc<Controls>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rules: Rules,
    pub(super) tasks: TaskTracker,
    pub(super) typing: Typing,
    /// Turns at making thumbnails; never closed.
    pub(super) thumbnails: Semaphore,
}

impl Chat {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            store,
            blobs,
            bus,
            local,
            presence,
            controls,
            clock,
            rules,
            tasks,
        } = parts;
        let typing = Typing::new(&rules);
        Arc::new(Self {
            store,
            blobs,
            bus,
            local,
            presence,
            controls,
            clock,
            rules,
            tasks,
            typing,
            thumbnails: Semaphore::new(THUMBNAILS_AT_ONCE),
        })
    }

    /// Runs a command that needs no connection of its own. The Socket.IO edge handles the rest
    /// ([`Command::Join`], [`Command::Leave`], [`Command::Sync`], [`Command::Introduce`],
    /// [`Command::Withdraw`], [`Command::Authenticate`]), because rooms and tokens belong to
    /// connections.
    ///
    /// `in_room` tells whether the acting connection is in the room of the conversation that the
    /// command names; a removed participant is out of it at once, so it proves participation.
    pub async fn run(
        self: &Arc<Self>,
        actor: &Actor,
        command: Command,
        in_room: bool,
    ) -> ChatResult<Reply> {
        match command {
            Command::Send(message) => self.send(actor, message).await.map(Reply::Sent),
            Command::Read(target) => self.mark_read(actor, target).await.map(|()| Reply::Done),
            Command::Delivered(target) => self
                .mark_delivered(actor, target)
                .await
                .map(|()| Reply::Done),
            Command::Typing { conversation, on } => self
                .type_in(actor, &conversation, on, in_room)
                .await
                .map(|()| Reply::Done),
            Command::SetStatus(status) => {
                self.set_status(actor, status).await.map(|()| Reply::Done)
            }
            Command::Search(search) => self.search(actor, &search).await.map(Reply::Found),
            Command::Heartbeat => Ok(Reply::Done),
            Command::Join { .. }
            | Command::Leave { .. }
            | Command::Sync { .. }
            | Command::Introduce { .. }
            | Command::Withdraw
            | Command::Authenticate { .. } => {
                Err(ChatError::invalid("this needs a Socket.IO connection"))
            }
        }
    }

    /// Sends an event on its way: this node's sockets first, then the other nodes, then the outbox
    /// row is cleared. What stays in the outbox because this node dies or the bus is down is
    /// published by a sweeper ([`Chat::sweep_outbox`]).
    pub(super) fn announce(&self, envelope: Envelope, outbox: Option<OutboxId>) {
        self.local.deliver(&envelope, None);
        if self.bus.is_alone() {
            self.store.published(outbox.as_slice());
            return;
        }
        let publishing = self.bus.publish(&envelope);
        let (Some(row), Event::MessageCreated { message, .. }) = (outbox, envelope.event) else {
            return;
        };
        let (store, local) = (self.store.clone(), self.local.clone());
        self.tasks.spawn(async move {
            match publishing.await {
                Ok(()) => store.published(&[row]),
                Err(_) => local.comes_again(&message.id),
            }
        });
    }

    pub(super) fn announce_by(&self, actor: &Actor, event: Event) {
        self.announce(
            Envelope {
                origin: actor.device.clone(),
                event,
            },
            None,
        );
    }

    /// The conversation, for one who takes part in it.
    pub async fn conversation(
        &self,
        actor: &Actor,
        id: &ConversationId,
    ) -> ChatResult<Conversation> {
        Ok(self.store.conversation(id, &actor.profile.id).await?)
    }

    /// Refuses whoever is neither an admin of the group nor a service caller.
    pub(super) async fn require_admin(&self, actor: &Actor, id: &ConversationId) -> ChatResult<()> {
        if actor.service {
            return Ok(());
        }
        let conversation = self.conversation(actor, id).await?;
        if !conversation.is_group {
            return Err(ChatError::conflict(
                "a direct conversation cannot be changed",
            ));
        }
        match conversation.participant(&actor.profile.id) {
            Some(p) if p.role == Role::Admin => Ok(()),
            _ => Err(ChatError::forbidden(
                "only an admin of the group may do this",
            )),
        }
    }
}
