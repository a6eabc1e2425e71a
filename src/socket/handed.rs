//! What was handed to connections whose clients confirm nothing: a moment later, if the connection
//! is still there, it counts as delivered.
//!
//! The moment keeps apart those that were gone when the message left, and lets one write to the
//! store stand for many messages. What is lost with the node waits for the user once more.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::session::Session;
use crate::chat::{Chat, ConversationId, Message, UserId};

/// How long a connection must outlive a message at least; twice that at most.
const MOMENT: Duration = Duration::from_millis(250);
/// Writes to the store under way at the same time.
const WIDTH: usize = 32;

type Key = (UserId, ConversationId);
type Pending = HashMap<Key, Vec<(Arc<Session>, Arc<Message>)>>;

/// Messages that were handed over and are not yet recorded as delivered.
#[derive(Default)]
pub struct Handed(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    /// Since the last look.
    young: Pending,
    /// Before it.
    old: Pending,
}

impl Handed {
    /// A message came by a connection that follows: it was queued, or is one of the user's own that
    /// the dialect has no words for, behind which the cursor must not stay.
    pub fn note(&self, to: &Arc<Session>, message: &Arc<Message>) {
        let key = (to.actor.profile.id.clone(), message.conversation.clone());
        let mut generations = self.0.lock();
        let handed = generations.young.entry(key).or_default();
        handed.push((to.clone(), message.clone()));
    }

    /// Records what was handed over, for ever; the caller ends it by dropping the future.
    pub async fn run(&self, chat: &Chat) {
        loop {
            tokio::time::sleep(MOMENT).await;
            let due = {
                let mut generations = self.0.lock();
                let young = std::mem::take(&mut generations.young);
                std::mem::replace(&mut generations.old, young)
            };
            stream::iter(due)
                .for_each_concurrent(WIDTH, |(key, handed)| record(chat, key, handed))
                .await;
        }
    }

    /// Records what was handed to this user's connections so far.
    pub async fn record_of(&self, chat: &Chat, user: &UserId) {
        let due: Vec<_> = {
            let mut generations = self.0.lock();
            let Generations { young, old } = &mut *generations;
            let of_user = |pending: &mut Pending| {
                let due = pending.extract_if(|(u, _), _| u == user);
                due.collect::<Vec<_>>()
            };
            let mut due = of_user(old);
            due.extend(of_user(young));
            due
        };
        for (key, handed) in due {
            record(chat, key, handed).await;
        }
    }
}

async fn record(chat: &Chat, (_, conversation): Key, handed: Vec<(Arc<Session>, Arc<Message>)>) {
    let live = handed.iter().filter(|(session, _)| session.is_live());
    let mut messages: Vec<_> = live.clone().map(|(_, message)| message.clone()).collect();
    messages.sort_by_key(|m| m.seq);
    messages.dedup_by_key(|m| m.seq);
    let Some((session, _)) = live.clone().next() else {
        return;
    };
    let recorded = chat.handed_over(&session.actor, &conversation, &messages);
    if let Err(e) = recorded.await {
        // They wait on, and the user is given them once more.
        e.log("messages could not be recorded as delivered");
    }
}
