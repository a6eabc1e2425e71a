//! What an error of the database means: to the caller, and to whoever might try again.

use std::error::Error as StdError;

use super::engine::Engine;
use crate::chat::{StoreError, Unavailable};

/// Why a statement failed, as far as the store acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A unique key is taken.
    Taken,
    /// The database asks to run the transaction again: a deadlock, a serialisation failure.
    Again,
    /// The database cannot serve now. Nothing was committed.
    Down,
    /// The database was asked to commit and did not answer.
    InDoubt,
    /// The statement or the data is wrong, or a rule of the chat refuses it.
    Refused,
}

/// An error with its meaning for the transaction.
#[derive(Debug)]
pub(super) struct Failure {
    /// What to do about it.
    pub(super) fault: Fault,
    /// What to tell the caller.
    pub(super) error: StoreError,
}

impl Failure {
    /// Classifies an error of this database. The texts name codes and columns, never values.
    pub(super) fn of<E: Engine>(e: sqlx::Error) -> Self {
        let fault = match &e {
            sqlx::Error::Database(e) => e.code().map_or(Fault::Down, |code| E::fault(&code)),
            sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Encode(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::InvalidArgument(_) => Fault::Refused,
            _ => Fault::Down,
        };
        let error = match fault {
            Fault::Taken => StoreError::Conflict("the id is taken"),
            Fault::Refused => corrupt(e),
            Fault::Again | Fault::Down | Fault::InDoubt => unavailable(e),
        };
        Self { fault, error }
    }

    /// Classifies an error that came with the loss of the connection.
    pub(super) fn of_lost<E: Engine>(e: sqlx::Error) -> Self {
        match Self::of::<E>(e) {
            Self {
                fault: Fault::Down,
                error: StoreError::Unavailable(Unavailable { source, .. }),
            } => Self {
                fault: Fault::Down,
                error: unavailable(ConnectionLost(source)),
            },
            failure => failure,
        }
    }

    /// The same error as the answer to a commit: a database that goes away may have done it.
    pub(super) fn of_commit(self) -> Self {
        let fault = match self.fault {
            Fault::Down => Fault::InDoubt,
            other => other,
        };
        Self { fault, ..self }
    }
}

impl AsRef<StoreError> for StoreError {
    fn as_ref(&self) -> &StoreError {
        self
    }
}

impl AsRef<StoreError> for Failure {
    fn as_ref(&self) -> &StoreError {
        &self.error
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self {
            fault: Fault::Refused,
            error,
        }
    }
}

/// The database holds or answers something that it should not.
pub(super) fn corrupt(e: sqlx::Error) -> StoreError {
    StoreError::Corrupt(match &e {
        sqlx::Error::Database(e) => match e.code() {
            Some(code) => format!("the database answered code {code}"),
            None => "the database answered without a code".to_owned(),
        },
        e => e.to_string(),
    })
}

/// The database is not there.
pub(super) fn unavailable(source: impl StdError + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Unavailable {
        what: "database",
        source: Box::new(source),
    })
}

/// A connection broke while it was in use, or had broken before.
#[derive(Debug, thiserror::Error)]
#[error("the connection was lost")]
struct ConnectionLost(#[source] Box<dyn StdError + Send + Sync>);

/// Whether that is why a call failed.
pub(super) fn connection_lost(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(e) if e.source.is::<ConnectionLost>())
}

/// The store was closed.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
pub(super) struct Closed;
