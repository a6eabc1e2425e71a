//! What the domain needs from the world, but for its own sockets and other nodes (`bus.rs`). Each
//! port has one conformance suite that every implementation runs.

mod presence;

use std::{
    collections::{BTreeMap, HashMap},
    error::Error as StdError,
    sync::Arc,
};

use async_trait::async_trait;

pub use presence::{Absence, Presence, PresenceNews, Reach};

use super::{
    ChatError, Conversation, ConversationId, ConversationPage, Message, MessageId, Millis,
    NewMessage, Order, Orders, Page, Profile, Role, SearchQuery, Subject, Upload, UploadId, UserId,
};

/// A dependency that cannot be reached or refuses to work.
#[derive(Debug, thiserror::Error)]
#[error("{what} is unavailable")]
pub struct Unavailable {
    /// Which dependency: "database", "redis".
    pub what: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn StdError + Send + Sync>,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The conversation or message does not exist (or is deleted).
    #[error("not found")]
    NotFound,
    /// The user takes no part in the conversation.
    #[error("not a participant")]
    NotParticipant,
    /// The id or key is taken by something else.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// The input cannot be stored: a text holds a NUL character, or the call makes no sense.
    #[error("invalid: {0}")]
    Invalid(&'static str),
    /// The group would have more participants than allowed.
    #[error("too many participants")]
    TooManyParticipants,
    /// The database is down, overloaded or shutting down. Whether a write happened is unknown;
    /// repeating it with the same idempotency key is safe.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The database holds something that it never should.
    #[error("corrupt data: {0}")]
    Corrupt(String),
}

impl From<StoreError> for ChatError {
    fn from(e: StoreError) -> Self {
        match e {
            // One answer for both: whether a conversation exists is not for those outside it to
            // know.
            StoreError::NotFound | StoreError::NotParticipant => {
                Self::forbidden("there is no such conversation, or you take no part in it")
            }
            StoreError::Conflict(what) => Self::conflict(what),
            StoreError::Invalid(what) => Self::invalid(what),
            StoreError::TooManyParticipants => Self::too_large("too many participants"),
            StoreError::Unavailable(e) => {
                Self::unavailable("the database cannot be reached, try again", e)
            }
            e @ StoreError::Corrupt(_) => Self::internal(e),
        }
    }
}

impl From<Unavailable> for ChatError {
    fn from(e: Unavailable) -> Self {
        Self::unavailable("a dependency cannot be reached, try again", e)
    }
}

/// What the store answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Names an outbox row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(pub i64);

/// The outcome of [`Store::append`].
#[derive(Debug, Clone)]
pub struct Appended {
    /// The committed message, or the first one if the send was a repetition.
    pub message: Arc<Message>,
    /// Everybody who took part when it was committed.
    pub participants: Arc<[UserId]>,
    /// Whether the sender's `client_id` had been committed before. Nothing was written then.
    pub duplicate: bool,
    /// The outbox row to clear once the event is published; `None` for a repetition.
    pub outbox: Option<OutboxId>,
}

/// An outbox row whose event may not have reached every node.
#[derive(Debug, Clone)]
pub struct Unpublished {
    /// The row.
    pub id: OutboxId,
    /// The message to publish.
    pub message: Arc<Message>,
    /// Its conversation's participants.
    pub participants: Arc<[UserId]>,
}

/// A message's place, for receipts that name messages only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRef {
    /// The message.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its seq.
    pub seq: u64,
    /// Who sent it.
    pub sender: UserId,
}

/// A conversation with messages that a user has not received yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which conversation.
    pub conversation: ConversationId,
    /// The highest seq that the user has received.
    pub delivered_seq: u64,
    /// When the conversation last changed, by which pages are ordered.
    pub updated_at: Millis,
}

/// Which cursor of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// What was read. Moving it moves [`Cursor::Delivered`] too: what is read was received.
    Read,
    /// What a device confirmed.
    Delivered,
}

/// The durable truth.
///
/// # Contract
/// - What a method returned `Ok` for survives the crash of this process and of the machine.
/// - `seq` is 1, 2, 3, ... per conversation without a gap, also under concurrent appends from
///   many nodes.
/// - A `client_id` is honoured per sender without expiry.
/// - The outbox row is written in the message's own transaction.
/// - An upload that a message refers to is never handed out by [`Store::claim_uploads`], and one
///   that was handed out is no attachment of any message, also where both happen at once.
/// - Deleted conversations are [`StoreError::NotFound`]; those who are no participants (any more)
///   get [`StoreError::NotParticipant`] from the methods that take the acting user.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Commits a message. Many calls share one transaction; the sender, and whoever the message
    /// names beside ([`NewMessage::with`]), must be a participant when it commits. A `client_id`
    /// that the sender used in another conversation is [`StoreError::Conflict`]; an attachment that
    /// is no complete upload of the sender (any more) is [`StoreError::Invalid`]. The sender's read
    /// cursor moves with the message, the delivered one only where nothing before it is undelivered.
    async fn append(&self, message: NewMessage) -> StoreResult<Appended>;

    /// Tells that the events of these rows were handed to every node. The rows go soon after;
    /// never blocks. A row whose clearing is lost is published again and dropped by seq.
    fn published(&self, rows: &[OutboxId]);

    /// Claims up to `limit` outbox rows committed before `older_than`, oldest first. A claimed row
    /// is not handed to another claimer for 10 seconds.
    async fn claim_unpublished(
        &self,
        older_than: Millis,
        limit: u32,
    ) -> StoreResult<Vec<Unpublished>>;

    /// The conversation with its participants, for one of them.
    async fn conversation(&self, id: &ConversationId, user: &UserId) -> StoreResult<Conversation>;

    /// A page of messages ascending by seq, for a participant. The flag tells whether more exist
    /// in the page's direction.
    async fn messages(
        &self,
        id: &ConversationId,
        user: &UserId,
        page: Page,
    ) -> StoreResult<(Vec<Arc<Message>>, bool)>;

    /// Messages with `after < seq <= until`, ascending, whoever asks: to fill a gap of a room.
    async fn messages_between(
        &self,
        id: &ConversationId,
        after: u64,
        until: u64,
    ) -> StoreResult<Vec<Arc<Message>>>;

    /// The newest seq of each conversation that exists, in one query: to verify rooms.
    async fn last_seqs(&self, ids: &[ConversationId])
    -> StoreResult<BTreeMap<ConversationId, u64>>;

    /// Who takes part now in each of these conversations, in one query: to verify rooms.
    async fn members(
        &self,
        ids: &[ConversationId],
    ) -> StoreResult<HashMap<ConversationId, Arc<[UserId]>>>;

    /// The user's conversations by `updated_at`, newest first. `cursor` is what the previous page
    /// returned; one that cannot be read is [`StoreError::NotFound`].
    async fn conversations(
        &self,
        user: &UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<ConversationPage>;

    /// The newest message, whoever asks.
    async fn last_message(&self, id: &ConversationId) -> StoreResult<Option<Arc<Message>>>;

    /// The direct conversation of the two, made if it does not exist. The flag tells whether it
    /// was made now. An `id` that names another conversation is [`StoreError::Conflict`]; an `id`
    /// is ignored where the pair already has a conversation.
    async fn open_direct(
        &self,
        a: &UserId,
        b: &UserId,
        id: Option<&ConversationId>,
        now: Millis,
    ) -> StoreResult<(Conversation, bool)>;

    /// The conversation of that id, which both must take part in; made as a direct conversation of
    /// the two if it does not exist, beside those that they have. The flag tells whether it was
    /// made now. An `id` of a deleted conversation is [`StoreError::Conflict`].
    async fn open_between(
        &self,
        id: &ConversationId,
        a: &UserId,
        b: &UserId,
        now: Millis,
    ) -> StoreResult<(Conversation, bool)>;

    /// Makes a group with the roles given. `id` taken: [`StoreError::Conflict`].
    async fn create_group(
        &self,
        id: &ConversationId,
        title: &str,
        participants: &[(UserId, Role)],
        now: Millis,
    ) -> StoreResult<Conversation>;

    /// Adds users to a group as members (again, if they had left). Those already in are left as
    /// they are. Returns the group as it is now.
    async fn add_participants(
        &self,
        id: &ConversationId,
        users: &[UserId],
        max_participants: u32,
        now: Millis,
    ) -> StoreResult<Conversation>;

    /// Takes a participant out of a group, with an order about [`Subject::Members`]. When the last admin goes, the longest-standing member
    /// becomes admin. Returns the group as it is now; with nobody left it is deleted, and the
    /// result has no participants.
    async fn remove_participant(
        &self,
        id: &ConversationId,
        user: &UserId,
        now: Millis,
    ) -> StoreResult<Conversation>;

    /// Gives a group another title.
    async fn rename(
        &self,
        id: &ConversationId,
        title: &str,
        now: Millis,
    ) -> StoreResult<Conversation>;

    /// Deletes a conversation for everybody, with an order about [`Subject::Members`]. Returns those
    /// who took part.
    async fn delete(&self, id: &ConversationId, now: Millis) -> StoreResult<Arc<[UserId]>>;

    /// Moves a participant's cursor up to `seq` (bounded by the conversation's newest; never
    /// back). Returns the cursor's value before, so that `before < seq` tells that it moved.
    async fn advance(
        &self,
        id: &ConversationId,
        user: &UserId,
        cursor: Cursor,
        seq: u64,
        now: Millis,
    ) -> StoreResult<u64>;

    /// Conversations of the user with messages above their delivered cursor, the one whose last
    /// change is oldest first, at most `limit`; after the last of the page before, if given. One's
    /// own messages do not wait.
    async fn waiting(
        &self,
        user: &UserId,
        after: Option<&Waiting>,
        limit: u32,
    ) -> StoreResult<Vec<Waiting>>;

    /// Where these messages are; unknown ones are left out. Whether the caller may know is for
    /// the caller to check.
    async fn locate(&self, ids: &[MessageId]) -> StoreResult<Vec<MessageRef>>;

    /// The message of that seq.
    async fn message_at(&self, id: &ConversationId, seq: u64) -> StoreResult<Option<Arc<Message>>>;

    /// Messages with all that the query asks for, newest first, in that conversation or in those
    /// that the user takes part in (the thousand that changed last), from the message `from` on if
    /// given. What was committed within the last second may be missing.
    async fn search(
        &self,
        user: &UserId,
        conversation: Option<&ConversationId>,
        query: &SearchQuery,
        from: Option<&MessageId>,
        limit: u32,
    ) -> StoreResult<Vec<Arc<Message>>>;

    /// Records what a token told about a user. A field that the token does not name stays.
    async fn upsert_user(&self, profile: &Profile, now: Millis) -> StoreResult<Profile>;

    /// What is known of these users; unknown ones are left out.
    async fn profiles(&self, users: &[UserId]) -> StoreResult<Vec<Profile>>;

    /// Records when a user's last device left.
    async fn set_last_seen(&self, user: &UserId, at: Millis) -> StoreResult<()>;

    /// When the last device of each left; users never seen to leave are left out.
    async fn last_seen(&self, users: &[UserId]) -> StoreResult<BTreeMap<UserId, Millis>>;

    /// Everyone who shares a conversation with the user, without the user, at most `limit`.
    async fn contacts(&self, user: &UserId, limit: u32) -> StoreResult<Vec<UserId>>;

    /// Notes that an upload was begun, before anything of it is kept elsewhere.
    async fn begin_upload(&self, id: &UploadId, owner: &UserId, now: Millis) -> StoreResult<()>;

    /// Completes an upload that was begun. One that was given up meanwhile is
    /// [`StoreError::NotFound`].
    async fn complete_upload(&self, upload: &Upload, now: Millis) -> StoreResult<()>;

    /// Those of these uploads that are complete, in no particular order.
    async fn uploads(&self, ids: &[UploadId]) -> StoreResult<Vec<Upload>>;

    /// Whether an existing conversation that the user takes part in has a message with this upload.
    async fn shares_upload(&self, id: &UploadId, user: &UserId) -> StoreResult<bool>;

    /// Gives up to `limit` uploads up that were begun before `older_than` and that no message
    /// refers to. From then on they do not exist for anybody; the caller deletes what is kept of
    /// them elsewhere and then calls [`Store::forget_uploads`]. Where it does not, they are handed
    /// out again after a minute.
    async fn claim_uploads(&self, older_than: Millis, limit: u32) -> StoreResult<Vec<UploadId>>;

    /// Forgets uploads that were given up.
    async fn forget_uploads(&self, ids: &[UploadId]) -> StoreResult<()>;

    /// Keeps an order, which gets the next version. Where one about the subject is in effect it is
    /// only ever extended: the later of the two times counts, for each of the two. Returns what is
    /// kept.
    async fn give_order(&self, order: Order, now: Millis) -> StoreResult<Order>;

    /// Ends the order about a subject, with the next version, and returns it. `None`: none was in
    /// effect.
    async fn lift_order(&self, subject: &Subject, now: Millis) -> StoreResult<Option<Order>>;

    /// Orders that came or were lifted after a version, oldest first, at most `limit`. Versions
    /// become visible in their order: whoever has read up to one has missed nothing before it.
    async fn orders_after(&self, version: i64, limit: u32) -> StoreResult<Orders>;

    /// Forgets orders without effect since before that time.
    async fn forget_orders(&self, ended_before: Millis) -> StoreResult<()>;

    /// Whether the database answers, for readiness.
    async fn ping(&self) -> Result<(), Unavailable>;

    /// Commits what is queued and closes. Later calls are [`StoreError::Unavailable`].
    async fn close(&self);
}
