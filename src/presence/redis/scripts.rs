//! The scripts that decide what must be decided at once, and how they are called.
//!
//! They are called by their hash and loaded where a server does not know them. Redis 5 or later:
//! they write after they asked for the time.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    types::{Value, scripts::Script},
};

use super::keys::{Keys, member};
use crate::chat::{DeviceId, Status, UserId};

/// For how long a reaper has a dead node to itself after it last said so.
const CLAIM: Duration = Duration::from_secs(5);
/// For how long it is known that a node was reaped.
const GONE: Duration = Duration::from_secs(3600);

/// What a user shows, and when it was set: in microseconds, 0 for what nobody set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shown {
    pub(super) status: Status,
    pub(super) at: u64,
}

/// What an assertion found.
pub(super) struct Asserted {
    /// Whether the user was not announced before.
    pub(super) newly: bool,
    /// The user's status.
    pub(super) shown: Shown,
    /// The user's devices on all nodes.
    pub(super) devices: usize,
}

/// What became of a device that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It was the last one; the absence's number.
    Last(u64),
    /// Others are left.
    Others,
    /// Redis knew nothing of it.
    Unknown,
}

/// What became of a user whose devices are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Released {
    /// Announced online until now.
    Offline,
    /// There are other devices, or the user was not announced.
    Nothing,
    /// The absence is too young.
    Early,
}

/// The scripts with what they need.
pub(super) struct Scripts {
    keys: Keys,
    assert: Script,
    leave: Script,
    settle: Script,
    release: Script,
    status: Script,
    claim: Script,
}

impl Scripts {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            assert: Script::from_lua(include_str!("assert.lua")),
            leave: Script::from_lua(include_str!("leave.lua")),
            settle: Script::from_lua(include_str!("settle.lua")),
            release: Script::from_lua(include_str!("release.lua")),
            status: Script::from_lua(include_str!("status.lua")),
            claim: Script::from_lua(include_str!("claim.lua")),
        }
    }

    /// Adds devices of a node, and announces the user.
    pub(super) async fn assert(
        &self,
        redis: &Client,
        user: &UserId,
        node: &str,
        devices: &[DeviceId],
        shown: Shown,
    ) -> Result<Asserted, Error> {
        let members = devices.iter().map(|d| member(node, d));
        let args: Vec<_> = [shown.status.as_str().to_owned(), shown.at.to_string()]
            .into_iter()
            .chain(members)
            .collect();
        let (newly, status, at, devices): (bool, String, u64, usize) = self
            .assert
            .evalsha_with_reload(redis, self.keys.user(user), args)
            .await?;
        let status = Status::parse(&status).unwrap_or_default();
        Ok(Asserted {
            newly,
            shown: Shown { status, at },
            devices,
        })
    }

    pub(super) async fn leave(
        &self,
        redis: &Client,
        user: &UserId,
        node: &str,
        device: &DeviceId,
    ) -> Result<Left, Error> {
        let answer: i64 = self
            .leave
            .evalsha_with_reload(redis, self.keys.user(user), member(node, device))
            .await?;
        Ok(match u64::try_from(answer) {
            Ok(0) => Left::Others,
            Ok(absence) => Left::Last(absence),
            Err(_) => Left::Unknown,
        })
    }

    pub(super) async fn settle(
        &self,
        redis: &Client,
        user: &UserId,
        absence: u64,
    ) -> Result<bool, Error> {
        self.settle
            .evalsha_with_reload(redis, self.keys.user(user), absence.to_string())
            .await
    }

    /// Removes single devices of a living node.
    pub(super) async fn release(
        &self,
        redis: &Client,
        user: &UserId,
        grace: Duration,
        node: &str,
        devices: &[DeviceId],
    ) -> Result<Released, Error> {
        let members = devices.iter().map(|d| member(node, d)).collect();
        self.release_any(redis, user, grace, String::new(), members)
            .await
    }

    /// Removes all devices of a dead node.
    pub(super) async fn reap(
        &self,
        redis: &Client,
        user: &UserId,
        grace: Duration,
        node: &str,
    ) -> Result<Released, Error> {
        self.release_any(redis, user, grace, format!("{node}/"), Vec::new())
            .await
    }

    async fn release_any(
        &self,
        redis: &Client,
        user: &UserId,
        grace: Duration,
        prefix: String,
        members: Vec<String>,
    ) -> Result<Released, Error> {
        let args: Vec<_> = [grace.as_micros().to_string(), prefix]
            .into_iter()
            .chain(members)
            .collect();
        let answer: i64 = self
            .release
            .evalsha_with_reload(redis, self.keys.user(user), args)
            .await?;
        Ok(match answer {
            -1 => Released::Offline,
            0 => Released::Nothing,
            _ => Released::Early,
        })
    }

    /// `None`: it is the one before, or the user is not announced.
    pub(super) async fn set_status(
        &self,
        redis: &Client,
        user: &UserId,
        status: Status,
    ) -> Result<Option<Shown>, Error> {
        let at: u64 = self
            .status
            .evalsha_with_reload(redis, self.keys.announced(user), status.as_str())
            .await?;
        Ok((at > 0).then_some(Shown { status, at }))
    }

    /// Claims a dead node's users for `reaper`. `false`: the node lives, or another is at it.
    pub(super) async fn claim(
        &self,
        redis: &Client,
        node: &str,
        reaper: &str,
    ) -> Result<bool, Error> {
        let keys = vec![
            self.keys.alive(node),
            self.keys.reaper(node),
            self.keys.gone(node),
        ];
        let args: Vec<Value> = vec![
            reaper.into(),
            CLAIM.as_millis().to_string().into(),
            GONE.as_millis().to_string().into(),
        ];
        self.claim.evalsha_with_reload(redis, keys, args).await
    }
}
