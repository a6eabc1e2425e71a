//! One attempt to commit a batch.
//!
//! Lock the conversations, look up repetitions and the participants' cursors, decide about each
//! job in memory, write everything. A job that is refused does not touch the others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    batch::{Advance, Batch, Outcome, Writes},
    core::Core,
    engine::{Arg, Cells, Column, Engine, Sql},
    failure::Failure,
    members,
    rows::{self, message_columns, stored_seq},
    session::Session,
};
use crate::{
    chat::{
        Appended, ConversationId, Cursor, Message, Millis, NewMessage, OutboxId, StoreError,
        StoreResult, UserId,
    },
    telemetry::MESSAGES_IN_TOTAL,
};

/// Conversations to append to, locked in one order; then those that are only read.
const ROOMS: Sql = Sql {
    sqlite: "\
        SELECT id, last_seq, members_version FROM conversations
        WHERE deleted_at IS NULL AND (id IN (SELECT value FROM json_each($1))
            OR id IN (SELECT value FROM json_each($2)))",
    postgres: "\
        WITH locked AS (
            SELECT id, last_seq, members_version FROM conversations
            WHERE id = ANY($1) AND deleted_at IS NULL
            ORDER BY id FOR NO KEY UPDATE
        )
        SELECT id, last_seq, members_version FROM locked
        UNION ALL
        SELECT id, last_seq, members_version FROM conversations
        WHERE id = ANY($2) AND deleted_at IS NULL",
};

const REPETITIONS: Sql = Sql {
    sqlite: concat!(
        "SELECT ",
        message_columns!(),
        " FROM json_each($1) k
          CROSS JOIN messages m ON m.sender_id = k.value ->> 0 AND m.client_id = k.value ->> 1
          LEFT JOIN users u ON u.id = m.sender_id"
    ),
    postgres: concat!(
        "SELECT ",
        message_columns!(),
        " FROM UNNEST($1::text[], $2::text[]) AS k (sender_id, client_id)
          JOIN messages m ON m.sender_id = k.sender_id AND m.client_id = k.client_id
          LEFT JOIN users u ON u.id = m.sender_id"
    ),
};

const CURSORS: Sql = Sql {
    sqlite: "\
        SELECT p.conversation_id, p.user_id, p.read_seq, p.delivered_seq
        FROM json_each($1) k CROSS JOIN participants p
            ON p.conversation_id = k.value ->> 0 AND p.user_id = k.value ->> 1
        WHERE p.left_at IS NULL",
    postgres: "\
        SELECT p.conversation_id, p.user_id, p.read_seq, p.delivered_seq
        FROM UNNEST($1::text[], $2::text[]) AS k (conversation_id, user_id)
        JOIN participants p ON p.conversation_id = k.conversation_id AND p.user_id = k.user_id
        WHERE p.left_at IS NULL
        ORDER BY p.conversation_id, p.user_id
        FOR NO KEY UPDATE OF p",
};

/// A conversation of the batch.
struct Room {
    last_seq: u64,
    /// The time of the newest message of this batch.
    newest: Option<Millis>,
    members: Arc<[UserId]>,
}

/// A participant's cursors.
#[derive(Default)]
struct Cursors {
    read: u64,
    delivered: u64,
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

/// What the database says about a batch, and what the batch makes of it.
struct Plan {
    rooms: HashMap<ConversationId, Room>,
    cursors: BTreeMap<(ConversationId, UserId), Cursors>,
    /// Messages by sender and client id: those of the database, then those of the batch.
    by_client_id: HashMap<(UserId, Arc<str>), Arc<Message>>,
    new: Vec<Arc<Message>>,
}

/// Commits a batch. On failure nothing of it was committed, or
/// [`Fault::InDoubt`](super::failure::Fault::InDoubt).
pub(super) async fn commit<E: Engine>(
    core: &Core<E>,
    batch: &mut Batch,
    cleared: &[OutboxId],
) -> Result<Outcome, Failure> {
    let mut session = core.begin().await?;
    // Getting a connection is where the time goes when there is none.
    batch.drop_abandoned();
    match run(core, &mut session, batch, cleared).await {
        Ok((outcome, true)) => {
            session.commit().await?;
            let new = outcome.appended.iter().flatten().filter(|a| !a.duplicate);
            metrics::counter!(MESSAGES_IN_TOTAL).increment(new.count() as u64);
            Ok(outcome)
        }
        Ok((outcome, false)) => {
            session.rollback().await;
            Ok(outcome)
        }
        Err(failure) => {
            session.rollback().await;
            Err(failure)
        }
    }
}

/// Does everything but the commit. The flag tells whether there is anything to commit.
async fn run<E: Engine>(
    core: &Core<E>,
    session: &mut Session<E>,
    batch: &Batch,
    cleared: &[OutboxId],
) -> Result<(Outcome, bool), Failure> {
    let mut plan = Plan {
        rooms: rooms(core, session, batch).await?,
        by_client_id: repetitions(session, &batch.appends).await?,
        cursors: cursors(session, batch).await?,
        new: Vec::new(),
    };
    let mut appended: Vec<_> = batch.appends.iter().map(|m| plan.append(m)).collect();
    let advanced = batch.advances.iter().map(|a| plan.advance(a)).collect();

    let writes = plan.writes(batch, cleared);
    let anything = !writes.is_empty();
    if anything {
        let mut outbox = HashMap::new();
        for row in session.write(&writes).await? {
            outbox.insert(row.text(0)?, OutboxId(row.int(1)?));
        }
        for appended in appended.iter_mut().flatten().filter(|a| !a.duplicate) {
            appended.outbox = outbox.remove(appended.message.id.as_str());
        }
    }
    Ok((Outcome { appended, advanced }, anything))
}

async fn rooms<E: Engine>(
    core: &Core<E>,
    session: &mut Session<E>,
    batch: &Batch,
) -> Result<HashMap<ConversationId, Room>, Failure> {
    let written: BTreeSet<_> = batch.appends.iter().map(|m| &m.conversation).collect();
    let read: BTreeSet<_> = batch.advances.iter().map(|a| &a.conversation).collect();
    if written.is_empty() && read.is_empty() {
        return Ok(HashMap::new());
    }
    let args = [
        Arg::Texts(written.iter().map(|id| id.as_str()).collect()),
        Arg::Texts(read.difference(&written).map(|id| id.as_str()).collect()),
    ];
    let mut rooms = HashMap::new();
    let mut unknown = HashMap::new();
    for row in session.rows(ROOMS, &args).await? {
        let id = ConversationId::trusted(row.text(0)?);
        let version = row.int(2)?;
        let mut room = Room {
            last_seq: rows::seq(&row, 1)?,
            newest: None,
            members: Arc::from([]),
        };
        if written.contains(&id) {
            match core.members.get(&id, version) {
                Some(members) => room.members = members,
                None => drop(unknown.insert(id.clone(), version)),
            }
        }
        rooms.insert(id, room);
    }
    for (id, users) in members::load(session, unknown.keys()).await? {
        if let (Some(room), Some(version)) = (rooms.get_mut(&id), unknown.get(&id)) {
            room.members = Arc::clone(&users);
            core.members.put(id, *version, users);
        }
    }
    Ok(rooms)
}

async fn repetitions<E: Engine>(
    session: &mut Session<E>,
    appends: &[NewMessage],
) -> Result<HashMap<(UserId, Arc<str>), Arc<Message>>, Failure> {
    let (senders, keys): (Vec<_>, Vec<_>) = appends
        .iter()
        .filter_map(|m| Some((m.sender.id.as_str(), m.client_id.as_deref()?)))
        .unzip();
    let mut found = HashMap::new();
    if !keys.is_empty() {
        let table = [Column::Texts(senders), Column::Texts(keys)];
        for row in session.rows(REPETITIONS, &[Arg::Table(&table)]).await? {
            let message = rows::message(&row, 0)?;
            if let Some(key) = message.client_id.clone() {
                found.insert((message.sender.id.clone(), key), message);
            }
        }
    }
    Ok(found)
}

async fn cursors<E: Engine>(
    session: &mut Session<E>,
    batch: &Batch,
) -> Result<BTreeMap<(ConversationId, UserId), Cursors>, Failure> {
    let senders = batch
        .appends
        .iter()
        .map(|m| (&m.conversation, &m.sender.id));
    let readers = batch.advances.iter().map(|a| (&a.conversation, &a.user));
    let pairs: BTreeSet<_> = senders.chain(readers).collect();
    let mut found = BTreeMap::new();
    if !pairs.is_empty() {
        let (conversations, users) = pairs.iter().map(|(c, u)| (c.as_str(), u.as_str())).unzip();
        let table = [Column::Texts(conversations), Column::Texts(users)];
        for row in session.rows(CURSORS, &[Arg::Table(&table)]).await? {
            let key = (
                ConversationId::trusted(row.text(0)?),
                UserId::trusted(row.text(1)?),
            );
            let cursors = Cursors {
                read: rows::seq(&row, 2)?,
                delivered: rows::seq(&row, 3)?,
                ..Cursors::default()
            };
            found.insert(key, cursors);
        }
    }
    Ok(found)
}

impl Plan {
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

    fn writes<'a>(&'a self, batch: &'a Batch, cleared: &[OutboxId]) -> Writes<'a> {
        let new = || self.new.iter();
        let texts = |of: fn(&Message) -> &str| Column::Texts(new().map(|m| of(m)).collect());
        let maybe =
            |of: fn(&Message) -> Option<&str>| Column::MaybeTexts(new().map(|m| of(m)).collect());
        let grown = || {
            let rooms = self.rooms.iter();
            rooms.filter_map(|(id, room)| Some((id, room.last_seq, room.newest?)))
        };
        let moved = || self.cursors.iter().filter(|(_, c)| c.moved);
        let mut last_seen = BTreeMap::<&str, i64>::new();
        for seen in &batch.last_seen {
            let at = last_seen.entry(seen.user.as_str()).or_default();
            *at = seen.at.0.max(*at);
        }
        Writes {
            messages: [
                texts(|m| m.id.as_str()),
                texts(|m| m.conversation.as_str()),
                Column::Ints(new().map(|m| stored_seq(m.seq)).collect()),
                texts(|m| m.sender.id.as_str()),
                maybe(|m| m.client_id.as_deref()),
                texts(|m| &m.kind),
                texts(|m| &m.content),
                maybe(|m| m.metadata.as_ref().map(|json| json.get())),
                Column::Ints(new().map(|m| m.created_at.0).collect()),
            ],
            conversations: [
                Column::Texts(grown().map(|(id, _, _)| id.as_str()).collect()),
                Column::Ints(grown().map(|(_, seq, _)| stored_seq(seq)).collect()),
                Column::Ints(grown().map(|(_, _, at)| at.0).collect()),
            ],
            participants: [
                Column::Texts(moved().map(|((c, _), _)| c.as_str()).collect()),
                Column::Texts(moved().map(|((_, u), _)| u.as_str()).collect()),
                Column::Ints(moved().map(|(_, c)| stored_seq(c.read)).collect()),
                Column::Ints(moved().map(|(_, c)| stored_seq(c.delivered)).collect()),
                Column::Ints(
                    moved()
                        .map(|(_, c)| c.read_at.map_or(0, |at| at.0))
                        .collect(),
                ),
            ],
            last_seen: [
                Column::Texts(last_seen.keys().copied().collect()),
                Column::Ints(last_seen.into_values().collect()),
            ],
            cleared: cleared.iter().map(|id| id.0).collect(),
        }
    }
}
