//! What one transaction of the group commit holds, and how it is answered.

use std::{collections::BTreeSet, error::Error as StdError, fmt, sync::Arc};

use tokio::sync::oneshot;

use super::{
    engine::Column,
    failure::{Failure, unavailable},
};
use crate::chat::{
    Appended, ConversationId, Cursor, Millis, NewMessage, StoreError, StoreResult, UserId,
};

/// Where the outcome of a job goes.
pub(super) type Reply<T> = oneshot::Sender<StoreResult<T>>;

/// A move of a participant's cursor.
pub(super) struct Advance {
    pub(super) conversation: ConversationId,
    pub(super) user: UserId,
    pub(super) cursor: Cursor,
    pub(super) seq: u64,
    pub(super) at: Millis,
}

/// The time when a user was last seen.
pub(super) struct LastSeen {
    pub(super) user: UserId,
    pub(super) at: Millis,
}

/// One piece of a batch.
pub(super) enum Job {
    /// Commit a message.
    Append(NewMessage, Reply<Appended>),
    /// Move a cursor.
    Advance(Advance, Reply<u64>),
    /// Record a time.
    LastSeen(LastSeen, Reply<()>),
    /// Delete cleared outbox rows, which every batch does.
    Clear,
}

/// Jobs that share a transaction.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) appends: Vec<NewMessage>,
    pub(super) advances: Vec<Advance>,
    pub(super) last_seen: Vec<LastSeen>,
    append_replies: Vec<Reply<Appended>>,
    advance_replies: Vec<Reply<u64>>,
    last_seen_replies: Vec<Reply<()>>,
}

/// What became of a committed batch, in the order of its jobs.
pub(super) struct Outcome {
    pub(super) appended: Vec<StoreResult<Appended>>,
    pub(super) advanced: Vec<StoreResult<u64>>,
}

impl Batch {
    /// Takes a job in.
    pub(super) fn push(&mut self, job: Job) {
        match job {
            Job::Append(message, reply) => {
                self.appends.push(message);
                self.append_replies.push(reply);
            }
            Job::Advance(advance, reply) => {
                self.advances.push(advance);
                self.advance_replies.push(reply);
            }
            Job::LastSeen(seen, reply) => {
                self.last_seen.push(seen);
                self.last_seen_replies.push(reply);
            }
            Job::Clear => {}
        }
    }

    /// Leaves out those whose callers have given up: they were told that it failed, so it had
    /// better not happen.
    pub(super) fn drop_abandoned(&mut self) {
        retain_awaited(&mut self.appends, &mut self.append_replies);
        retain_awaited(&mut self.advances, &mut self.advance_replies);
        retain_awaited(&mut self.last_seen, &mut self.last_seen_replies);
    }

    /// What the database has to tell about these jobs.
    pub(super) fn lookups(&self) -> Lookups<'_> {
        let appends = || self.appends.iter();
        let advances = || self.advances.iter();
        let written: BTreeSet<_> = appends().map(|m| m.conversation.as_str()).collect();
        let read: BTreeSet<_> = advances().map(|a| a.conversation.as_str()).collect();
        let read = read.difference(&written).copied().collect();
        let (senders, client_ids) = appends()
            .filter_map(|m| Some((m.sender.id.as_str(), m.client_id.as_deref()?)))
            .unzip();
        let senders_here = appends().map(|m| (m.conversation.as_str(), m.sender.id.as_str()));
        let readers = advances().map(|a| (a.conversation.as_str(), a.user.as_str()));
        let participants: BTreeSet<_> = senders_here.chain(readers).collect();
        let (conversations, users) = participants.into_iter().unzip();
        Lookups {
            written: written.into_iter().collect(),
            read,
            keys: [Column::Texts(senders), Column::Texts(client_ids)],
            participants: [Column::Texts(conversations), Column::Texts(users)],
        }
    }

    /// The number of jobs.
    pub(super) fn len(&self) -> usize {
        self.appends.len() + self.advances.len() + self.last_seen.len()
    }

    /// One batch for each job.
    pub(super) fn split(self) -> Vec<Self> {
        let appends = self.appends.into_iter().zip(self.append_replies);
        let advances = self.advances.into_iter().zip(self.advance_replies);
        let last_seen = self.last_seen.into_iter().zip(self.last_seen_replies);
        let jobs = appends
            .map(|(message, reply)| Job::Append(message, reply))
            .chain(advances.map(|(advance, reply)| Job::Advance(advance, reply)))
            .chain(last_seen.map(|(seen, reply)| Job::LastSeen(seen, reply)));
        jobs.map(|job| {
            let mut batch = Self::default();
            batch.push(job);
            batch
        })
        .collect()
    }

    /// Tells everyone what became of their job. Who no longer waits is no concern.
    pub(super) fn answer(self, outcome: Outcome) {
        for (reply, result) in self.append_replies.into_iter().zip(outcome.appended) {
            let _ = reply.send(result);
        }
        for (reply, result) in self.advance_replies.into_iter().zip(outcome.advanced) {
            let _ = reply.send(result);
        }
        for reply in self.last_seen_replies {
            let _ = reply.send(Ok(()));
        }
    }

    /// Tells everyone that the batch failed.
    pub(super) fn fail(self, failure: Failure) {
        let cause = Shared(Arc::new(failure.error));
        for reply in self.append_replies {
            let _ = reply.send(Err(cause.for_one()));
        }
        for reply in self.advance_replies {
            let _ = reply.send(Err(cause.for_one()));
        }
        for reply in self.last_seen_replies {
            let _ = reply.send(Err(cause.for_one()));
        }
    }
}

fn retain_awaited<J, T>(jobs: &mut Vec<J>, replies: &mut Vec<Reply<T>>) {
    if replies.iter().any(Reply::is_closed) {
        let pairs = jobs.drain(..).zip(replies.drain(..));
        let (kept_jobs, kept_replies) = pairs.filter(|(_, reply)| !reply.is_closed()).unzip();
        (*jobs, *replies) = (kept_jobs, kept_replies);
    }
}

/// An error that many are told of.
#[derive(Debug, Clone)]
struct Shared(Arc<StoreError>);

impl Shared {
    fn for_one(&self) -> StoreError {
        match &*self.0 {
            StoreError::Conflict(what) => StoreError::Conflict(what),
            StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
            _ => unavailable(self.clone()),
        }
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the group commit failed")
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// What a batch has to know before it decides.
pub(super) struct Lookups<'a> {
    /// Conversations to append to, sorted.
    pub(super) written: Vec<&'a str>,
    /// Conversations in which only cursors move, sorted.
    pub(super) read: Vec<&'a str>,
    /// Idempotency keys: sender, client_id.
    pub(super) keys: [Column<'a>; 2],
    /// Those who send or read: conversation, user; sorted.
    pub(super) participants: [Column<'a>; 2],
}

/// The rows that a batch writes. Every array is a table by columns.
pub(super) struct Writes<'a> {
    /// id, conversation, seq, sender, client_id, kind, content, attachments, metadata, created_at.
    pub(super) messages: [Column<'a>; 10],
    /// id, newest seq, time of the newest message; last_seq and members_version as they are taken
    /// to be: if they are not, nothing is written.
    pub(super) conversations: [Column<'a>; 5],
    /// conversation, user, read_seq, delivered_seq, read_at (0: as it was), and the delivered_seq
    /// below which the new one does not hold, because a guess was wrong.
    pub(super) participants: [Column<'a>; 6],
    /// user, time.
    pub(super) last_seen: [Column<'a>; 2],
    /// Outbox rows to delete.
    pub(super) cleared: Vec<i64>,
}

impl Writes<'_> {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.messages[0].len() == 0
            && self.participants[0].len() == 0
            && self.last_seen[0].len() == 0
            && self.cleared.is_empty()
    }
}
