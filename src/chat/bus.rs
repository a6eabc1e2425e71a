//! What the domain needs from this node's sockets and from other nodes.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;

use super::{ConversationId, Envelope, MessageId, Order, Unavailable, UserId};

/// The node's own sockets. Never blocks.
pub trait Local: Send + Sync + 'static {
    /// Delivers to the sockets of this node: to all that the event is for, or, where it came over
    /// the bus, to those that listen by this topic. Messages are put in seq order per conversation:
    /// what comes early waits, what comes twice is dropped, what is missing is read from the store.
    fn deliver(&self, envelope: &Envelope, via: Option<&Topic>);

    /// A message that was delivered here could not be published: a sweeper of whichever node will,
    /// and those of this node who were notified of it are not to be notified again.
    fn comes_again(&self, message: &MessageId);

    /// These orders became known: connections that are to end do. Whoever is being admitted meanwhile
    /// is compared with what is known once they are connected.
    fn obey(&self, orders: &[Order]);

    /// Events of other nodes may have been missed: what the store knows of them is made good.
    fn missed(&self);
}

/// What a node listens to on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A conversation with members on this node.
    Conversation(ConversationId),
    /// A user with connections on this node.
    User(UserId),
    /// That somebody came or went, for nodes with connections that are told who is online.
    Online,
    /// Orders, for every node.
    Orders,
    /// What other backends emit to a room of that name alone, with connections of this node in it.
    /// For users' and conversations' rooms the other topics do. Nodes publish nothing there.
    Room(Arc<str>),
}

/// The end of a publication: whether it was handed over. Dropping it changes nothing.
pub type Publishing = Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send>>;

/// The way to the other nodes.
///
/// # Contract
/// At most once per topic, in order per publisher and topic while the connection lasts. Messages
/// are made whole by the store (seq per conversation, the outbox); nothing else is. The publisher
/// has already delivered to its own sockets; the bus never hands a node its own envelope.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Hands the envelope to every other node that listens to one of its topics
    /// ([`Event::topics`](super::Event::topics)), in the order of the calls.
    fn publish(&self, envelope: &Envelope) -> Publishing;

    /// Listens to a topic. When it returns, whatever is published from now on arrives here, or the
    /// other nodes cannot be reached: then it will as soon as they can, and what was missed
    /// meanwhile is told ([`Local::missed`]). Counted: each call is undone by one
    /// [`Bus::unsubscribe`].
    async fn subscribe(&self, topic: Topic);

    /// Stops listening once as many calls as subscriptions were made. Never blocks.
    fn unsubscribe(&self, topic: Topic);

    /// Whether there can be no other node, so that there is nothing to publish.
    fn is_alone(&self) -> bool;

    /// Whether what is published now has a chance to be handed over.
    fn is_up(&self) -> bool;

    /// Whether other nodes can be reached, for readiness.
    async fn ping(&self) -> Result<(), Unavailable>;
}
