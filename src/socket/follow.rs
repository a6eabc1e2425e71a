//! Connections that follow their user's conversations without joining them: from their introduction
//! on they are given what waits for the user, and enter each conversation's room as soon as there is
//! something to hear in it.
//!
//! What has to be caught up with stands in the connection's inbox beside its events and is worked
//! off by the same worker, one page at a time, so that neither overtakes the other and a connection
//! with much to catch up with still has its events handled.

use std::{sync::Arc, time::Duration};

use super::{inbound, server::Edge, session::Session, words::Words};
use crate::chat::{ChatResult, ConversationId, Envelope, ErrorCode, Event, Waiting};

/// Conversations in a page of those with waiting messages.
const PLACES: u32 = 200;
/// Messages in a page. The connection's queue must take them beside what else comes in.
const MESSAGES: u32 = 100;
/// When to try again after the store failed.
const RETRY: Duration = Duration::from_secs(1);

/// Something to catch up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// The conversations with waiting messages.
    Waiting,
    /// The conversation's messages after this seq, or after what the user has received if that is
    /// less.
    Conversation(ConversationId, u64),
    /// Of a conversation whose room was entered: the messages after this seq.
    Page(ConversationId, u64),
}

/// From now on the connection follows.
pub async fn start(session: &Arc<Session>, edge: &Edge) {
    if session.set_following(true) {
        handle(session, edge, Follow::Waiting).await;
    }
}

/// The connection follows no more.
pub fn stop(session: &Arc<Session>, edge: &Edge) {
    if session.set_following(false) {
        session.inbox.forget_follows();
        let rooms: Vec<_> = session.rooms.lock().iter().cloned().collect();
        for conversation in rooms {
            edge.hub.leave(&conversation, session);
        }
    }
}

/// There are messages after this seq in a conversation whose room the connection is not in.
pub fn catch_up(session: &Arc<Session>, conversation: &ConversationId, after: u64) {
    inbound::follow(session, Follow::Conversation(conversation.clone(), after));
}

/// Catches up with one thing.
pub async fn handle(session: &Arc<Session>, edge: &Edge, follow: Follow) {
    if !session.is_following() {
        return;
    }
    let result = match &follow {
        Follow::Waiting => waiting(session, edge).await,
        Follow::Conversation(id, after) => conversation(session, edge, id, *after).await,
        Follow::Page(id, after) => page(session, edge, id, *after).await,
    };
    let Err(error) = result else { return };
    if let Follow::Conversation(id, _) | Follow::Page(id, _) = &follow {
        edge.hub.leave(id, session);
        if matches!(error.code, ErrorCode::Forbidden | ErrorCode::NotFound) {
            // Deleted meanwhile, or the user takes no part in it any more.
            return;
        }
    }
    error.log("a connection cannot catch up, trying again");
    let session = Arc::downgrade(session);
    tokio::spawn(async move {
        tokio::time::sleep(RETRY).await;
        let again = match follow {
            Follow::Page(id, after) => Follow::Conversation(id, after),
            other => other,
        };
        if let Some(session) = session.upgrade() {
            inbound::follow(&session, again);
        }
    });
}

async fn waiting(session: &Arc<Session>, edge: &Edge) -> ChatResult<()> {
    let user = &session.actor.profile.id;
    // What another device was handed a moment ago is not waiting any more.
    edge.hub.handed.record_of(&edge.chat, user).await;
    let mut last: Option<Waiting> = None;
    loop {
        let page = edge.chat.waiting(user, last.as_ref(), PLACES).await?;
        for w in &page {
            catch_up(session, &w.conversation, w.delivered_seq);
        }
        if page.len() < PLACES as usize || !session.is_live() {
            return Ok(());
        }
        last = page.into_iter().last();
    }
}

async fn conversation(
    session: &Arc<Session>,
    edge: &Edge,
    id: &ConversationId,
    after: u64,
) -> ChatResult<()> {
    // First into the room, then the pages: nothing committed in between can be missed.
    if !edge.hub.enter(id, session).await {
        return Ok(());
    }
    let found = edge.chat.conversation(&session.actor, id).await?;
    let me = found.participant(&session.actor.profile.id);
    let delivered = me.map_or(after, |p| p.delivered_seq);
    page(session, edge, id, after.min(delivered)).await
}

async fn page(
    session: &Arc<Session>,
    edge: &Edge,
    id: &ConversationId,
    after: u64,
) -> ChatResult<()> {
    let (messages, more) = edge
        .chat
        .messages(&session.actor, id, None, Some(after), Some(MESSAGES))
        .await?;
    let mut last = after;
    for message in messages {
        last = message.seq;
        let envelope = Envelope {
            origin: None,
            event: Event::MessageCreated {
                message,
                participants: Arc::default(),
            },
        };
        let packets = Words::of(&envelope).for_session(session);
        for packet in packets.iter() {
            if !session.deliver_patiently(packet).await {
                return Ok(());
            }
        }
        edge.hub
            .handed_over(&envelope.event, session, packets.len());
    }
    if more {
        inbound::follow(session, Follow::Page(id.clone(), last));
    } else {
        edge.hub.activate(id, session, last);
    }
    Ok(())
}
