//! After other nodes were out of reach: what the store knows of the time between is made good.
//!
//! Messages come again by seq, whoever was removed meanwhile leaves, and who came online is looked
//! for. Typing and receipts of that time stay missed. Whoever is removed while they are out of reach leaves then
//! ([`Heal::doubt`]).

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{follow::Follow, hub::Hub, inbound, session::Session};
use crate::{
    chat::{ConversationId, Envelope, Event, Presence, StoreResult, UserId},
    telemetry,
};

/// Rooms verified by one query.
const ROOMS: usize = 500;
/// Time between two tries when the store fails.
const RETRY: Duration = Duration::from_millis(500);

/// Whether there is something to make good.
#[derive(Default)]
pub struct Heal {
    due: Mutex<Due>,
    wake: Notify,
}

#[derive(Default)]
struct Due {
    /// Everything is to be verified.
    all: bool,
    /// These rooms are.
    rooms: HashSet<ConversationId>,
}

/// A room as it was before the store was asked.
struct Seen {
    conversation: ConversationId,
    /// Those in it who were found to take part.
    listeners: Vec<Arc<Session>>,
}

impl Heal {
    /// Events of other nodes may have been missed.
    pub fn wake(&self) {
        self.due.lock().all = true;
        self.wake.notify_one();
    }

    /// Somebody in these rooms may have no part in them any more.
    pub fn doubt(&self, rooms: impl IntoIterator<Item = ConversationId>) {
        self.due.lock().rooms.extend(rooms);
        self.wake.notify_one();
    }

    /// Makes good what is missed, for ever; the caller ends it by dropping the future.
    pub async fn run(&self, hub: &Arc<Hub>, presence: &dyn Presence) {
        loop {
            self.wake.notified().await;
            let due = std::mem::take(&mut *self.due.lock());
            let started = Instant::now();
            if due.all {
                for session in hub.sessions() {
                    if session.is_following() {
                        inbound::follow(&session, Follow::Waiting);
                    }
                }
                hub.roster.all_changed();
                let rooms = hub.conversations();
                verify(hub, &rooms, |members| presence.concerns(members)).await;
                let (rooms, ms) = (rooms.len(), started.elapsed().as_millis());
                if rooms > 0 {
                    tracing::info!(rooms, ms, "rooms compared with the database");
                }
            } else {
                let rooms: Vec<_> = due.rooms.into_iter().collect();
                verify(hub, &rooms, |_| {}).await;
            }
        }
    }
}

/// Compares these rooms with the store, and shows who takes part in them.
async fn verify(hub: &Arc<Hub>, conversations: &[ConversationId], show: impl Fn(Vec<UserId>)) {
    for some in conversations.chunks(ROOMS) {
        let seen: Vec<_> = some
            .iter()
            .map(|conversation| Seen {
                conversation: conversation.clone(),
                listeners: hub.listeners(conversation),
            })
            .collect();
        let members = loop {
            match compare(hub, some, &seen).await {
                Ok(members) => break members,
                Err(e) => {
                    tracing::warn!(error = %e, "rooms cannot be compared with the database, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        show(members);
        metrics::counter!(telemetry::ROOMS_VERIFIED_TOTAL).increment(some.len() as u64);
    }
}

/// Returns who takes part in these rooms.
async fn compare(
    hub: &Arc<Hub>,
    some: &[ConversationId],
    seen: &[Seen],
) -> StoreResult<Vec<UserId>> {
    let last_seqs = hub.store.last_seqs(some).await?;
    let members = hub.store.members(some).await?;
    for Seen {
        conversation,
        listeners,
    } in seen
    {
        let users: HashSet<_> = listeners.iter().map(|s| &s.actor.profile.id).collect();
        let Some(last_seq) = last_seqs.get(conversation) else {
            let audience: Vec<UserId> = users.into_iter().cloned().collect();
            deleted(hub, conversation, &audience);
            continue;
        };
        if let Some(members) = members.get(conversation) {
            for user in users.into_iter().filter(|u| !members.contains(u)) {
                removed(hub, conversation, user);
            }
        }
        if let Some(room) = hub.room(conversation) {
            let mut locked = room.lock();
            locked.shown(*last_seq);
            hub.mind_gap(conversation, &room, &mut locked);
        }
    }
    let users = members.values().flat_map(|members| members.iter().cloned());
    Ok(users.collect())
}

fn deleted(hub: &Arc<Hub>, conversation: &ConversationId, audience: &[UserId]) {
    let event = Event::ConversationDeleted {
        conversation: conversation.clone(),
        audience: audience.into(),
    };
    let envelope = Envelope {
        origin: None,
        event,
    };
    hub.removed(&envelope, conversation, audience);
}

fn removed(hub: &Arc<Hub>, conversation: &ConversationId, user: &UserId) {
    let event = Event::ParticipantRemoved {
        conversation: conversation.clone(),
        user: user.clone(),
    };
    let envelope = Envelope {
        origin: None,
        event,
    };
    hub.removed(&envelope, conversation, std::slice::from_ref(user));
}
