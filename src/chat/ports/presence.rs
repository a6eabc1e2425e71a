//! The port to whatever knows who is connected.

use std::time::Duration;

use async_trait::async_trait;

use super::Unavailable;
use crate::chat::{DeviceId, PresenceChange, PresenceInfo, Status, UserId};

/// A time without devices, numbered per user, so that a grace that began with an earlier one does
/// not end a later one too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence(pub u64);

/// A change that no caller of another method was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceNews {
    /// Whose.
    pub user: UserId,
    /// What changed.
    pub change: PresenceChange,
    /// Who has to hear it.
    pub reach: Reach,
}

/// Whose connections have to hear of a change, so that each hears it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All.
    Everybody,
    /// Those of the other nodes: this one's heard it while the others could not be reached.
    OtherNodes,
    /// Those of this node: it was lost on its way here, and other nodes find out for themselves.
    ThisNode {
        /// For how long this node's connections have believed otherwise.
        believed: Duration,
    },
}

/// Who is connected, over all devices and nodes.
///
/// # Contract
/// A user is *announced* online or not. [`Presence::enter`] and [`Presence::settle`] change that
/// atomically, and exactly one caller is told `true` per change, so that one online and one
/// offline is announced per user however many devices and nodes are involved.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// Adds a device. `true`: the user was not announced online and is from now on.
    async fn enter(&self, user: &UserId, device: &DeviceId) -> Result<bool, Unavailable>;

    /// Removes a device. `Some`: it was the last one, and the caller settles this absence after the
    /// grace.
    async fn leave(&self, user: &UserId, device: &DeviceId)
    -> Result<Option<Absence>, Unavailable>;

    /// `true`: the absence lasts, and the user is announced online no more. `false`: a device came
    /// back, though it may have left again, which is an absence of its own.
    async fn settle(&self, user: &UserId, absence: Absence) -> Result<bool, Unavailable>;

    /// Sets the status that the user shows on all devices; it lasts until the user is announced
    /// offline. `true` if it differs from the one before.
    async fn set_status(&self, user: &UserId, status: Status) -> Result<bool, Unavailable>;

    /// How these users are, in the order asked for. `last_seen` is not known here and is `None`.
    async fn get(&self, users: &[UserId]) -> Result<Vec<PresenceInfo>, Unavailable>;

    /// The user's devices.
    async fn devices(&self, user: &UserId) -> Result<Vec<DeviceId>, Unavailable>;

    /// Waits for changes that no caller of another method was told of, such as of users whose node
    /// died. The caller announces each.
    async fn changes(&self) -> Vec<PresenceNews>;

    /// Another node announces a user online or not. `false`: this node's connections know, and are
    /// not told again.
    fn heard(&self, user: &UserId, online: bool) -> bool;

    /// Announcements of other nodes may have been missed: what this node's connections were told is
    /// compared with what is true, as soon as that is known.
    fn missed(&self);

    /// These users share conversations that this node's connections are in, and announcements may
    /// have been missed: whoever of them is online and was not said to be is told to them as well.
    fn concerns(&self, users: Vec<UserId>);

    /// This node goes and changes nothing any more: what its users' devices leave behind is for the
    /// other nodes to settle.
    async fn close(&self);

    /// Users announced online, by id, after `after`, at most `limit`.
    async fn online(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, Unavailable>;
}
