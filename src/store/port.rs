//! The [`Store`] port over an [`Engine`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;

use super::{
    batch::{Advance, Job, LastSeen},
    committer::Committer,
    conversations,
    core::Core,
    direct,
    engine::{Engine, Sql},
    indexer::Indexer,
    members, messages, orders, outbox, search,
    text::storable,
    uploads, users,
};
use crate::chat::{
    Appended, Conversation, ConversationId, ConversationPage, Cursor, Message, MessageId,
    MessageRef, Millis, NewMessage, Order, Orders, OutboxId, Page, Profile, Role, SearchQuery,
    Store, StoreError, StoreResult, Subject, Unavailable, Unpublished, Upload, UploadId, UserId,
    Waiting,
};
use crate::telemetry::OUTBOX_SWEPT_TOTAL;

const PING: Sql = Sql::same("SELECT 1");

/// A store on one database.
pub(super) struct SqlStore<E: Engine> {
    pub(super) core: Arc<Core<E>>,
    pub(super) committer: Committer,
    /// Where the database does not keep its index by itself.
    pub(super) indexer: Option<Indexer>,
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    async fn append(&self, message: NewMessage) -> StoreResult<Appended> {
        for text in [&message.content, &message.kind]
            .into_iter()
            .chain(&message.client_id)
        {
            storable(text)?;
        }
        let lane = message.conversation.clone();
        let job = |reply| Job::Append(message, reply);
        self.core
            .within(self.committer.submit(lane.as_str(), job))
            .await
    }

    fn published(&self, rows: &[OutboxId]) {
        self.core.cleared.add(rows);
    }

    async fn claim_unpublished(
        &self,
        older_than: Millis,
        limit: u32,
    ) -> StoreResult<Vec<Unpublished>> {
        let claimed = self
            .core
            .within(outbox::claim(&self.core, older_than, limit))
            .await?;
        metrics::counter!(OUTBOX_SWEPT_TOTAL).increment(claimed.len() as u64);
        Ok(claimed)
    }

    async fn conversation(&self, id: &ConversationId, user: &UserId) -> StoreResult<Conversation> {
        self.core
            .read(|| conversations::get(&self.core, id, user))
            .await
    }

    async fn messages(
        &self,
        id: &ConversationId,
        user: &UserId,
        page: Page,
    ) -> StoreResult<(Vec<Arc<Message>>, bool)> {
        self.core
            .read(|| messages::page(&self.core, id, user, page))
            .await
    }

    async fn messages_between(
        &self,
        id: &ConversationId,
        after: u64,
        until: u64,
    ) -> StoreResult<Vec<Arc<Message>>> {
        self.core
            .read(|| messages::between(&self.core, id, after, until))
            .await
    }

    async fn last_seqs(
        &self,
        ids: &[ConversationId],
    ) -> StoreResult<BTreeMap<ConversationId, u64>> {
        self.core
            .read(|| messages::last_seqs(&self.core, ids))
            .await
    }

    async fn members(
        &self,
        ids: &[ConversationId],
    ) -> StoreResult<HashMap<ConversationId, Arc<[UserId]>>> {
        self.core.read(|| members::of(&self.core, ids)).await
    }

    async fn conversations(
        &self,
        user: &UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<ConversationPage> {
        self.core
            .read(|| messages::list(&self.core, user, cursor, limit))
            .await
    }

    async fn last_message(&self, id: &ConversationId) -> StoreResult<Option<Arc<Message>>> {
        self.core.read(|| messages::at(&self.core, id, None)).await
    }

    async fn open_direct(
        &self,
        a: &UserId,
        b: &UserId,
        id: Option<&ConversationId>,
        now: Millis,
    ) -> StoreResult<(Conversation, bool)> {
        let opened = direct::open_direct(&self.core, (a, b), id, now);
        self.core.within(opened).await
    }

    async fn open_between(
        &self,
        id: &ConversationId,
        a: &UserId,
        b: &UserId,
        now: Millis,
    ) -> StoreResult<(Conversation, bool)> {
        let opened = direct::open_between(&self.core, id, (a, b), now);
        self.core.within(opened).await
    }

    async fn create_group(
        &self,
        id: &ConversationId,
        title: &str,
        participants: &[(UserId, Role)],
        now: Millis,
    ) -> StoreResult<Conversation> {
        let created = conversations::create_group(&self.core, id, title, participants, now);
        self.core.within(created).await
    }

    async fn add_participants(
        &self,
        id: &ConversationId,
        users: &[UserId],
        max_participants: u32,
        now: Millis,
    ) -> StoreResult<Conversation> {
        let added = conversations::add(&self.core, id, users, max_participants, now);
        self.core.within(added).await
    }

    async fn remove_participant(
        &self,
        id: &ConversationId,
        user: &UserId,
        now: Millis,
    ) -> StoreResult<Conversation> {
        self.core
            .within(conversations::remove(&self.core, id, user, now))
            .await
    }

    async fn rename(
        &self,
        id: &ConversationId,
        title: &str,
        now: Millis,
    ) -> StoreResult<Conversation> {
        self.core
            .within(conversations::rename(&self.core, id, title, now))
            .await
    }

    async fn delete(&self, id: &ConversationId, now: Millis) -> StoreResult<Arc<[UserId]>> {
        self.core
            .within(conversations::delete(&self.core, id, now))
            .await
    }

    async fn advance(
        &self,
        id: &ConversationId,
        user: &UserId,
        cursor: Cursor,
        seq: u64,
        now: Millis,
    ) -> StoreResult<u64> {
        let advance = Advance {
            conversation: id.clone(),
            user: user.clone(),
            cursor,
            seq,
            at: now,
        };
        let job = |reply| Job::Advance(advance, reply);
        self.core
            .within(self.committer.submit(id.as_str(), job))
            .await
    }

    async fn waiting(
        &self,
        user: &UserId,
        after: Option<&Waiting>,
        limit: u32,
    ) -> StoreResult<Vec<Waiting>> {
        self.core
            .read(|| messages::waiting(&self.core, user, after, limit))
            .await
    }

    async fn locate(&self, ids: &[MessageId]) -> StoreResult<Vec<MessageRef>> {
        self.core.read(|| messages::locate(&self.core, ids)).await
    }

    async fn message_at(&self, id: &ConversationId, seq: u64) -> StoreResult<Option<Arc<Message>>> {
        self.core
            .read(|| messages::at(&self.core, id, Some(seq)))
            .await
    }

    async fn search(
        &self,
        user: &UserId,
        conversation: Option<&ConversationId>,
        query: &SearchQuery,
        from: Option<&MessageId>,
        limit: u32,
    ) -> StoreResult<Vec<Arc<Message>>> {
        let found = search::find(&self.core, user, conversation, query, from, limit);
        self.core.within(found).await
    }

    async fn upsert_user(&self, profile: &Profile, now: Millis) -> StoreResult<Profile> {
        self.core
            .within(users::upsert(&self.core, profile, now))
            .await
    }

    async fn profiles(&self, users: &[UserId]) -> StoreResult<Vec<Profile>> {
        self.core.read(|| users::profiles(&self.core, users)).await
    }

    async fn set_last_seen(&self, user: &UserId, at: Millis) -> StoreResult<()> {
        let seen = LastSeen {
            user: user.clone(),
            at,
        };
        let job = |reply| Job::LastSeen(seen, reply);
        self.core
            .within(self.committer.submit(user.as_str(), job))
            .await
    }

    async fn last_seen(&self, users: &[UserId]) -> StoreResult<BTreeMap<UserId, Millis>> {
        self.core.read(|| users::last_seen(&self.core, users)).await
    }

    async fn contacts(&self, user: &UserId, limit: u32) -> StoreResult<Vec<UserId>> {
        self.core
            .read(|| users::contacts(&self.core, user, limit))
            .await
    }

    async fn begin_upload(&self, id: &UploadId, owner: &UserId, now: Millis) -> StoreResult<()> {
        self.core
            .within(uploads::begin(&self.core, id, owner, now))
            .await
    }

    async fn complete_upload(&self, upload: &Upload, now: Millis) -> StoreResult<()> {
        self.core
            .within(uploads::complete(&self.core, upload, now))
            .await
    }

    async fn uploads(&self, ids: &[UploadId]) -> StoreResult<Vec<Upload>> {
        self.core
            .within(uploads::complete_ones(&self.core, ids))
            .await
    }

    async fn shares_upload(&self, id: &UploadId, user: &UserId) -> StoreResult<bool> {
        self.core
            .within(uploads::shared(&self.core, id, user))
            .await
    }

    async fn claim_uploads(&self, older_than: Millis, limit: u32) -> StoreResult<Vec<UploadId>> {
        self.core
            .within(uploads::claim(&self.core, older_than, limit))
            .await
    }

    async fn forget_uploads(&self, ids: &[UploadId]) -> StoreResult<()> {
        self.core.within(uploads::forget(&self.core, ids)).await
    }

    async fn give_order(&self, order: Order, now: Millis) -> StoreResult<Order> {
        self.core.within(orders::give(&self.core, order, now)).await
    }

    async fn lift_order(&self, subject: &Subject, now: Millis) -> StoreResult<Option<Order>> {
        let lifted = orders::lift(&self.core, subject, now);
        self.core.within(lifted).await
    }

    async fn orders_after(&self, version: i64, limit: u32) -> StoreResult<Orders> {
        self.core
            .read(|| orders::after(&self.core, version, limit))
            .await
    }

    async fn forget_orders(&self, ended_before: Millis) -> StoreResult<()> {
        self.core
            .within(orders::forget(&self.core, ended_before))
            .await
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        let answer = || async {
            self.core.reader().await?.rows(PING, &[]).await?;
            Ok(())
        };
        self.core.read(answer).await.map_err(|e| match e {
            StoreError::Unavailable(e) => e,
            e => Unavailable {
                what: "database",
                source: Box::new(e),
            },
        })
    }

    async fn close(&self) {
        if !self.core.closed.swap(true, Ordering::AcqRel) {
            self.committer.close().await;
            if let Some(indexer) = &self.indexer {
                indexer.close().await;
            }
            self.core.close().await;
        }
    }
}
