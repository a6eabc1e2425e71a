//! SQLite's index of words, filled from the messages by a task of its own.
//!
//! FTS5 in the message's own transaction would double what a lone commit computes. So the index
//! follows within a moment; up to which message is written with it, so that neither a crash nor a
//! database from before there was an index leaves anything out.

use std::{sync::Arc, time::Duration};

use sqlx::Sqlite;
use tokio::time::sleep;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    core::Core,
    engine::{Arg, Cells, Sql},
};
use crate::chat::{StoreError, StoreResult};

/// Time between two looks at whether there are new messages.
const INTERVAL: Duration = Duration::from_millis(300);
/// Messages indexed in one transaction at most: sends wait meanwhile.
const BATCH: i64 = 100;
/// Time between two transactions while many messages wait, which is the sends' own.
const PAUSE: Duration = Duration::from_millis(10);
/// Time to the next try after a failure.
const RETRY: Duration = Duration::from_secs(5);

const WAITING: Sql = Sql::same(
    "SELECT 1 FROM message_index_progress
     WHERE done < (SELECT max(number) FROM messages)",
);

/// The room as `sqlite::room_word` has it.
const ADD: Sql = Sql::same(
    "INSERT INTO message_index (rowid, room, content)
     SELECT m.number,
        replace(replace(replace(replace(m.conversation_id, '-', ''), '_', ''), '.', ''), ':', ''),
        m.content
     FROM message_index_progress p JOIN messages m
        ON m.number > p.done AND m.number <= p.done + $1
     ORDER BY m.number",
);

const ADDED: Sql = Sql::same(
    "UPDATE message_index_progress
     SET done = min(done + $1, (SELECT max(number) FROM messages))
     RETURNING done < (SELECT max(number) FROM messages)",
);

/// The task. Dropping this ends it.
pub(super) struct Indexer {
    tasks: TaskTracker,
    closing: CancellationToken,
    _close_on_drop: DropGuard,
}

impl Indexer {
    /// Starts the task.
    pub(super) fn start(core: &Arc<Core<Sqlite>>) -> Self {
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(run(Arc::clone(core), closing.clone()));
        tasks.close();
        Self {
            tasks,
            _close_on_drop: closing.clone().drop_guard(),
            closing,
        }
    }

    /// Ends the task; what it has not done is done after the next start.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

async fn run(core: Arc<Core<Sqlite>>, closing: CancellationToken) {
    while !closing.is_cancelled() {
        // Not cut off: a transaction ends as it should.
        let pause = match follow(&core).await {
            Ok(true) => PAUSE,
            Ok(false) => INTERVAL,
            Err(e) => {
                tracing::warn!(error = %e, "the search index cannot follow");
                RETRY
            }
        };
        closing.run_until_cancelled(sleep(pause)).await;
    }
}

/// Indexes some messages. The flag tells whether more are waiting.
async fn follow(core: &Core<Sqlite>) -> StoreResult<bool> {
    let waiting = core.reader().await?.row(WAITING, &[]).await?;
    if waiting.is_none() {
        return Ok(false);
    }
    let mut session = core.begin().await?;
    let added = async {
        session.rows(ADD, &[Arg::Int(BATCH)]).await?;
        let row = session.row(ADDED, &[Arg::Int(BATCH)]).await?;
        row.ok_or_else(|| StoreError::Corrupt("the index has lost its place".to_owned()))?
            .flag(0)
    }
    .await;
    session.finish(added).await
}
