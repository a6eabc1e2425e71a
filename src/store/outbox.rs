//! The outbox: rows of messages whose events may not have reached every node.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    core::Core,
    engine::{Arg, Cells, Engine, Sql, sql_in},
    members,
    rows::{self, MESSAGE_COLUMNS, message_columns},
    session::Session,
};
use crate::chat::{Millis, OutboxId, StoreResult, Unpublished};

/// Rows deleted by one batch at most.
const CLEARED_MAX: usize = 4096;

/// Rows whose events were published, until a batch deletes them.
#[derive(Default)]
pub(super) struct Cleared {
    rows: Mutex<Vec<OutboxId>>,
    added: Notify,
}

impl Cleared {
    /// Adds rows.
    pub(super) fn add(&self, rows: &[OutboxId]) {
        if !rows.is_empty() {
            self.rows.lock().extend_from_slice(rows);
            self.added.notify_one();
        }
    }

    /// Takes rows out, to delete them.
    pub(super) fn take(&self) -> Vec<OutboxId> {
        let mut rows = self.rows.lock();
        let keep = rows.len().saturating_sub(CLEARED_MAX);
        rows.split_off(keep)
    }

    /// Returns rows that could not be deleted.
    pub(super) fn put_back(&self, rows: Vec<OutboxId>) {
        self.add(&rows);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.lock().is_empty()
    }

    /// Waits until rows were added.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }
}

/// The lease is measured by the database's clock, the only one that all nodes share.
const CLAIM: Sql = Sql {
    sqlite: "\
        UPDATE outbox SET claimed_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) + 10000
        WHERE id IN (
            SELECT id FROM outbox
            WHERE created_at < $1 AND claimed_until < CAST(unixepoch('subsec') * 1000 AS INTEGER)
            ORDER BY id LIMIT $2)
        RETURNING id",
    postgres: "\
        UPDATE outbox
        SET claimed_until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 10000
        WHERE id IN (
            SELECT id FROM outbox
            WHERE created_at < $1
                AND claimed_until < (extract(epoch FROM clock_timestamp()) * 1000)::bigint
            ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING id",
};

const CLAIMED: Sql = sql_in!(
    concat!(
        "SELECT ",
        message_columns!(),
        ", o.id FROM outbox o JOIN messages m ON m.id = o.message_id
         LEFT JOIN users u ON u.id = m.sender_id WHERE o.id"
    ),
    " ORDER BY o.id"
);

/// See [`Store::claim_unpublished`](crate::chat::Store::claim_unpublished).
pub(super) async fn claim<E: Engine>(
    core: &Core<E>,
    older_than: Millis,
    limit: u32,
) -> StoreResult<Vec<Unpublished>> {
    let mut session = core.begin().await?;
    let claimed = claim_in(&mut session, older_than, limit).await;
    session.finish(claimed).await
}

async fn claim_in<E: Engine>(
    session: &mut Session<E>,
    older_than: Millis,
    limit: u32,
) -> StoreResult<Vec<Unpublished>> {
    let args = [Arg::Int(older_than.0), Arg::Int(limit.into())];
    let rows = session.rows(CLAIM, &args).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = rows
        .iter()
        .map(|row| row.int(0))
        .collect::<StoreResult<_>>()?;
    let mut claimed = Vec::new();
    for row in session.rows(CLAIMED, &[Arg::Ints(ids)]).await? {
        claimed.push((OutboxId(row.int(MESSAGE_COLUMNS)?), rows::message(&row, 0)?));
    }
    let members = members::load(session, claimed.iter().map(|(_, m)| &m.conversation)).await?;
    Ok(claimed
        .into_iter()
        .filter_map(|(id, message)| {
            let participants = members.get(&message.conversation)?.clone();
            Some(Unpublished {
                id,
                message,
                participants,
            })
        })
        .collect())
}
