//! Connections between two uses.
//!
//! sqlx's pool tests every connection that comes back, with a round trip in a task of its own. Here
//! the outcomes of its statements tell whether a connection is in order (see
//! [`Session`](super::session::Session)), and what is in order is kept as it is. The pool beneath
//! only makes connections.

use std::{mem, sync::Arc, time::Instant};

use parking_lot::Mutex;
use sqlx::{Pool, pool::PoolConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::engine::Engine;

/// The connections of one kind.
pub(super) struct Connections<E: Engine> {
    pool: Pool<E>,
    /// As many as there may be connections in use. Who has waited longest is next.
    turns: Arc<Semaphore>,
    kept: Mutex<Kept<E>>,
}

struct Kept<E: Engine> {
    /// The one used last is the last one.
    idle: Vec<Idle<E>>,
    /// When a connection last broke.
    broke: Option<Instant>,
    closed: bool,
}

struct Idle<E: Engine> {
    conn: PoolConnection<E>,
    made: Instant,
    since: Instant,
}

/// A connection in use. Unless it is [kept](Loan::keep), dropping it closes the connection without
/// asking its peer.
pub(super) struct Loan<E: Engine> {
    /// `None` only while being kept or dropped.
    conn: Option<PoolConnection<E>>,
    made: Instant,
    home: Arc<Connections<E>>,
    _turn: OwnedSemaphorePermit,
}

impl<E: Engine> Connections<E> {
    /// None yet; `pool` makes them when they are needed.
    pub(super) fn new(pool: Pool<E>) -> Arc<Self> {
        let most = pool.options().get_max_connections();
        Arc::new(Self {
            pool,
            turns: Arc::new(Semaphore::new(most as usize)),
            kept: Mutex::new(Kept {
                idle: Vec::new(),
                broke: None,
                closed: false,
            }),
        })
    }

    /// Waits for a turn, then takes a connection that is idle, or makes one.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Loan<E>, sqlx::Error> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.kept.lock().idle.pop();
        let (conn, made) = match idle {
            Some(idle) => (idle.conn, idle.made),
            // Older than the connection, so that it is among the suspects if one breaks meanwhile.
            None => {
                let made = Instant::now();
                (self.pool.acquire().await?, made)
            }
        };
        Ok(Loan {
            conn: Some(conn),
            made,
            home: Arc::clone(self),
            _turn: turn,
        })
    }

    /// Notes that a connection broke just now. All those from before are suspect: none of them is
    /// used again.
    fn broke(&self) {
        let mut kept = self.kept.lock();
        kept.broke = Some(Instant::now());
        let suspects = mem::take(&mut kept.idle);
        drop(kept);
        suspects.into_iter().for_each(abandon);
    }

    fn keep(&self, mut conn: PoolConnection<E>, made: Instant) {
        let options = self.pool.options();
        let now = Instant::now();
        let mut kept = self.kept.lock();
        if kept.broke.is_some_and(|at| made <= at) {
            drop(conn.detach());
            return;
        }
        let worn = |limit| now.duration_since(made) > limit;
        if kept.closed || options.get_max_lifetime().is_some_and(worn) {
            conn.close_on_drop();
            return;
        }
        let since = now;
        kept.idle.push(Idle { conn, made, since });
        // What was unused for long stays unused: there are more than are needed.
        let spare = |limit| now.duration_since(kept.idle[0].since) > limit;
        if options.get_idle_timeout().is_some_and(spare) {
            kept.idle.remove(0).conn.close_on_drop();
        }
    }

    /// Closes those that are idle, and waits for those in use.
    pub(super) async fn close(&self) {
        let idle = {
            let mut kept = self.kept.lock();
            kept.closed = true;
            mem::take(&mut kept.idle)
        };
        for idle in idle {
            // It is gone either way.
            let _ = idle.conn.close().await;
        }
        self.pool.close().await;
    }
}

impl<E: Engine> Drop for Connections<E> {
    fn drop(&mut self) {
        mem::take(&mut self.kept.get_mut().idle)
            .into_iter()
            .for_each(abandon);
    }
}

/// Closes a connection without a word, which needs no runtime.
fn abandon<E: Engine>(idle: Idle<E>) {
    drop(idle.conn.detach());
}

impl<E: Engine> Loan<E> {
    /// The connection.
    pub(super) fn connection(&mut self) -> Result<&mut E::Connection, sqlx::Error> {
        self.conn.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Notes that it turned out to be broken.
    pub(super) fn broke(&self) {
        self.home.broke();
    }

    /// Returns a connection that is in order for its next use.
    pub(super) fn keep(mut self) {
        if let Some(conn) = self.conn.take() {
            self.home.keep(conn, self.made);
        }
    }
}

impl<E: Engine> Drop for Loan<E> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(conn.detach());
        }
    }
}
