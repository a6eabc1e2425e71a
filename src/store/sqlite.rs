//! SQLite: one file, one writer, many readers.
//!
//! WAL, so that readers and the writer do not wait for each other; `synchronous = FULL`, so that a
//! commit is on the disk when it returns. Lists and tables travel as JSON and are unpacked by
//! `json_each`, which keeps every statement constant and prepared.

use std::{future::Future, path::Path, time::Duration};

use futures_util::StreamExt;
use sqlx::{
    Either, Executor, Pool, Row, Sqlite,
    pool::PoolOptions,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow,
        SqliteSynchronous,
    },
};

use super::{
    batch::{Lookups, Writes},
    engine::{Arg, Column, Engine, Found, Sql, Table, Uncommitted, cells},
    failure::Fault,
    rows::message_columns,
};
use crate::chat::SearchQuery;

cells!(SqliteRow);

/// The longest write-ahead log kept after a checkpoint, in bytes.
const WAL_KEPT: &str = "67108864";

/// Completes what the URL said by what the store needs.
pub(super) fn options(url: SqliteConnectOptions, busy_timeout: Duration) -> SqliteConnectOptions {
    url.create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // Where a plain fsync does not reach the disk (macOS); no effect elsewhere.
        .pragma("fullfsync", "1")
        .pragma("journal_size_limit", WAL_KEPT)
        .foreign_keys(true)
        .busy_timeout(busy_timeout)
        .optimize_on_close(true, 400)
}

/// The readers and the one writer.
pub(super) fn pools(
    options: &SqliteConnectOptions,
    readers: u32,
    acquire_timeout: Duration,
) -> (Pool<Sqlite>, Pool<Sqlite>) {
    let pool = |n| {
        PoolOptions::new()
            .max_connections(n)
            .acquire_timeout(acquire_timeout)
            // A file does not go stale, and opening it again loses its caches.
            .idle_timeout(None)
            .max_lifetime(None)
    };
    (
        pool(readers.max(1)).connect_lazy_with(options.clone().pragma("query_only", "1")),
        pool(1)
            .after_connect(|conn: &mut SqliteConnection, _| {
                Box::pin(async move { conn.execute(PROCEDURE).await.map(drop) })
            })
            .connect_lazy_with(options.clone().pragma("temp_store", "memory")),
    )
}

/// Makes the folder of the file, and holds an exclusive lock beside it until dropped: SQLite has
/// no lock that would span several migrations.
pub(super) async fn lock(file: &Path) -> std::io::Result<std::fs::File> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || {
        if let Some(folder) = file.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut name = file.into_os_string();
        name.push(".lock");
        let lock = std::fs::File::options()
            .create(true)
            .append(true)
            .open(name)?;
        lock.lock()?;
        Ok(lock)
    })
    .await
    .map_err(std::io::Error::other)?
}

impl Engine for Sqlite {
    // Takes the write lock at once: a lock taken half-way can fail where waiting would not help.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    const ALONE: bool = true;

    async fn control(conn: &mut SqliteConnection, text: &'static str) -> Result<(), sqlx::Error> {
        conn.execute(text).await.map(drop)
    }

    fn rows(
        conn: &mut SqliteConnection,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> impl Future<Output = Result<Vec<SqliteRow>, sqlx::Error>> + Send {
        let query = args.iter().fold(sqlx::query(sql.sqlite), bind);
        async move { query.fetch_all(conn).await }
    }

    fn begin_batch(
        conn: &mut SqliteConnection,
        lookups: &Lookups<'_>,
    ) -> impl Future<Output = Result<Found<SqliteRow>, sqlx::Error>> + Send {
        let rooms = [&lookups.written[..], &lookups.read[..]].concat();
        let query = bind(sqlx::query(BEGIN_BATCH), &Arg::Texts(rooms))
            .bind(json_rows(&lookups.keys))
            .bind(json_rows(&lookups.participants));
        async move {
            let [_begin, rooms, repetitions, cursors] =
                statements(conn, query).await.map_err(|(_, error)| error)?;
            Ok(Found {
                rooms,
                repetitions,
                cursors,
            })
        }
    }

    fn commit_batch(
        conn: &mut SqliteConnection,
        writes: &Writes<'_>,
        own: bool,
    ) -> impl Future<Output = Result<Vec<i64>, Uncommitted>> + Send {
        let tables: [&Table<'_>; 4] = [
            &writes.messages,
            &writes.conversations,
            &writes.participants,
            &writes.last_seen,
        ];
        let text = if own { WRITE } else { WRITE_AND_COMMIT };
        let query = tables
            .into_iter()
            .fold(sqlx::query(text), |q, t| q.bind(json_rows(t)));
        let query = bind(query, &Arg::Ints(writes.cleared.clone()));
        let messages = writes.messages[0].len();
        async move {
            let [written, _commit] =
                statements(conn, query)
                    .await
                    .map_err(|(done, error)| Uncommitted {
                        // One that commits by itself does not even begin while the file is locked.
                        asked: done == 1 || own && !is_busy(&error),
                        error,
                    })?;
            let last = match written.first() {
                Some(row) => row
                    .try_get::<Option<i64>, _>(0)
                    .map_err(|error| Uncommitted { asked: true, error })?,
                None => None,
            };
            // Numbers are given one after the other.
            let last = last.unwrap_or_default();
            Ok((1..=messages as i64)
                .map(|n| last - messages as i64 + n)
                .collect())
        }
    }

    // https://www.sqlite.org/fts5.html#full_text_query_syntax: words are letters and digits, and in
    // quotes.
    fn search_words(query: &SearchQuery) -> String {
        let mut terms: Vec<_> = query.terms().iter().collect();
        // NOT takes something on its left.
        terms.sort_by_key(|term| term.excluded);
        let mut text = String::from("content : (");
        for (n, term) in terms.iter().enumerate() {
            text.push_str(match (n, term.excluded) {
                (0, _) => "",
                (_, false) => " AND ",
                (_, true) => " NOT ",
            });
            text.push_str(&format!("\"{}\"", term.words.join(" ")));
            if term.prefix {
                text.push_str(" *");
            }
        }
        text.push(')');
        text
    }

    fn search_rooms(ids: &[String]) -> String {
        let rooms: Vec<_> = ids.iter().map(|id| room_word(id)).collect();
        format!("room : ({})", rooms.join(" OR "))
    }

    // https://www.sqlite.org/rescode.html: the low byte is the primary code.
    fn fault(code: &str) -> Fault {
        let code = code.parse::<i32>().unwrap_or_default();
        match (code, code & 0xff) {
            (1555 | 2067, _) => Fault::Taken,
            // ERROR, CORRUPT, CONSTRAINT, MISMATCH, NOTADB
            (_, 1 | 11 | 19 | 20 | 26) => Fault::Refused,
            _ => Fault::Down,
        }
    }
}

/// A conversation's id as the index holds it: without signs, which would make several words of it.
/// Two ids that become one only cost a search some time. `indexer::ADD` does the same.
fn room_word(id: &str) -> String {
    let word: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("\"{word}\"")
}

/// All that a batch needs to know, in one text: each text costs a trip to the driver's thread and
/// back, looking up nothing next to nothing.
const BEGIN_BATCH: &str = concat!(
    "BEGIN IMMEDIATE;

    SELECT id, last_seq, members_version FROM conversations
    WHERE deleted_at IS NULL AND id IN (SELECT value FROM json_each($1));

    SELECT ",
    message_columns!(),
    " FROM json_each($2) k
    CROSS JOIN messages m ON m.sender_id = k.value ->> 0 AND m.client_id = k.value ->> 1
    LEFT JOIN users u ON u.id = m.sender_id;

    SELECT p.conversation_id, p.user_id, p.read_seq, p.delivered_seq
    FROM json_each($3) k CROSS JOIN participants p
        ON p.conversation_id = k.value ->> 0 AND p.user_id = k.value ->> 1
    WHERE p.left_at IS NULL"
);

/// All that a batch writes, as something like a stored procedure of the writer's connection: each
/// statement that the driver runs wakes whoever waits for its answer. A `last_seq` that is not what
/// it was taken to be becomes NULL, which fails.
const PROCEDURE: &str = "\
    CREATE TEMP VIEW batch (messages, conversations, participants, last_seen, cleared)
    AS SELECT '[]', '[]', '[]', '[]', '[]' WHERE false;

    CREATE TEMP TRIGGER write_batch INSTEAD OF INSERT ON batch BEGIN
        UPDATE conversations SET updated_at = max(updated_at, n.at),
            last_seq = CASE WHEN last_seq = n.before AND members_version = n.version
                THEN n.seq END
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS seq, value ->> 2 AS at,
                value ->> 3 AS before, value ->> 4 AS version
            FROM json_each(NEW.conversations)) n
        WHERE conversations.id = n.id;

        INSERT INTO messages
            (id, conversation_id, seq, sender_id, client_id, kind, content, attachments, metadata,
                created_at)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
            value ->> 6, value ->> 7, value ->> 8, value ->> 9
        FROM json_each(NEW.messages);

        UPDATE participants SET read_seq = n.read_seq,
            delivered_seq = CASE WHEN participants.delivered_seq >= n.delivered_before
                THEN n.delivered_seq ELSE participants.delivered_seq END,
            read_at = coalesce(n.read_at, participants.read_at)
        FROM (SELECT value ->> 0 AS conversation_id, value ->> 1 AS user_id,
                value ->> 2 AS read_seq, value ->> 3 AS delivered_seq,
                nullif(value ->> 4, 0) AS read_at, value ->> 5 AS delivered_before
            FROM json_each(NEW.participants)) n
        WHERE participants.conversation_id = n.conversation_id
            AND participants.user_id = n.user_id;

        INSERT INTO users (id, last_seen, updated_at)
        SELECT value ->> 0, value ->> 1, value ->> 1 FROM json_each(NEW.last_seen) WHERE true
        ON CONFLICT (id) DO UPDATE
            SET last_seen = max(coalesce(users.last_seen, 0), excluded.last_seen);

        DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(NEW.cleared));

        INSERT INTO outbox (id, message_id, created_at)
        SELECT m.number, m.id, m.created_at
        FROM json_each(NEW.messages) n CROSS JOIN messages m ON m.id = n.value ->> 0;
    END";

/// Writes a batch, and tells the number of its last message.
macro_rules! write_batch {
    () => {
        "INSERT INTO batch VALUES ($1, $2, $3, $4, $5)
        RETURNING (SELECT max(number) FROM messages)"
    };
}

const WRITE: &str = write_batch!();
const WRITE_AND_COMMIT: &str = concat!(write_batch!(), "; COMMIT");

/// Whether the file was locked by somebody else for all the time that one may wait.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| code.parse::<i32>().is_ok_and(|code| code & 0xff == 5))
}

/// Runs a text of at most `N` statements and fetches the rows of each. A failure comes with the number of
/// statements that were done before it.
async fn statements<const N: usize>(
    conn: &mut SqliteConnection,
    query: Bound,
) -> Result<[Vec<SqliteRow>; N], (usize, sqlx::Error)> {
    let mut rows = [const { Vec::new() }; N];
    let mut done = 0;
    let mut results = conn.fetch_many(query);
    while let Some(result) = results.next().await {
        match result.map_err(|error| (done, error))? {
            Either::Left(_) => done += 1,
            Either::Right(row) => rows[done].push(row),
        }
    }
    Ok(rows)
}

type Bound = Query<'static, Sqlite, SqliteArguments>;

fn bind(query: Bound, arg: &Arg<'_>) -> Bound {
    match arg {
        Arg::Int(v) => query.bind(*v),
        Arg::MaybeInt(v) => query.bind(*v),
        Arg::Flag(v) => query.bind(*v),
        Arg::Text(v) => query.bind(*v),
        Arg::MaybeText(v) => query.bind(*v),
        Arg::Texts(v) => query.bind(serde_json::Value::from(v.clone()).to_string()),
        Arg::Ints(v) => query.bind(serde_json::Value::from(v.clone()).to_string()),
        Arg::Table(v) => query.bind(json_rows(v)),
    }
}

/// `[["a",1],["b",2]]`
fn json_rows(table: &Table<'_>) -> String {
    let mut out = Vec::from(b"[");
    for row in 0..table.first().map_or(0, Column::len) {
        out.extend_from_slice(if row == 0 { b"[" } else { b",[" });
        for (at, column) in table.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            // Writing texts and numbers into memory cannot fail.
            let _ = match column {
                Column::Texts(v) => serde_json::to_writer(&mut out, v[row]),
                Column::MaybeTexts(v) => serde_json::to_writer(&mut out, &v[row]),
                Column::OwnTexts(v) => serde_json::to_writer(&mut out, &v[row]),
                Column::Ints(v) => serde_json::to_writer(&mut out, &v[row]),
            };
        }
        out.push(b']');
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}
