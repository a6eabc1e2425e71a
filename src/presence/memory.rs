//! Presence of a node that runs alone, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::chat::{
    Absence, DeviceId, Presence, PresenceInfo, PresenceNews, Status, Unavailable, UserId,
};

/// Users and their devices. One lock: every operation is a look-up or two.
#[derive(Debug, Default)]
pub struct MemoryPresence {
    users: Mutex<BTreeMap<UserId, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    devices: BTreeSet<DeviceId>,
    announced: bool,
    status: Status,
    absences: u64,
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn enter(&self, user: &UserId, device: &DeviceId) -> Result<bool, Unavailable> {
        let mut users = self.users.lock();
        let entry = users.entry(user.clone()).or_default();
        entry.devices.insert(device.clone());
        Ok(!std::mem::replace(&mut entry.announced, true))
    }

    async fn leave(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<Option<Absence>, Unavailable> {
        let mut users = self.users.lock();
        let Some(entry) = users.get_mut(user) else {
            return Ok(None);
        };
        if !entry.devices.remove(device) || !entry.devices.is_empty() {
            return Ok(None);
        }
        entry.absences += 1;
        Ok(Some(Absence(entry.absences)))
    }

    async fn settle(&self, user: &UserId, absence: Absence) -> Result<bool, Unavailable> {
        let mut users = self.users.lock();
        match users.get(user) {
            Some(e) if e.devices.is_empty() && e.absences == absence.0 => {
                let announced = e.announced;
                users.remove(user);
                Ok(announced)
            }
            _ => Ok(false),
        }
    }

    async fn set_status(&self, user: &UserId, status: Status) -> Result<bool, Unavailable> {
        let mut users = self.users.lock();
        match users.get_mut(user) {
            Some(entry) => Ok(std::mem::replace(&mut entry.status, status) != status),
            None => Ok(false),
        }
    }

    async fn get(&self, wanted: &[UserId]) -> Result<Vec<PresenceInfo>, Unavailable> {
        let users = self.users.lock();
        let info = |user: &UserId| {
            let entry = users.get(user).filter(|e| e.announced);
            PresenceInfo {
                user: user.clone(),
                online: entry.is_some(),
                status: entry.map_or(Status::Offline, |e| e.status),
                last_seen: None,
            }
        };
        Ok(wanted.iter().map(info).collect())
    }

    async fn devices(&self, user: &UserId) -> Result<Vec<DeviceId>, Unavailable> {
        let users = self.users.lock();
        Ok(users
            .get(user)
            .map(|e| e.devices.iter().cloned().collect())
            .unwrap_or_default())
    }

    async fn changes(&self) -> Vec<PresenceNews> {
        // Nobody else is there to change anything.
        std::future::pending().await
    }

    fn heard(&self, _: &UserId, _: bool) -> bool {
        true
    }

    fn missed(&self) {}

    fn concerns(&self, _: Vec<UserId>) {}

    async fn close(&self) {}

    async fn online(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, Unavailable> {
        let users = self.users.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(users
            .range::<UserId, _>((from, Bound::Unbounded))
            .filter(|(_, e)| e.announced)
            .map(|(user, _)| user.clone())
            .take(limit as usize)
            .collect())
    }
}
