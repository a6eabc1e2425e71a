//! PostgreSQL 13 or later: several lanes of group commits at once, from any number of nodes.
//!
//! Locks are always taken in the same order, so that nodes never deadlock: conversations by id,
//! then participants by conversation and user, then uploads by id, then users by id. A batch is six
//! round trips however many messages it holds.

use std::{collections::HashMap, future::Future, time::Duration};

use sqlx::{
    Executor, Pool, Postgres, Row,
    pool::PoolOptions,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow},
    query::Query,
};

use super::{
    batch::{Lookups, Writes},
    engine::{Arg, Column, Engine, Found, Sql, Uncommitted, cells},
    failure::Fault,
    rows::message_columns,
};
use crate::chat::SearchQuery;

cells!(PgRow);

/// Run on every new connection.
///
/// - A commit must be on the server's disk when it returns, whatever the server's default.
/// - A node that stops in the middle of a transaction must not keep its locks.
/// - Plans are cached. One that was made while a table was small would go on to scan it whole when
///   it has grown, until statistics catch up: every statement here is meant to go by index.
const SESSION: &str = "\
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') = 'off';
    SET idle_in_transaction_session_timeout = '10s';
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off";

/// The connections.
pub(super) fn pool(
    options: &PgConnectOptions,
    connections: u32,
    acquire_timeout: Duration,
) -> Pool<Postgres> {
    PoolOptions::new()
        // One for a batch, one for everything else at least.
        .max_connections(connections.max(2))
        .acquire_timeout(acquire_timeout)
        .after_connect(|conn: &mut PgConnection, _| {
            Box::pin(async move { conn.execute(SESSION).await.map(drop) })
        })
        .connect_lazy_with(options.clone())
}

impl Engine for Postgres {
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

    const ALONE: bool = false;

    async fn control(conn: &mut PgConnection, text: &'static str) -> Result<(), sqlx::Error> {
        conn.execute(text).await.map(drop)
    }

    fn rows(
        conn: &mut PgConnection,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> impl Future<Output = Result<Vec<PgRow>, sqlx::Error>> + Send {
        let query = args.iter().fold(sqlx::query(sql.postgres), bind);
        async move { query.fetch_all(conn).await }
    }

    async fn begin_batch(
        conn: &mut PgConnection,
        lookups: &Lookups<'_>,
    ) -> Result<Found<PgRow>, sqlx::Error> {
        Self::control(conn, Self::BEGIN).await?;
        let rooms = [&lookups.written, &lookups.read];
        let rooms = rooms.map(|ids| Column::Texts(ids.clone()));
        Ok(Found {
            rooms: look_up(conn, ROOMS, &rooms).await?,
            repetitions: look_up(conn, REPETITIONS, &lookups.keys).await?,
            cursors: look_up(conn, CURSORS, &lookups.participants).await?,
        })
    }

    async fn commit_batch(
        conn: &mut PgConnection,
        writes: &Writes<'_>,
        own: bool,
    ) -> Result<Vec<i64>, Uncommitted> {
        let tables = [
            &writes.messages[..],
            &writes.conversations[..],
            // Without the last: nothing is guessed here.
            &writes.participants[..5],
            &writes.last_seen[..],
        ];
        let query = tables
            .into_iter()
            .flatten()
            .fold(sqlx::query(WRITE), bind_column)
            .bind(&writes.cleared[..]);
        let failed = |asked| move |error| Uncommitted { asked, error };
        let rows = query.fetch_all(&mut *conn).await.map_err(failed(own))?;
        if !own {
            Self::control(conn, "COMMIT").await.map_err(failed(true))?;
        }
        outbox(&rows, writes.messages[0].texts()).map_err(failed(true))
    }

    // https://www.postgresql.org/docs/current/datatype-textsearch.html: words are letters and
    // digits, and in quotes.
    fn search_words(query: &SearchQuery) -> String {
        let terms = query.terms().iter().map(|term| {
            let words: Vec<_> = term.words.iter().map(|word| format!("'{word}'")).collect();
            let (not, star) = (
                if term.excluded { "!" } else { "" },
                if term.prefix { ":*" } else { "" },
            );
            format!("{not}({}{star})", words.join(" <-> "))
        });
        terms.collect::<Vec<_>>().join(" & ")
    }

    fn search_rooms(ids: &[String]) -> String {
        let rooms: Vec<_> = ids.iter().map(|id| format!("'={id}'")).collect();
        rooms.join(" | ")
    }

    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    fn fault(code: &str) -> Fault {
        match code {
            "23505" => Fault::Taken,
            "40001" | "40P01" => Fault::Again,
            // Data exceptions, constraints, syntax and privileges.
            _ if ["22", "23", "42"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                Fault::Refused
            }
            _ => Fault::Down,
        }
    }
}

/// Conversations to append to, locked in one order; then those that are only read.
const ROOMS: &str = "\
    WITH locked AS (
        SELECT id, last_seq, members_version FROM conversations
        WHERE id = ANY($1) AND deleted_at IS NULL
        ORDER BY id FOR NO KEY UPDATE
    )
    SELECT id, last_seq, members_version FROM locked
    UNION ALL
    SELECT id, last_seq, members_version FROM conversations
    WHERE id = ANY($2) AND deleted_at IS NULL";

const REPETITIONS: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM UNNEST($1::text[], $2::text[]) AS k (sender_id, client_id)
    JOIN messages m ON m.sender_id = k.sender_id AND m.client_id = k.client_id
    LEFT JOIN users u ON u.id = m.sender_id"
);

const CURSORS: &str = "\
    SELECT p.conversation_id, p.user_id, p.read_seq, p.delivered_seq
    FROM UNNEST($1::text[], $2::text[]) AS k (conversation_id, user_id)
    JOIN participants p ON p.conversation_id = k.conversation_id AND p.user_id = k.user_id
    WHERE p.left_at IS NULL
    ORDER BY p.conversation_id, p.user_id
    FOR NO KEY UPDATE OF p";

/// Everything a batch writes, in one statement. The rows of conversations and participants are
/// already locked by the batch; a `last_seq` that becomes NULL fails the statement. A row of the outbox that somebody else holds just now is being
/// published or cleared by them, so it is skipped and not waited for.
const WRITE: &str = "\
    WITH new AS MATERIALIZED (
        SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[])
            AS n (id, conversation_id, seq, sender_id, client_id, kind, content, attachments,
                metadata, created_at)
    ), added AS (
        INSERT INTO messages
            (id, conversation_id, seq, sender_id, client_id, kind, content, attachments,
                metadata, created_at)
        SELECT * FROM new
    ), conversations_advanced AS (
        UPDATE conversations c
        SET last_seq = CASE WHEN c.last_seq = n.before AND c.members_version = n.version
                THEN n.seq END,
            updated_at = GREATEST(c.updated_at, n.at)
        FROM UNNEST($11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
            AS n (id, seq, at, before, version)
        WHERE c.id = n.id
    ), participants_advanced AS (
        UPDATE participants p SET read_seq = n.read_seq, delivered_seq = n.delivered_seq,
            read_at = COALESCE(NULLIF(n.read_at, 0), p.read_at)
        FROM UNNEST($16::text[], $17::text[], $18::bigint[], $19::bigint[], $20::bigint[])
            AS n (conversation_id, user_id, read_seq, delivered_seq, read_at)
        WHERE p.conversation_id = n.conversation_id AND p.user_id = n.user_id
    ), last_seen_recorded AS (
        INSERT INTO users (id, last_seen, updated_at)
        SELECT n.id, n.at, n.at FROM UNNEST($21::text[], $22::bigint[]) AS n (id, at)
        ORDER BY n.id COLLATE \"C\"
        ON CONFLICT (id) DO UPDATE
            SET last_seen = GREATEST(users.last_seen, excluded.last_seen)
    ), cleared AS (
        DELETE FROM outbox WHERE id IN (
            SELECT id FROM outbox WHERE id = ANY($23::bigint[]) FOR UPDATE SKIP LOCKED)
    )
    INSERT INTO outbox (message_id, created_at)
    SELECT id, created_at FROM new
    RETURNING message_id, id";

/// The outbox rows of these messages.
fn outbox(rows: &[PgRow], messages: &[&str]) -> Result<Vec<i64>, sqlx::Error> {
    let pairs = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let of = pairs.collect::<Result<HashMap<&str, i64>, sqlx::Error>>()?;
    let ids = messages.iter().map(|id| of.get(id).copied());
    ids.collect::<Option<_>>().ok_or(sqlx::Error::RowNotFound)
}

/// Fetches what a batch asks for by these columns, if it asks for anything.
async fn look_up(
    conn: &mut PgConnection,
    text: &'static str,
    columns: &[Column<'_>],
) -> Result<Vec<PgRow>, sqlx::Error> {
    if columns.iter().all(|column| column.len() == 0) {
        return Ok(Vec::new());
    }
    let query = columns.iter().fold(sqlx::query(text), bind_column);
    query.fetch_all(conn).await
}

type Bound = Query<'static, Postgres, PgArguments>;

fn bind(query: Bound, arg: &Arg<'_>) -> Bound {
    match arg {
        Arg::Int(v) => query.bind(*v),
        Arg::MaybeInt(v) => query.bind(*v),
        Arg::Flag(v) => query.bind(*v),
        Arg::Text(v) => query.bind(*v),
        Arg::MaybeText(v) => query.bind(*v),
        Arg::Texts(v) => query.bind(&v[..]),
        Arg::Ints(v) => query.bind(&v[..]),
        Arg::Table(v) => v.iter().fold(query, bind_column),
    }
}

fn bind_column(query: Bound, column: &Column<'_>) -> Bound {
    match column {
        Column::Texts(v) => query.bind(&v[..]),
        Column::MaybeTexts(v) => query.bind(&v[..]),
        Column::OwnTexts(v) => query.bind(&v[..]),
        Column::Ints(v) => query.bind(&v[..]),
    }
}
