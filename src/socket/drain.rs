//! How a node that stops lets its connections go.
//!
//! They are closed the way that clients come back from by themselves, a few at a time: everybody
//! who connects elsewhere at once is a herd there.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rand::seq::SliceRandom;
use socketioxide::socket::Sid;
use tokio_util::sync::CancellationToken;

use super::{hub::Hub, line::Cut, server::SocketPathState, session::Session};

/// Time between two batches, on average.
const TICK: Duration = Duration::from_millis(100);
/// How long those who were told to go may take, which they hardly do.
const LAST_GOODBYES: Duration = Duration::from_secs(1);
/// Connections in a batch at least, so that a small node does not take its time.
const MIN_BATCH: usize = 10;

/// The numbers of `[server]` that concern a drain.
#[derive(Debug, Clone, Copy)]
pub struct DrainRules {
    /// How long the node only says that it is going, so that balancers can notice.
    pub notice: Duration,
    /// Over which time connections are closed at most.
    pub over: Duration,
}

/// The stages of a drain. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    refusing: CancellationToken,
    closed: CancellationToken,
    /// Sessions that poll and hear of their end by the next poll only.
    unaware: Arc<Mutex<HashSet<Sid>>>,
}

impl Drain {
    /// Whether new sessions are refused, so that they begin elsewhere.
    pub fn is_refusing(&self) -> bool {
        self.refusing.is_cancelled()
    }

    /// Cancelled when every connection was told to go: nothing more is accepted, and streams that
    /// never became a connection end.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// A poll of a session that has ended was answered so.
    pub fn told(&self, sid: Sid) {
        self.unaware.lock().remove(&sid);
    }

    fn let_go(&self, session: &Session) {
        if session.is_polling() {
            self.unaware.lock().insert(session.sid);
        }
        session.cut(Cut::Drain);
    }

    /// Lets every connection go. `at_once` is cancelled when nothing is to be waited for.
    pub async fn run(
        &self,
        hub: &Hub,
        paths: &[Arc<SocketPathState>],
        rules: DrainRules,
        at_once: &CancellationToken,
    ) {
        let began = Instant::now();
        let connections = hub.connections();
        tracing::info!(connections, "draining");
        let gently = async {
            tokio::time::sleep(rules.notice).await;
            self.refusing.cancel();
            self.close_in_batches(hub, rules.over).await;
        };
        let _ = at_once.run_until_cancelled(gently).await;
        self.refusing.cancel();
        for session in hub.sessions() {
            self.let_go(&session);
        }
        // Sessions that poll without being admitted, whose requests would wait for a minute.
        for path in paths {
            for sid in path.peers.sids() {
                path.close_polling(sid);
            }
        }
        let gone = async {
            while hub.connections() > 0 || !self.unaware.lock().is_empty() {
                tokio::time::sleep(TICK / 10).await;
            }
        };
        let _ = tokio::time::timeout(LAST_GOODBYES, at_once.run_until_cancelled(gone)).await;
        self.closed.cancel();
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(connections, seconds, "drained");
    }

    async fn close_in_batches(&self, hub: &Hub, over: Duration) {
        let deadline = Instant::now() + over;
        let mut sessions = hub.sessions();
        sessions.shuffle(&mut rand::rng());
        let size = batch_size(sessions.len(), over);
        while !sessions.is_empty() && Instant::now() < deadline {
            for session in sessions.drain(sessions.len().saturating_sub(size)..) {
                self.let_go(&session);
            }
            if sessions.is_empty() {
                return;
            }
            let jitter = rand::random_range(0.5..1.5);
            tokio::time::sleep(TICK.mul_f64(jitter)).await;
            sessions.retain(|session| !session.is_gone());
        }
    }
}

/// So many that all are through shortly before the time is over.
fn batch_size(connections: usize, over: Duration) -> usize {
    let ticks = over.as_millis() / TICK.as_millis();
    let ticks = usize::try_from(ticks).unwrap_or(usize::MAX).max(1);
    // One batch in ten is to spare: ticks come late on a busy machine.
    connections.div_ceil((ticks * 9 / 10).max(1)).max(MIN_BATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_as_large_as_the_time_demands() {
        let over = Duration::from_secs(10);
        assert_eq!(batch_size(0, over), MIN_BATCH);
        assert_eq!(batch_size(300, over), MIN_BATCH);
        assert_eq!(batch_size(9_000, over), 100);
        assert_eq!(batch_size(9_000, Duration::ZERO), 9_000);
    }
}
