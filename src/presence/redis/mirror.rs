//! What this node knows of its own users: what it has to tell Redis again when Redis forgot, and all
//! that there is to answer from while Redis is away.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::scripts::{Asserted, Left, Shown};
use crate::chat::{DeviceId, Status, UserId};

/// The users with devices on this node, and those whose last device here left a short while ago.
#[derive(Default)]
pub(super) struct Mirror {
    users: Mutex<BTreeMap<UserId, Own>>,
}

/// A user, as this node knows them.
#[derive(Default)]
struct Own {
    /// The devices on this node.
    devices: BTreeSet<DeviceId>,
    /// Devices that left while Redis could not be told.
    stale: Vec<DeviceId>,
    shown: Shown,
    /// Whether the user set it while Redis could not be told.
    restated: bool,
    /// Whether this node's clients see the user online.
    announced: bool,
    /// Whether Redis, and so the other nodes, were told that.
    known: bool,
    /// Whether Redis was told of every device since it last forgot anything.
    asserted: bool,
    /// Whether there were devices on other nodes when Redis was last heard.
    elsewhere: bool,
    /// The latest absence.
    absence: u64,
    /// Since when there are no devices here.
    left: Option<Instant>,
    /// Whether that absence is nothing to settle any more.
    over: bool,
}

/// What was known of a user when a device came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// The user was not here.
    Nothing,
    /// Nobody was told that they are online, or no device was here to go by.
    Unannounced,
    /// This node's clients were.
    Announced,
    /// The other nodes were, too.
    Known,
}

/// A user of whom Redis has to be told again.
pub(super) struct Unasserted {
    pub(super) user: UserId,
    pub(super) devices: Vec<DeviceId>,
    pub(super) shown: Shown,
    /// Whether the user set it while Redis could not be told.
    pub(super) restated: bool,
    /// Whether the other nodes were told that the user is online.
    pub(super) known: bool,
}

/// A user without devices here whose absence is not settled.
pub(super) struct Unsettled {
    pub(super) user: UserId,
    pub(super) stale: Vec<DeviceId>,
}

impl Mirror {
    /// A device came. Returns what was known of the user.
    pub(super) fn enter(&self, user: &UserId, device: &DeviceId) -> Before {
        let mut users = self.users.lock();
        let before = match users.get(user) {
            None => Before::Nothing,
            Some(own) if own.devices.is_empty() || !own.announced => Before::Unannounced,
            Some(own) if !own.known => Before::Announced,
            Some(_) => Before::Known,
        };
        let own = users.entry(user.clone()).or_default();
        own.devices.insert(device.clone());
        own.left = None;
        own.over = false;
        before
    }

    /// Redis was told of a device.
    pub(super) fn entered(&self, user: &UserId, found: &Asserted) {
        if let Some(own) = self.users.lock().get_mut(user) {
            own.announced = true;
            own.known = true;
            own.elsewhere = found.devices > own.devices.len();
            if !own.restated {
                own.shown = found.shown;
            }
        }
    }

    /// A user of whom Redis was told for the first time since it last forgot anything.
    pub(super) fn is_asserted(&self, user: &UserId) {
        if let Some(own) = self.users.lock().get_mut(user) {
            own.asserted = true;
        }
    }

    /// Redis could not be told of a device. Returns whether the user is online from now on, as far
    /// as this node knows.
    pub(super) fn entered_alone(&self, user: &UserId) -> bool {
        match self.users.lock().get_mut(user) {
            Some(own) => {
                own.asserted = false;
                !std::mem::replace(&mut own.announced, true)
            }
            None => false,
        }
    }

    /// A device left. Returns whether it was the user's last one here.
    pub(super) fn leave(&self, user: &UserId, device: &DeviceId) -> bool {
        let mut users = self.users.lock();
        let Some(own) = users.get_mut(user) else {
            return false;
        };
        let last = own.devices.remove(device) && own.devices.is_empty();
        if last {
            own.left = Some(Instant::now());
        }
        last
    }

    /// Redis was told of it.
    pub(super) fn left(&self, user: &UserId, left: Left) {
        if let Some(own) = self.users.lock().get_mut(user) {
            match left {
                Left::Last(absence) => own.absence = absence,
                Left::Others => own.over = own.left.is_some() && own.stale.is_empty(),
                // Whether somebody has to be told is found out after the next heartbeat.
                Left::Unknown => {}
            }
        }
    }

    /// Redis could not be told of it. Returns the absence's number if it was the `last` device here
    /// and, as far as this node knows, everywhere.
    pub(super) fn left_alone(&self, user: &UserId, device: &DeviceId, last: bool) -> Option<u64> {
        let mut users = self.users.lock();
        let own = users.get_mut(user)?;
        own.stale.push(device.clone());
        if !last || own.elsewhere {
            return None;
        }
        // Numbers that Redis gives are times: these are always lower.
        own.absence = own.absence % (1 << 32) + 1;
        Some(own.absence)
    }

    /// Redis was asked to end an announcement.
    pub(super) fn settled(&self, user: &UserId, ended: bool) {
        if let Some(own) = self.users.lock().get_mut(user)
            && own.devices.is_empty()
            && ended
        {
            own.announced = false;
            own.known = false;
            own.over = own.stale.is_empty();
        }
    }

    /// Redis could not be asked. Returns whether the announcement ends, as far as this node knows.
    pub(super) fn settled_alone(&self, user: &UserId, absence: u64) -> bool {
        match self.users.lock().get_mut(user) {
            Some(own) if own.devices.is_empty() && own.absence == absence && !own.elsewhere => {
                own.shown = Shown::default();
                std::mem::take(&mut own.announced)
            }
            _ => false,
        }
    }

    /// The status that Redis holds of a user, where it is a user of this node.
    pub(super) fn shows(&self, user: &UserId, shown: Shown) {
        if let Some(own) = self.users.lock().get_mut(user)
            && own.shown.at <= shown.at
        {
            own.shown = shown;
        }
    }

    /// Redis could not be told of a status. Returns whether it changed, as far as this node knows.
    pub(super) fn restate(&self, user: &UserId, status: Status) -> bool {
        match self.users.lock().get_mut(user) {
            Some(own) if own.announced => {
                own.asserted = false;
                own.restated = true;
                std::mem::replace(&mut own.shown.status, status) != status
            }
            _ => false,
        }
    }

    /// The status of a user who is online, as far as this node knows.
    pub(super) fn status(&self, user: &UserId) -> Option<Status> {
        let users = self.users.lock();
        users
            .get(user)
            .filter(|o| o.announced)
            .map(|o| o.shown.status)
    }

    /// A user's devices on this node.
    pub(super) fn devices(&self, user: &UserId) -> Vec<DeviceId> {
        let users = self.users.lock();
        let own = users.get(user).map(|o| o.devices.iter().cloned().collect());
        own.unwrap_or_default()
    }

    /// Users who are online, as far as this node knows.
    pub(super) fn online(&self, after: Option<&UserId>, limit: usize) -> Vec<UserId> {
        let users = self.users.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        users
            .range::<UserId, _>((from, Bound::Unbounded))
            .filter(|(_, own)| own.announced)
            .map(|(user, _)| user.clone())
            .take(limit)
            .collect()
    }

    // --- What is to be told to Redis -----------------------------------------------------------

    /// Redis forgot everything, or this node goes on under another name.
    pub(super) fn forget_assertions(&self) {
        for own in self.users.lock().values_mut() {
            own.asserted = false;
            // Under the old name.
            own.stale.clear();
        }
    }

    /// Redis may have forgotten something.
    pub(super) fn doubt(&self) {
        for own in self.users.lock().values_mut() {
            own.asserted = false;
        }
    }

    /// Those of whom Redis has to be told: with devices, or announced online by others' knowledge.
    pub(super) fn unasserted(&self, known_only: bool, most: usize) -> Vec<Unasserted> {
        let users = self.users.lock();
        let due = users.iter().filter(|(_, own)| {
            !own.asserted && !own.over && (own.known || (!known_only && !own.devices.is_empty()))
        });
        due.take(most)
            .map(|(user, own)| Unasserted {
                user: user.clone(),
                devices: own.devices.iter().cloned().collect(),
                shown: own.shown,
                restated: own.restated,
                known: own.known,
            })
            .collect()
    }

    /// Redis was told of these devices of the user. One that left meanwhile is left over, and one
    /// that came meanwhile told of itself.
    pub(super) fn asserted(&self, told: &Unasserted, found: &Asserted) {
        if let Some(own) = self.users.lock().get_mut(&told.user) {
            own.asserted = true;
            own.restated = false;
            own.known = true;
            own.announced = true;
            own.elsewhere = found.devices > own.devices.len();
            let devices = &own.devices;
            let gone = told.devices.iter().filter(|d| !devices.contains(*d));
            own.stale.extend(gone.cloned());
        }
    }

    /// Somebody else announced the user offline, and nothing of theirs is here.
    pub(super) fn is_over(&self, user: &UserId) {
        if let Some(own) = self.users.lock().get_mut(user)
            && own.devices.is_empty()
        {
            own.announced = false;
            own.known = false;
            own.over = true;
        }
    }

    /// Those who have no devices here for longer than `than`, and whose absence nobody settled; and
    /// those with devices that Redis may still have though they left.
    pub(super) fn unsettled(&self, than: Duration, most: usize) -> Vec<Unsettled> {
        let users = self.users.lock();
        let due = users.iter().filter(|(_, own)| match own.left {
            Some(left) => !own.over && left.elapsed() >= than,
            None => !own.stale.is_empty(),
        });
        due.take(most)
            .map(|(user, own)| Unsettled {
                user: user.clone(),
                stale: own.stale.clone(),
            })
            .collect()
    }

    /// The devices of `released` that had left are gone from Redis too, and unless the absence was
    /// too `early` there is nothing to settle.
    pub(super) fn released(&self, released: &Unsettled, early: bool) {
        if let Some(own) = self.users.lock().get_mut(&released.user) {
            own.stale.retain(|d| !released.stale.contains(d));
            if own.left.is_some() && own.stale.is_empty() && !early {
                own.announced = false;
                own.known = false;
                own.over = true;
            }
        }
    }

    /// Forgets those who are gone for good, and returns them.
    pub(super) fn take_over(&self, most: usize) -> Vec<UserId> {
        let mut users = self.users.lock();
        let over: Vec<_> = users
            .iter()
            .filter(|(_, own)| own.over && own.devices.is_empty())
            .map(|(user, _)| user.clone())
            .take(most)
            .collect();
        for user in &over {
            users.remove(user);
        }
        over
    }

    /// Whether there is nobody to tell Redis of.
    pub(super) fn is_empty(&self) -> bool {
        self.users.lock().is_empty()
    }

    /// Those of these users who are here.
    pub(super) fn present(&self, users: &[UserId]) -> Vec<UserId> {
        let own = self.users.lock();
        users
            .iter()
            .filter(|u| own.contains_key(*u))
            .cloned()
            .collect()
    }
}
