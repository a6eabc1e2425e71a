//! The sweeper: publishes what a node committed but did not live to publish.

use std::time::Duration;

use super::{Chat, Envelope, Event};

/// Rows younger than this are left to the node that wrote them, in milliseconds.
const MIN_AGE_MS: i64 = 2_000;
/// Time between two sweeps when there was little to do.
const INTERVAL: Duration = Duration::from_secs(1);
/// Rows claimed at once.
const BATCH: u32 = 500;

impl Chat {
    /// Sweeps the outbox for ever; the caller ends it by dropping the future. The hub drops what
    /// a room has had already, so publishing twice does no harm. While other nodes cannot be
    /// reached the rows stay where they are.
    pub async fn sweep_outbox(&self) {
        loop {
            let full = match self.bus.is_up() {
                true => self.sweep_once().await,
                false => false,
            };
            if !full {
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }

    /// `true`: there is more.
    async fn sweep_once(&self) -> bool {
        let older_than = self.clock.now().plus(-MIN_AGE_MS);
        let rows = match self.store.claim_unpublished(older_than, BATCH).await {
            Ok(rows) => rows,
            Err(e) => {
                tracing::warn!(error = %e, "cannot sweep the outbox");
                return false;
            }
        };
        let full = rows.len() == BATCH as usize;
        if !rows.is_empty() {
            tracing::info!(rows = rows.len(), "publishing what was left unpublished");
        }
        for row in rows {
            let (message, participants) = (row.message, row.participants);
            let event = Event::MessageCreated {
                message,
                participants,
            };
            self.announce(
                Envelope {
                    origin: None,
                    event,
                },
                Some(row.id),
            );
        }
        full
    }
}
