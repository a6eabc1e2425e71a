//! What the two databases have in common, so that everything above is written once.
//!
//! A statement is a [`Sql`]: one text where both understand it, two where they differ. Its values
//! are [`Arg`]s; lists and tables travel as one value per batch, never as text in the statement.

use std::future::Future;

use super::{
    batch::{Lookups, Writes},
    failure::Fault,
};
use crate::chat::{SearchQuery, StoreResult};

/// A statement in both dialects. Parameters are `$1`, `$2`, ...
#[derive(Clone, Copy)]
pub(super) struct Sql {
    /// As SQLite reads it.
    pub(super) sqlite: &'static str,
    /// As PostgreSQL reads it.
    pub(super) postgres: &'static str,
}

impl Sql {
    /// A text that both understand.
    pub(super) const fn same(text: &'static str) -> Self {
        Self {
            sqlite: text,
            postgres: text,
        }
    }
}

/// A statement around one test of a column against the list in `$1`:
/// `sql_in!("SELECT ... WHERE id", " ORDER BY id")`.
macro_rules! sql_in {
    ($before:expr, $after:expr) => {
        $crate::store::engine::Sql {
            sqlite: concat!($before, " IN (SELECT value FROM json_each($1))", $after),
            postgres: concat!($before, " = ANY($1)", $after),
        }
    };
}
pub(super) use sql_in;

/// A statement whose rows PostgreSQL locks. SQLite's writer is alone anyway.
macro_rules! sql_locking {
    ($text:expr) => {
        $crate::store::engine::Sql {
            sqlite: $text,
            postgres: concat!($text, " FOR NO KEY UPDATE"),
        }
    };
}
pub(super) use sql_locking;

/// A value for a statement.
pub(super) enum Arg<'a> {
    /// A whole number.
    Int(i64),
    /// A whole number or NULL.
    MaybeInt(Option<i64>),
    /// A truth value.
    Flag(bool),
    /// A text.
    Text(&'a str),
    /// A text or NULL.
    MaybeText(Option<&'a str>),
    /// A list of texts: an array, or JSON in SQLite.
    Texts(Vec<&'a str>),
    /// A list of numbers.
    Ints(Vec<i64>),
    /// Rows. PostgreSQL takes one parameter per column, for `UNNEST`; SQLite takes one parameter
    /// for all, a JSON array of arrays, for `json_each`.
    Table(&'a Table<'a>),
}

/// Rows by columns of equal length.
pub(super) type Table<'a> = [Column<'a>];

/// One column of a [`Table`].
pub(super) enum Column<'a> {
    /// Texts.
    Texts(Vec<&'a str>),
    /// Texts, some of them NULL.
    MaybeTexts(Vec<Option<&'a str>>),
    /// Texts made for the statement, some of them NULL.
    OwnTexts(Vec<Option<String>>),
    /// Numbers.
    Ints(Vec<i64>),
}

impl Column<'_> {
    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(v) => v.len(),
            Self::MaybeTexts(v) => v.len(),
            Self::OwnTexts(v) => v.len(),
            Self::Ints(v) => v.len(),
        }
    }

    /// The texts, if it is made of texts.
    pub(super) fn texts(&self) -> &[&str] {
        match self {
            Self::Texts(v) => v,
            Self::OwnTexts(_) | Self::MaybeTexts(_) | Self::Ints(_) => &[],
        }
    }
}

/// Reads a row's cells by position. A cell of another type is [`StoreError::Corrupt`].
///
/// [`StoreError::Corrupt`]: crate::chat::StoreError::Corrupt
pub(super) trait Cells: Send {
    /// A number.
    fn int(&self, at: usize) -> StoreResult<i64>;
    /// A number or NULL.
    fn maybe_int(&self, at: usize) -> StoreResult<Option<i64>>;
    /// A truth value.
    fn flag(&self, at: usize) -> StoreResult<bool>;
    /// A text.
    fn text(&self, at: usize) -> StoreResult<String>;
    /// A text or NULL.
    fn maybe_text(&self, at: usize) -> StoreResult<Option<String>>;
}

/// What [`Engine::begin_batch`] found.
pub(super) struct Found<R> {
    /// Conversations: id, last_seq, members_version.
    pub(super) rooms: Vec<R>,
    /// Messages whose sender and client id are among those asked for:
    /// [`message_columns`](super::rows::message_columns).
    pub(super) repetitions: Vec<R>,
    /// Present participants: conversation, user, read_seq, delivered_seq.
    pub(super) cursors: Vec<R>,
}

/// Why [`Engine::commit_batch`] failed.
pub(super) struct Uncommitted {
    /// Whether the database had been asked to commit.
    pub(super) asked: bool,
    /// What it answered.
    pub(super) error: sqlx::Error,
}

/// A database that the store runs on.
pub(super) trait Engine: sqlx::Database<Row: Cells, Connection: Sized> {
    /// Begins a transaction that writes.
    const BEGIN: &'static str;

    /// Whether one process is normally alone with the database, so that what it remembers is
    /// normally true.
    const ALONE: bool;

    /// Runs a statement without parameters or result.
    fn control(
        conn: &mut Self::Connection,
        text: &'static str,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Runs a statement and fetches its rows.
    fn rows(
        conn: &mut Self::Connection,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Begins a transaction that writes and looks up what a batch needs, under the locks of the
    /// conversations to write to.
    fn begin_batch(
        conn: &mut Self::Connection,
        lookups: &Lookups<'_>,
    ) -> impl Future<Output = Result<Found<Self::Row>, sqlx::Error>> + Send;

    /// Writes a planned batch and commits: the transaction that was begun, or one of its `own`, of
    /// which nothing is left open if it fails. Returns the outbox row of each message.
    fn commit_batch(
        conn: &mut Self::Connection,
        writes: &Writes<'_>,
        own: bool,
    ) -> impl Future<Output = Result<Vec<i64>, Uncommitted>> + Send;

    /// The words of a query in the language of this database's index.
    fn search_words(query: &SearchQuery) -> String;

    /// The entries of these conversations, in the language of this database's index.
    fn search_rooms(ids: &[String]) -> String;

    /// What a code of this database means.
    fn fault(code: &str) -> Fault;
}

/// Implements [`Cells`] for a driver's row.
macro_rules! cells {
    ($row:ty) => {
        impl $crate::store::engine::Cells for $row {
            fn int(&self, at: usize) -> $crate::chat::StoreResult<i64> {
                self.try_get(at).map_err($crate::store::failure::corrupt)
            }
            fn maybe_int(&self, at: usize) -> $crate::chat::StoreResult<Option<i64>> {
                self.try_get(at).map_err($crate::store::failure::corrupt)
            }
            fn flag(&self, at: usize) -> $crate::chat::StoreResult<bool> {
                self.try_get(at).map_err($crate::store::failure::corrupt)
            }
            fn text(&self, at: usize) -> $crate::chat::StoreResult<String> {
                self.try_get(at).map_err($crate::store::failure::corrupt)
            }
            fn maybe_text(&self, at: usize) -> $crate::chat::StoreResult<Option<String>> {
                self.try_get(at).map_err($crate::store::failure::corrupt)
            }
        }
    };
}
pub(super) use cells;
