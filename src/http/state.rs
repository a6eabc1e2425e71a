//! What the handlers work with.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use super::{cors::Origins, problem::ApiResult, view::People};
use crate::{
    auth::Authenticator,
    chat::{Chat, ChatError, ErrorCode, UserId},
    config::Config,
    limits::Limits,
};

/// What the clients' router is made of. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// Who is calling.
    pub auth: Arc<Authenticator>,
    /// How often they may.
    pub limits: Arc<Limits>,
    /// What this node carries.
    pub stats: Arc<dyn Stats>,
    /// Where requests that change something run, so that a stop can wait for them.
    pub tasks: TaskTracker,
}

/// What this node carries at the moment.
pub trait Stats: Send + Sync + 'static {
    /// Live connections.
    fn connections(&self) -> usize;
    /// Rooms with a connection in them.
    fn rooms(&self) -> usize;
    /// Users with a connection.
    fn users(&self) -> usize;
}

/// The address of the client, put into a request's extensions by whoever accepted its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

/// The state of every handler.
pub(super) struct App {
    pub(super) chat: Arc<Chat>,
    pub(super) auth: Arc<Authenticator>,
    pub(super) stats: Arc<dyn Stats>,
    pub(super) tasks: TaskTracker,
    pub(super) origins: Origins,
    pub(super) socket_token_ttl: Duration,
    pub(super) max_upload_bytes: u64,
    pub(super) limits: Arc<Limits>,
}

impl App {
    pub(super) fn new(state: ApiState, config: &Config) -> Self {
        let ApiState {
            chat,
            auth,
            limits,
            stats,
            tasks,
        } = state;
        Self {
            chat,
            auth,
            stats,
            tasks,
            origins: Origins::new(&config.server.cors_origins),
            socket_token_ttl: config.auth.socket_token_ttl,
            max_upload_bytes: config.uploads.max_bytes,
            limits,
        }
    }

    /// Counts a request of a user.
    pub(super) fn limit_user(&self, user: &UserId) -> ApiResult<()> {
        let allowed = self.limits.request(&format!("user:{user}"));
        Ok(allowed.map_err(ChatError::rate_limited)?)
    }

    /// Counts a request that nobody known stands behind.
    pub(super) fn limit_address(&self, address: Option<&ClientAddr>) -> ApiResult<()> {
        let allowed = match address {
            Some(ClientAddr(ip)) => self.limits.request_of_address(*ip),
            None => self.limits.request("address:unknown"),
        };
        Ok(allowed.map_err(ChatError::rate_limited)?)
    }

    /// Counts a message of a user, together with those over Socket.IO.
    pub(super) fn limit_message(&self, user: &UserId) -> ApiResult<()> {
        let allowed = self.limits.message(user);
        Ok(allowed.map_err(ChatError::rate_limited)?)
    }

    /// How these users are; empty while whoever knows cannot be reached, because a list of
    /// conversations is worth having without it.
    pub(super) async fn people(
        &self,
        users: impl IntoIterator<Item = &UserId>,
    ) -> ApiResult<People> {
        /// Users in one question, so that a long list stays within what a database takes at once.
        const AT_ONCE: usize = 500;
        let mut users: Vec<UserId> = users.into_iter().cloned().collect();
        users.sort_unstable();
        users.dedup();
        let mut people = People::with_capacity(users.len());
        for some in users.chunks(AT_ONCE) {
            match self.chat.whereabouts(some).await {
                Ok(infos) => people.extend(infos.into_iter().map(|i| (i.user.clone(), i))),
                Err(e) if e.code == ErrorCode::Unavailable => {
                    tracing::warn!(
                        id = e.id.as_deref(),
                        cause = e.cause(),
                        "answering without presence"
                    );
                    return Ok(People::new());
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(people)
    }
}
