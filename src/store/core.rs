//! What all of the store shares: the pools, sessions on them, and deadlines.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sqlx::Pool;

use super::{
    engine::Engine,
    failure::{Closed, Failure, connection_lost, unavailable},
    members::Members,
    outbox::Cleared,
    session::Session,
};
use crate::{
    chat::{StoreError, StoreResult},
    telemetry::STORE_UNAVAILABLE_TOTAL,
};

/// When a connection last broke.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<Instant>>);

impl Health {
    /// Notes that a connection broke just now.
    pub(super) fn broke(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// Whether a connection broke within the last `age`.
    pub(super) fn broke_within(&self, age: Duration) -> bool {
        self.0.lock().is_some_and(|at| at.elapsed() <= age)
    }
}

/// The parts that calls and the committer share.
pub(super) struct Core<E: Engine> {
    /// For statements that only read.
    pub(super) readers: Pool<E>,
    /// For transactions; with PostgreSQL the same pool.
    pub(super) writers: Pool<E>,
    /// Whether connections broke.
    pub(super) health: Arc<Health>,
    /// How long a call may take, whatever the database does.
    pub(super) timeout: Duration,
    /// Who takes part where.
    pub(super) members: Members,
    /// Outbox rows to delete.
    pub(super) cleared: Cleared,
    /// Whether [`Core::close`] was called.
    pub(super) closed: AtomicBool,
}

impl<E: Engine> Core<E> {
    /// The shared parts over these pools.
    pub(super) fn new(
        readers: Pool<E>,
        writers: Pool<E>,
        health: Arc<Health>,
        timeout: Duration,
    ) -> Self {
        Self {
            readers,
            writers,
            health,
            timeout,
            members: Members::default(),
            cleared: Cleared::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// A session for statements that only read.
    pub(super) async fn reader(&self) -> Result<Session<E>, Failure> {
        self.session(&self.readers).await
    }

    /// A session in a transaction that writes; end it with [`Session::finish`].
    pub(super) async fn begin(&self) -> Result<Session<E>, Failure> {
        // What did not even begin was not done.
        self.again_if_lost(|| async { self.writer().await?.begin().await })
            .await
    }

    /// A session to begin a transaction on.
    pub(super) async fn writer(&self) -> Result<Session<E>, Failure> {
        self.session(&self.writers).await
    }

    async fn session(&self, pool: &Pool<E>) -> Result<Session<E>, Failure> {
        let conn = pool.acquire().await.map_err(Failure::of::<E>)?;
        Ok(Session::new(conn, Arc::clone(&self.health)))
    }

    /// Does what changes nothing, and once more if it met a broken connection: after a restart of
    /// the database all the pooled ones are. The second one is fresh, because the pool passes over
    /// those that are older than the last break.
    pub(super) async fn again_if_lost<T, F, Done>(
        &self,
        call: impl Fn() -> Done + Send,
    ) -> Result<T, F>
    where
        F: AsRef<StoreError>,
        Done: Future<Output = Result<T, F>> + Send,
    {
        match call().await {
            Err(failure) if connection_lost(failure.as_ref()) => call().await,
            result => result,
        }
    }

    /// A call that only reads, bounded like [`Core::within`].
    pub(super) async fn read<T: Send, Done>(&self, call: impl Fn() -> Done + Send) -> StoreResult<T>
    where
        Done: Future<Output = StoreResult<T>> + Send,
    {
        self.within(self.again_if_lost(call)).await
    }

    /// Bounds a call by the time it may take, and counts those that the database failed.
    pub(super) async fn within<T>(
        &self,
        call: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        let result = if self.closed.load(Ordering::Acquire) {
            Err(unavailable(Closed))
        } else {
            match tokio::time::timeout(self.timeout, call).await {
                Ok(result) => result,
                Err(elapsed) => Err(unavailable(elapsed)),
            }
        };
        if let Err(StoreError::Unavailable(_)) = &result {
            metrics::counter!(STORE_UNAVAILABLE_TOTAL).increment(1);
        }
        result
    }

    /// Closes the pools, waiting no longer than a call may take.
    pub(super) async fn close(&self) {
        let pools = async {
            self.readers.close().await;
            self.writers.close().await;
        };
        // Connections that do not come back in time die with the process.
        let _ = tokio::time::timeout(self.timeout, pools).await;
    }
}
