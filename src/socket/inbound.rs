//! From the wire to the use case: one bounded queue per connection, handled in order.
//!
//! Socketioxide spawns a task per event, which loses their order and lets a flooding client run
//! away. Implementing [`MessageHandler`] takes the raw event before that. The worker exists only
//! while there is work, so that an idle connection has no task of its own.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use socketioxide::{handler::MessageHandler, socket::Socket};
use socketioxide_core::{Str, Value};

use super::{
    adapter::EdgeAdapter,
    commands,
    follow::{self, Follow},
    line::Cut,
    server::Edge,
    session::Session,
};
use crate::{
    chat::{ChatError, ConversationId},
    telemetry,
};

/// The longest that the worker rests after a refused event. Together with the paused line it
/// slows a flooding client down to what the limit allows.
const MAX_REST: Duration = Duration::from_millis(250);
/// What a client is told to wait when its queue is full.
const QUEUE_FULL_RETRY: Duration = Duration::from_millis(1000);
/// Over which time refusals add up to a flood.
const FLOOD_WINDOW: Duration = Duration::from_secs(60);

/// An event as it came.
pub struct Raw {
    /// `["name", arg, ...]`
    pub data: Str,
    /// Whether it has binary attachments.
    pub binary: bool,
    /// Under which id an ack is asked for.
    pub ack: Option<i64>,
    /// When it came.
    pub at: Instant,
}

/// Something for the worker to do.
enum Work {
    /// Handle an event. The flag tells whether few enough are left to read on.
    Event(Raw, bool),
    /// Catch up with something.
    Follow(Follow),
}

/// Events waiting for their turn, and what the connection has to catch up with.
pub struct Inbox {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Raw>,
    /// At most one entry for each of the user's conversations.
    follows: VecDeque<Follow>,
    /// Of the conversations in `follows`: after which seq.
    places: HashMap<ConversationId, u64>,
    /// Whether it is the turn of `follows`: the two take turns.
    follows_next: bool,
    /// Whether the connection is in the hub, so that events may be handled.
    open: bool,
    /// Whether a worker is at it.
    working: bool,
    /// Refused events since `refused_since`.
    refused: u32,
    refused_since: Option<Instant>,
}

enum Pushed {
    Queued { start: bool, high: bool },
    Full(Raw),
}

impl Inbox {
    /// An empty inbox for `capacity` events, closed until [`open_inbox`].
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    fn push(&self, raw: Raw) -> Pushed {
        let mut state = self.state.lock();
        if state.queue.len() >= self.capacity {
            return Pushed::Full(raw);
        }
        state.queue.push_back(raw);
        let start = state.open && !state.working;
        state.working |= start;
        Pushed::Queued {
            start,
            high: state.queue.len() > self.capacity / 2,
        }
    }

    /// The next thing to do. `None` ends the worker.
    fn pop(&self) -> Option<Work> {
        let mut state = self.state.lock();
        let follows = state.follows_next || state.queue.is_empty();
        state.follows_next = !follows;
        if follows && let Some(mut follow) = state.follows.pop_front() {
            if let Follow::Conversation(id, after) = &mut follow {
                *after = state.places.remove(id).unwrap_or(*after);
            }
            return Some(Work::Follow(follow));
        }
        let raw = state.queue.pop_front();
        if raw.is_none() {
            state.working = false;
            // An idle connection keeps no buffers.
            (state.queue, state.follows, state.places) = Default::default();
        }
        let low = state.queue.len() <= self.capacity / 4;
        raw.map(|raw| Work::Event(raw, low))
    }

    /// Takes in something to catch up with. `true`: the caller starts the worker.
    fn push_follow(&self, follow: Follow) -> bool {
        let mut state = self.state.lock();
        match &follow {
            // A conversation that was begun is finished first: others could fill the queue.
            Follow::Page(..) => state.follows.push_front(follow),
            Follow::Waiting => state.follows.push_back(follow),
            Follow::Conversation(id, after) => match state.places.entry(id.clone()) {
                Entry::Occupied(mut place) => {
                    let from = place.get_mut();
                    *from = (*from).min(*after);
                }
                Entry::Vacant(place) => {
                    place.insert(*after);
                    state.follows.push_back(follow);
                }
            },
        }
        let start = state.open && !state.working;
        state.working |= start;
        start
    }

    /// There is nothing to catch up with any more.
    pub fn forget_follows(&self) {
        let mut state = self.state.lock();
        state.follows.clear();
        state.places.clear();
    }

    fn is_low(&self) -> bool {
        self.state.lock().queue.len() <= self.capacity / 4
    }

    /// Lets events be handled. `true`: some are waiting, and the caller starts the worker.
    fn open(&self) -> bool {
        let mut state = self.state.lock();
        state.open = true;
        state.working = !(state.queue.is_empty() && state.follows.is_empty());
        state.working
    }

    /// Counts a refusal. Returns how many there were within the last minute or so. Refusals in a
    /// row would not tell: slowing a flooding client down makes every other event pass.
    fn count_refusal(&self, now: Instant) -> u32 {
        let mut state = self.state.lock();
        let since = *state.refused_since.get_or_insert(now);
        if now.duration_since(since) > FLOOD_WINDOW {
            (state.refused, state.refused_since) = (0, Some(now));
        }
        state.refused = state.refused.saturating_add(1);
        state.refused
    }
}

/// Takes every event of one connection. Registered in the connect middleware, where it exists
/// before the client is told that it is connected.
pub struct Receiver {
    session: Arc<Session>,
    edge: Arc<Edge>,
}

impl Receiver {
    /// The receiver of a connection.
    pub fn new(session: Arc<Session>, edge: Arc<Edge>) -> Self {
        Self { session, edge }
    }
}

/// Marks the hand-written handler, as socketioxide's trait needs a type for it.
pub struct RawEvent;

impl MessageHandler<EdgeAdapter, RawEvent> for Receiver {
    fn call(&self, _: Arc<Socket<EdgeAdapter>>, value: Value, ack: Option<i64>) {
        let Value::Str(data, attachments) = value else {
            return;
        };
        let binary = attachments.is_some_and(|a| !a.is_empty());
        let raw = Raw {
            data,
            binary,
            ack,
            at: Instant::now(),
        };
        match self.session.inbox.push(raw) {
            Pushed::Queued { start, high } => {
                if high {
                    self.session.peer().pause();
                    // The worker may have caught up and resumed before the pause was there.
                    if self.session.inbox.is_low() {
                        self.session.peer().resume();
                    }
                }
                if start {
                    start_worker(self.session.clone(), self.edge.clone());
                }
            }
            Pushed::Full(raw) => {
                metrics::counter!(telemetry::RECEIVE_QUEUE_FULL_TOTAL).increment(1);
                self.session
                    .refuse(raw.ack, None, &ChatError::rate_limited(QUEUE_FULL_RETRY));
                count_refusal(&self.session, &self.edge);
            }
        }
    }
}

/// Lets a connection's events be handled, those first that came meanwhile.
pub fn open_inbox(session: &Arc<Session>, edge: &Arc<Edge>) {
    if session.inbox.open() {
        start_worker(session.clone(), edge.clone());
    }
}

/// Has a connection catch up with something.
pub fn follow(session: &Arc<Session>, follow: Follow) {
    if session.inbox.push_follow(follow)
        && let Some(edge) = session.edge()
    {
        start_worker(session.clone(), edge);
    }
}

fn start_worker(session: Arc<Session>, edge: Arc<Edge>) {
    // Tracked, so that a stop waits for sends that are under way.
    edge.tasks.clone().spawn(work(session, edge));
}

async fn work(session: Arc<Session>, edge: Arc<Edge>) {
    while let Some(work) = session.inbox.pop() {
        if let Work::Event(_, true) = work {
            session.peer().resume();
        }
        if !session.is_live() {
            continue;
        }
        let raw = match work {
            Work::Event(raw, _) => raw,
            Work::Follow(follow) => {
                follow::handle(&session, &edge, follow).await;
                continue;
            }
        };
        match session.bucket.check() {
            Ok(()) => commands::handle(&session, &edge, raw).await,
            Err(wait) => {
                metrics::counter!(telemetry::EVENTS_REFUSED_TOTAL, "code" => "rate_limited")
                    .increment(1);
                session.refuse(raw.ack, None, &ChatError::rate_limited(wait));
                count_refusal(&session, &edge);
                tokio::time::sleep(wait.min(MAX_REST)).await;
            }
        }
    }
}

fn count_refusal(session: &Arc<Session>, edge: &Edge) {
    if session.inbox.count_refusal(Instant::now()) < edge.flood_close_after || !session.is_live() {
        return;
    }
    tracing::info!(user = %session.actor.profile.id, device = %session.device, "closing a flooding connection");
    session.cut(Cut::Flood);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(n: i64) -> Raw {
        Raw {
            data: Str::from("[]"),
            binary: false,
            ack: Some(n),
            at: Instant::now(),
        }
    }

    #[test]
    fn keeps_order_and_starts_one_worker() {
        let inbox = Inbox::new(4);
        assert!(
            matches!(inbox.push(raw(1)), Pushed::Queued { start: false, .. }),
            "closed"
        );
        assert!(inbox.open());
        assert!(
            matches!(inbox.push(raw(2)), Pushed::Queued { start: false, .. }),
            "at work"
        );
        let order: Vec<_> = std::iter::from_fn(|| inbox.pop())
            .filter_map(|work| match work {
                Work::Event(raw, _) => Some(raw.ack),
                Work::Follow(_) => None,
            })
            .collect();
        assert_eq!(order, [Some(1), Some(2)]);
        assert!(
            matches!(inbox.push(raw(3)), Pushed::Queued { start: true, .. }),
            "idle again"
        );
    }

    #[test]
    fn events_and_what_to_catch_up_with_take_turns() {
        let conversation =
            |id: &str, after| Follow::Conversation(ConversationId::trusted(id), after);
        let inbox = Inbox::new(4);
        inbox.push(raw(1));
        inbox.push(raw(2));
        for (id, after) in [("a", 7), ("b", 2), ("a", 3), ("a", 9)] {
            assert!(!inbox.push_follow(conversation(id, after)), "closed");
        }
        assert!(inbox.open());
        let page = Follow::Page(ConversationId::trusted("a"), 5);
        let mut order = Vec::new();
        while let Some(work) = inbox.pop() {
            match work {
                Work::Event(raw, _) => order.push(format!("{:?}", raw.ack)),
                Work::Follow(follow) => {
                    if follow == conversation("a", 3) {
                        inbox.push_follow(page.clone());
                    }
                    order.push(format!("{follow:?}"));
                }
            }
        }
        assert_eq!(
            order,
            [
                "Some(1)",
                "Conversation(\"a\", 3)",
                "Some(2)",
                "Page(\"a\", 5)",
                "Conversation(\"b\", 2)"
            ]
        );
        assert!(inbox.push_follow(page), "idle again");
    }

    #[test]
    fn is_bounded_and_says_when_to_pause_and_resume() {
        let inbox = Inbox::new(4);
        assert!(matches!(
            inbox.push(raw(1)),
            Pushed::Queued { high: false, .. }
        ));
        assert!(matches!(
            inbox.push(raw(2)),
            Pushed::Queued { high: false, .. }
        ));
        assert!(matches!(
            inbox.push(raw(3)),
            Pushed::Queued { high: true, .. }
        ));
        assert!(matches!(
            inbox.push(raw(4)),
            Pushed::Queued { high: true, .. }
        ));
        assert!(matches!(
            inbox.push(raw(5)),
            Pushed::Full(Raw { ack: Some(5), .. })
        ));
        for low in [false, false, true] {
            assert!(matches!(inbox.pop(), Some(Work::Event(_, is)) if is == low));
        }
    }
}
