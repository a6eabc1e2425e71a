//! Databases for the suite, and short ways to say things.

use std::{path::PathBuf, sync::Arc, time::Duration};

use porchlight::{
    chat::{
        Appended, ConversationId, MessageId, Millis, NewMessage, Profile, Role, Store, StoreError,
        StoreResult, UserId,
    },
    config, store,
};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::support::postgres;

/// An empty database, deleted with this.
pub struct Backend {
    pub cfg: config::Database,
    pub file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Backend {
    pub fn sqlite() -> Self {
        Self::at(String::new())
    }

    pub async fn postgres() -> Self {
        Self::at(postgres::database().await.url)
    }

    pub fn at(url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            cfg: config::Database {
                url,
                max_connections: 6,
                acquire_timeout: Duration::from_secs(20),
                group_commit_wait: Duration::from_millis(2),
                group_commit_max: 256,
            },
            // Of a folder that does not exist yet.
            file: folder.path().join("data").join("porchlight.db"),
            _folder: folder,
        }
    }

    /// A store on this database, as one more node has it.
    pub async fn open(&self) -> Arc<dyn Store> {
        store::open(&self.cfg, &self.file).await.unwrap()
    }

    /// Runs a statement behind the store's back.
    pub async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.cfg.url.is_empty() {
            let url = format!("sqlite://{}", self.file.display());
            let mut conn = sqlx::SqliteConnection::connect(&url).await.unwrap();
            conn.execute(sql).await.unwrap();
        } else {
            let mut conn = sqlx::PgConnection::connect(&self.cfg.url).await.unwrap();
            conn.execute(sql).await.unwrap();
        }
    }

    /// Counts the rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        if self.cfg.url.is_empty() {
            let url = format!("sqlite://{}", self.file.display());
            let mut conn = sqlx::SqliteConnection::connect(&url).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
        } else {
            let mut conn = sqlx::PgConnection::connect(&self.cfg.url).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
        }
    }
}

pub const NOW: Millis = Millis(1_767_323_045_678);

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub fn room(name: &str) -> ConversationId {
    ConversationId::new(name).unwrap()
}

pub fn message(room: &ConversationId, sender: &str, content: &str) -> NewMessage {
    NewMessage {
        id: MessageId::generate(),
        conversation: room.clone(),
        sender: Profile::unknown(user(sender)),
        client_id: None,
        kind: "text".into(),
        content: content.into(),
        attachments: Arc::from([]),
        metadata: None,
        with: None,
        created_at: NOW,
    }
}

/// A message with an idempotency key.
pub fn keyed(room: &ConversationId, sender: &str, key: &str) -> NewMessage {
    NewMessage {
        client_id: Some(key.into()),
        ..message(room, sender, &format!("content of {key}"))
    }
}

/// A group of members, the first of whom is its admin.
pub async fn group(store: &dyn Store, name: &str, users: &[&str]) -> ConversationId {
    let id = room(name);
    let participants: Vec<_> = users
        .iter()
        .enumerate()
        .map(|(at, name)| (user(name), if at == 0 { Role::Admin } else { Role::Member }))
        .collect();
    store
        .create_group(&id, "A group", &participants, NOW)
        .await
        .unwrap();
    id
}

/// Says something that is expected to be committed.
pub async fn say(store: &dyn Store, room: &ConversationId, sender: &str, text: &str) -> Appended {
    store.append(message(room, sender, text)).await.unwrap()
}

/// The names of users.
pub fn names<'a>(users: impl IntoIterator<Item = &'a UserId>) -> Vec<&'a str> {
    users.into_iter().map(UserId::as_str).collect()
}

/// Waits until the condition holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(
            tokio::time::Instant::now() < until,
            "never happened: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

macro_rules! refusals {
    ($($name:ident => $pattern:pat),+ $(,)?) => {
        $(#[track_caller]
        pub fn $name<T: std::fmt::Debug>(result: StoreResult<T>) {
            assert!(matches!(result, Err($pattern)), "{result:?}");
        })+
    };
}

refusals! {
    not_found => StoreError::NotFound,
    not_participant => StoreError::NotParticipant,
    conflict => StoreError::Conflict(_),
    invalid => StoreError::Invalid(_),
    too_many => StoreError::TooManyParticipants,
    unavailable => StoreError::Unavailable(_),
}
