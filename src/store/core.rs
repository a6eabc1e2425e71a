//! What all of the store shares: the connections, sessions on them, and deadlines.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    connections::Connections,
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

/// The parts that calls and the committer share.
pub(super) struct Core<E: Engine> {
    /// For statements that only read.
    readers: Arc<Connections<E>>,
    /// For transactions; with PostgreSQL the same ones.
    writers: Arc<Connections<E>>,
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
    /// The shared parts over these connections.
    pub(super) fn new(
        readers: Arc<Connections<E>>,
        writers: Arc<Connections<E>>,
        timeout: Duration,
    ) -> Self {
        Self {
            readers,
            writers,
            timeout,
            members: Members::default(),
            cleared: Cleared::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// A session for statements that only read.
    pub(super) async fn reader(&self) -> Result<Session<E>, Failure> {
        Session::on(&self.readers).await
    }

    /// A session in a transaction that writes; end it with [`Session::finish`].
    pub(super) async fn begin(&self) -> Result<Session<E>, Failure> {
        // What did not even begin was not done.
        self.again_if_lost(|| async { self.writer().await?.begin().await })
            .await
    }

    /// A session to begin a transaction on.
    pub(super) async fn writer(&self) -> Result<Session<E>, Failure> {
        Session::on(&self.writers).await
    }

    /// Does what changes nothing, and once more if it met a broken connection: after a restart of
    /// the database all those that were idle are. The second one is fresh: no connection is used
    /// again after another one broke.
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

    /// Closes the connections, waiting no longer than a call may take.
    pub(super) async fn close(&self) {
        let all = async {
            self.readers.close().await;
            self.writers.close().await;
        };
        // Connections that do not come back in time die with the process.
        let _ = tokio::time::timeout(self.timeout, all).await;
    }
}
