//! One attempt to commit a batch.
//!
//! Lock the conversations, look up repetitions and the participants' cursors, decide about each
//! job in memory, write everything. A job that is refused does not touch the others.
//!
//! Where a process is alone with its database, what it wrote last is nearly always what it would
//! find: few messages are written on that guess, without looking anything up. The statements that
//! write refuse a wrong guess, and then it is done properly.

mod writes;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    batch::{Advance, Batch, Outcome},
    core::Core,
    engine::{Cells, Engine, Found},
    failure::{Failure, Fault},
    members::{self, Known},
    rows,
    session::Session,
    uploads,
};
use crate::{
    chat::{
        Appended, ConversationId, Cursor, Message, Millis, NewMessage, OutboxId, StoreError,
        StoreResult, UploadId, UserId,
    },
    telemetry::MESSAGES_IN_TOTAL,
};

/// A guess is for so many messages at most: with more there is little to gain, and one that makes
/// it fail makes all others take the longer way too.
const GUESSED_MAX: usize = 8;

/// A conversation of the batch.
struct Room {
    last_seq: u64,
    /// What the last seq was before this batch.
    before: u64,
    /// The time of the newest message of this batch.
    newest: Option<Millis>,
    version: i64,
    members: Arc<[UserId]>,
}

impl Room {
    fn new(known: Known) -> Self {
        Self {
            last_seq: known.last_seq,
            before: known.last_seq,
            newest: None,
            version: known.version,
            members: known.users,
        }
    }
}

/// A participant's cursors.
#[derive(Default)]
struct Cursors {
    read: u64,
    delivered: u64,
    /// What `delivered` was found or guessed to be.
    delivered_before: u64,
    read_at: Option<Millis>,
    moved: bool,
}

impl Cursors {
    /// Moves a cursor, never back; returns its value before.
    fn advance(&mut self, cursor: Cursor, seq: u64, at: Millis) -> u64 {
        let before = match cursor {
            Cursor::Read => self.read,
            Cursor::Delivered => self.delivered,
        };
        if before < seq {
            self.moved = true;
            self.delivered = self.delivered.max(seq);
            if cursor == Cursor::Read {
                self.read = seq;
                self.read_at = Some(at);
            }
        }
        before
    }

    /// What one wrote, one has read. It was not received by writing it, though, what others had
    /// written just before and is still on its way.
    fn wrote(&mut self, seq: u64, at: Millis) {
        let delivered = self.delivered;
        self.advance(Cursor::Read, seq, at);
        if delivered + 1 < seq {
            self.delivered = delivered;
        }
    }
}

/// Messages by sender and client id.
type ByClientId = HashMap<(UserId, Arc<str>), Arc<Message>>;

/// What the database says about a batch, and what the batch makes of it.
struct Plan {
    rooms: HashMap<ConversationId, Room>,
    cursors: BTreeMap<(ConversationId, UserId), Cursors>,
    /// Messages by sender and client id: those of the database, then those of the batch.
    by_client_id: ByClientId,
    /// The owners of those uploads of the batch that can be attached.
    uploads: HashMap<UploadId, UserId>,
    new: Vec<Arc<Message>>,
}

/// Commits a batch. On failure nothing of it was committed, or [`Fault::InDoubt`].
pub(super) async fn commit<E: Engine>(
    core: &Core<E>,
    batch: &mut Batch,
    cleared: &[OutboxId],
) -> Result<Outcome, Failure> {
    let session = core.writer().await?;
    // Getting a connection is where the time goes when there is none.
    batch.drop_abandoned();
    if E::ALONE
        && let Some(plan) = Plan::guess(core, batch)
    {
        match plan.commit(core, session, batch, cleared).await {
            // A wrong guess, or a send that was repeated, or something really is refused.
            Err(failure) if matches!(failure.fault, Fault::Taken | Fault::Refused) => {
                for message in &batch.appends {
                    core.members.forget(&message.conversation);
                }
            }
            result => return result,
        }
        return look_up_and_commit(core, core.writer().await?, batch, cleared).await;
    }
    look_up_and_commit(core, session, batch, cleared).await
}

async fn look_up_and_commit<E: Engine>(
    core: &Core<E>,
    session: Session<E>,
    batch: &mut Batch,
    cleared: &[OutboxId],
) -> Result<Outcome, Failure> {
    let (mut session, found) = session.begin_batch(&batch.lookups()).await?;
    batch.drop_abandoned();
    match Plan::new(core, &mut session, batch, &found).await {
        Ok(plan) => plan.commit(core, session, batch, cleared).await,
        Err(failure) => {
            session.rollback().await;
            Err(failure)
        }
    }
}

/// The conversations that were found, with the members of those that the batch appends to.
async fn rooms<E: Engine>(
    core: &Core<E>,
    session: &mut Session<E>,
    batch: &Batch,
    found: &[E::Row],
) -> Result<HashMap<ConversationId, Room>, Failure> {
    let written: HashSet<_> = batch.appends.iter().map(|m| &m.conversation).collect();
    let mut rooms = HashMap::new();
    let mut unknown = Vec::new();
    for row in found {
        let id = ConversationId::trusted(row.text(0)?);
        let mut now = Known {
            last_seq: rows::seq(row, 1)?,
            version: row.int(2)?,
            users: Arc::from([]),
        };
        if written.contains(&id) {
            match core.members.get(&id) {
                Some(known) if known.version == now.version => now.users = known.users,
                _ => unknown.push(id.clone()),
            }
        }
        rooms.insert(id, Room::new(now));
    }
    for (id, users) in members::load(session, &unknown).await? {
        if let Some(room) = rooms.get_mut(&id) {
            room.members = users;
        }
    }
    Ok(rooms)
}

fn repetitions(found: &[impl Cells]) -> StoreResult<ByClientId> {
    let mut repetitions = HashMap::new();
    for row in found {
        let message = rows::message(row, 0)?;
        if let Some(key) = message.client_id.clone() {
            repetitions.insert((message.sender.id.clone(), key), message);
        }
    }
    Ok(repetitions)
}

fn cursors(found: &[impl Cells]) -> StoreResult<BTreeMap<(ConversationId, UserId), Cursors>> {
    let read = |row: &_| {
        let key = (
            ConversationId::trusted(Cells::text(row, 0)?),
            UserId::trusted(Cells::text(row, 1)?),
        );
        let cursors = Cursors {
            read: rows::seq(row, 2)?,
            delivered: rows::seq(row, 3)?,
            delivered_before: rows::seq(row, 3)?,
            ..Cursors::default()
        };
        Ok((key, cursors))
    };
    found.iter().map(read).collect()
}

impl Plan {
    /// Nothing planned yet.
    async fn new<E: Engine>(
        core: &Core<E>,
        session: &mut Session<E>,
        batch: &Batch,
        found: &Found<E::Row>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            uploads: uploads::lock(session, &batch.appends).await?,
            rooms: rooms(core, session, batch, &found.rooms).await?,
            by_client_id: repetitions(&found.repetitions)?,
            cursors: cursors(&found.cursors)?,
            new: Vec::new(),
        })
    }

    /// What the batch finds if nobody else has written since: nothing is known of repetitions, and
    /// what is known of the conversations may have changed. `Writes` tests it.
    fn guess<E: Engine>(core: &Core<E>, batch: &Batch) -> Option<Self> {
        let appends = &batch.appends;
        if !(1..=GUESSED_MAX).contains(&appends.len()) || !batch.advances.is_empty() {
            return None;
        }
        let mut plan = Self {
            rooms: HashMap::new(),
            cursors: BTreeMap::new(),
            by_client_id: HashMap::new(),
            uploads: HashMap::new(),
            new: Vec::new(),
        };
        for message in appends {
            // Whether its uploads are still there nobody can guess.
            if !message.attachments.is_empty() {
                return None;
            }
            let known = core.members.get(&message.conversation)?;
            if !known.users.contains(&message.sender.id) {
                return None;
            }
            // The sender has read the new message in any case, and received it and all before it
            // if this guess is right.
            let sender = (message.conversation.clone(), message.sender.id.clone());
            let cursors = Cursors {
                delivered: known.last_seq,
                delivered_before: known.last_seq,
                ..Cursors::default()
            };
            plan.cursors.insert(sender, cursors);
            plan.rooms
                .insert(message.conversation.clone(), Room::new(known));
        }
        Some(plan)
    }

    /// Decides about each job and commits, in a transaction of its own if none was begun.
    async fn commit<E: Engine>(
        mut self,
        core: &Core<E>,
        mut session: Session<E>,
        batch: &Batch,
        cleared: &[OutboxId],
    ) -> Result<Outcome, Failure> {
        let mut appended: Vec<_> = batch.appends.iter().map(|m| self.append(m)).collect();
        let advanced = batch.advances.iter().map(|a| self.advance(a)).collect();
        let writes = self.writes(batch, cleared);
        if writes.is_empty() {
            session.rollback().await;
            return Ok(Outcome { appended, advanced });
        }
        if let Err(failure) = uploads::mark_used(&mut session, &self.new).await {
            session.rollback().await;
            return Err(failure);
        }
        let outbox = session.commit_batch(&writes).await?;
        metrics::counter!(MESSAGES_IN_TOTAL).increment(self.new.len() as u64);
        for (id, room) in self.rooms.iter().filter(|(_, room)| room.newest.is_some()) {
            let known = Known {
                version: room.version,
                last_seq: room.last_seq,
                users: Arc::clone(&room.members),
            };
            core.members.put(id, known);
        }
        // Both are in the order of the messages.
        let new = appended.iter_mut().flatten().filter(|a| !a.duplicate);
        for (appended, row) in new.zip(outbox) {
            appended.outbox = Some(OutboxId(row));
        }
        Ok(Outcome { appended, advanced })
    }

    fn append(&mut self, new: &NewMessage) -> StoreResult<Appended> {
        let room = self
            .rooms
            .get_mut(&new.conversation)
            .ok_or(StoreError::NotFound)?;
        let key = new
            .client_id
            .as_ref()
            .map(|id| (new.sender.id.clone(), Arc::clone(id)));
        let first = key.as_ref().and_then(|key| self.by_client_id.get(key));
        if let Some(first) = first.filter(|m| m.conversation == new.conversation) {
            // Also to a sender who has left meanwhile: it was committed, and that is the answer.
            return Ok(Appended {
                message: Arc::clone(first),
                participants: Arc::clone(&room.members),
                duplicate: true,
                outbox: None,
            });
        }
        let sender = (new.conversation.clone(), new.sender.id.clone());
        let cursors = self
            .cursors
            .get_mut(&sender)
            .ok_or(StoreError::NotParticipant)?;
        if new.with.as_ref().is_some_and(|w| !room.members.contains(w)) {
            return Err(StoreError::NotParticipant);
        }
        if first.is_some() {
            return Err(StoreError::Conflict(
                "the clientId was used in another conversation",
            ));
        }
        let usable = |id: &UploadId| self.uploads.get(id) == Some(&new.sender.id);
        if !new.attachments.iter().all(|a| usable(&a.id)) {
            return Err(StoreError::Invalid("an attachment is not there any more"));
        }
        room.last_seq += 1;
        room.newest = room.newest.max(Some(new.created_at));
        cursors.wrote(room.last_seq, new.created_at);
        let message = Arc::new(Message {
            id: new.id.clone(),
            conversation: new.conversation.clone(),
            seq: room.last_seq,
            sender: new.sender.clone(),
            client_id: new.client_id.clone(),
            kind: Arc::clone(&new.kind),
            content: Arc::clone(&new.content),
            attachments: Arc::clone(&new.attachments),
            metadata: new.metadata.clone(),
            created_at: new.created_at,
        });
        if let Some(key) = key {
            self.by_client_id.insert(key, Arc::clone(&message));
        }
        self.new.push(Arc::clone(&message));
        Ok(Appended {
            message,
            participants: Arc::clone(&room.members),
            duplicate: false,
            outbox: None,
        })
    }

    fn advance(&mut self, advance: &Advance) -> StoreResult<u64> {
        let room = self
            .rooms
            .get(&advance.conversation)
            .ok_or(StoreError::NotFound)?;
        let key = (advance.conversation.clone(), advance.user.clone());
        let cursors = self
            .cursors
            .get_mut(&key)
            .ok_or(StoreError::NotParticipant)?;
        let seq = advance.seq.min(room.last_seq);
        Ok(cursors.advance(advance.cursor, seq, advance.at))
    }
}
