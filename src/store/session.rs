//! A connection in use, and the transaction on it.

use std::sync::Arc;

use super::{
    batch::{Lookups, Writes},
    connections::{Connections, Loan},
    engine::{Arg, Engine, Found, Sql, Uncommitted},
    failure::Failure,
};
use crate::chat::StoreResult;

/// A connection in use. One whose state is unknown (an answer outstanding, a transaction open) is
/// closed when dropped instead of being kept: the server then undoes what was open, and nobody
/// waits for a peer that may never answer.
pub(super) struct Session<E: Engine> {
    /// `None` only while being dropped.
    loan: Option<Loan<E>>,
    in_doubt: bool,
    in_transaction: bool,
}

impl<E: Engine> Session<E> {
    /// A session on one of these connections, as soon as there is one.
    pub(super) async fn on(connections: &Arc<Connections<E>>) -> Result<Self, Failure> {
        let loan = connections.acquire().await.map_err(Failure::of::<E>)?;
        Ok(Self {
            loan: Some(loan),
            in_doubt: false,
            in_transaction: false,
        })
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(mut self) -> Result<Self, Failure> {
        self.control(E::BEGIN).await?;
        self.in_transaction = true;
        Ok(self)
    }

    /// Begins a transaction that writes and looks up what a batch needs.
    pub(super) async fn begin_batch(
        mut self,
        lookups: &Lookups<'_>,
    ) -> Result<(Self, Found<E::Row>), Failure> {
        let result = E::begin_batch(self.conn()?, lookups).await;
        // One may be open also if something failed after the beginning.
        self.in_transaction = true;
        match self.settle(result) {
            Ok(found) => Ok((self, found)),
            Err(failure) => {
                self.rollback().await;
                Err(failure)
            }
        }
    }

    /// Runs a statement and fetches its rows.
    pub(super) async fn rows(
        &mut self,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> Result<Vec<E::Row>, Failure> {
        let result = E::rows(self.conn()?, sql, args).await;
        self.settle(result)
    }

    /// Runs a statement and fetches its first row.
    pub(super) async fn row(
        &mut self,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> Result<Option<E::Row>, Failure> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Writes a planned batch and commits, in a transaction of its own if none was begun. Returns
    /// the outbox row of each message.
    pub(super) async fn commit_batch(mut self, writes: &Writes<'_>) -> Result<Vec<i64>, Failure> {
        let own = !self.in_transaction;
        let (result, asked) = match E::commit_batch(self.conn()?, writes, own).await {
            Ok(outbox) => (Ok(outbox), true),
            Err(Uncommitted { asked, error }) => (Err(error), asked),
        };
        match self.settle(result) {
            Ok(outbox) => {
                self.in_transaction = false;
                Ok(outbox)
            }
            Err(failure) if asked => Err(failure.of_commit()),
            Err(failure) => {
                self.rollback().await;
                Err(failure)
            }
        }
    }

    /// Commits the transaction.
    async fn commit(mut self) -> Result<(), Failure> {
        self.control("COMMIT").await.map_err(Failure::of_commit)?;
        self.in_transaction = false;
        Ok(())
    }

    /// Undoes the transaction, if one was begun.
    pub(super) async fn rollback(mut self) {
        if self.in_transaction && !self.in_doubt && self.control("ROLLBACK").await.is_ok() {
            self.in_transaction = false;
        }
    }

    /// Ends the transaction: commits after success, undoes after failure.
    pub(super) async fn finish<T>(self, result: StoreResult<T>) -> StoreResult<T> {
        match result {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(e) => {
                self.rollback().await;
                Err(e)
            }
        }
    }

    async fn control(&mut self, text: &'static str) -> Result<(), Failure> {
        let result = E::control(self.conn()?, text).await;
        self.settle(result)
    }

    fn conn(&mut self) -> Result<&mut E::Connection, Failure> {
        self.in_doubt = true;
        let loan = self.loan.as_mut().ok_or(sqlx::Error::PoolClosed);
        loan.and_then(Loan::connection).map_err(Failure::of::<E>)
    }

    fn settle<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Failure> {
        match result {
            Ok(value) => {
                self.in_doubt = false;
                Ok(value)
            }
            // The database answered, so the connection works, unless it says goodbye (57P).
            Err(sqlx::Error::Database(e)) if !e.code().is_some_and(|c| c.starts_with("57P")) => {
                self.in_doubt = false;
                Err(Failure::of::<E>(sqlx::Error::Database(e)))
            }
            Err(e) => {
                self.loan.iter().for_each(Loan::broke);
                Err(Failure::of_lost::<E>(e))
            }
        }
    }
}

impl<E: Engine> Drop for Session<E> {
    fn drop(&mut self) {
        if !self.in_doubt
            && !self.in_transaction
            && let Some(loan) = self.loan.take()
        {
            loan.keep();
        }
    }
}
