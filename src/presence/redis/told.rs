//! What this node's connections were told about people, as far as it matters: so that nobody is told
//! twice what came by two ways, and what was never told can be found by comparing.
//!
//! Kept per node, not per connection: who asks is told too, and a connection that came later knows
//! no less.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::chat::{PresenceChange, Reach, UserId};

/// What was told.
pub(super) struct Told {
    known: Mutex<Known>,
    /// Rounds for which it is known that somebody was told offline.
    keep: u32,
}

#[derive(Default)]
struct Known {
    /// Those told online, and when last.
    online: BTreeMap<UserId, Instant>,
    /// Those told offline a while ago.
    offline: HashMap<UserId, Gone>,
}

#[derive(Default)]
struct Gone {
    /// Whether it was found out by comparing, so that somebody else may tell it yet.
    found: bool,
    rounds: u32,
}

impl Told {
    /// Nothing yet. `keep`: the rounds in which what others have to tell has certainly come.
    pub(super) fn new(keep: u32) -> Self {
        Self {
            known: Mutex::default(),
            keep,
        }
    }

    /// This node decides to tell a change. Returns who has to hear it.
    pub(super) fn decide(&self, user: &UserId, change: PresenceChange) -> Reach {
        let mut known = self.known.lock();
        let online = change != PresenceChange::Offline;
        let was_told = match online {
            true => known.online.contains_key(user),
            false => known.offline.contains_key(user),
        };
        known.note(user, online);
        match was_told {
            true => Reach::OtherNodes,
            false => Reach::Everybody,
        }
    }

    /// A change is told by this node, to everybody or to those who could be reached.
    pub(super) fn note(&self, user: &UserId, online: bool) {
        self.known.lock().note(user, online);
    }

    /// Another node tells a change. `false`: it was told here.
    pub(super) fn heard(&self, user: &UserId, online: bool) -> bool {
        let mut known = self.known.lock();
        if !online && known.offline.get(user).is_some_and(|gone| gone.found) {
            return false;
        }
        known.note(user, online);
        true
    }

    /// Somebody asked, and these are online.
    pub(super) fn answered<'a>(&self, online: impl Iterator<Item = &'a UserId>) {
        let mut known = self.known.lock();
        let now = Instant::now();
        for user in online {
            known.online.insert(user.clone(), now);
        }
    }

    /// A page of those told online, with when.
    pub(super) fn online(&self, after: Option<&UserId>, most: usize) -> Vec<(UserId, Instant)> {
        let known = self.known.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = known.online.range::<UserId, _>((from, Bound::Unbounded));
        page.take(most).map(|(u, at)| (u.clone(), *at)).collect()
    }

    /// Somebody told online at that time turns out not to be. Returns for how long that was
    /// believed, and `None` if something newer was told meanwhile.
    pub(super) fn is_not(&self, user: &UserId, told: Instant) -> Option<Duration> {
        let mut known = self.known.lock();
        if known.online.get(user) != Some(&told) {
            return None;
        }
        known.online.remove(user);
        let gone = Gone {
            found: true,
            rounds: 0,
        };
        known.offline.insert(user.clone(), gone);
        Some(told.elapsed())
    }

    /// Somebody is online. Returns whether that was not told, and from now on it is.
    pub(super) fn is_new(&self, user: &UserId) -> bool {
        let mut known = self.known.lock();
        let is_new = !known.online.contains_key(user);
        if is_new {
            known.note(user, true);
        }
        is_new
    }

    /// Somebody told online at that time is of no interest any more.
    pub(super) fn forget(&self, user: &UserId, told: Instant) {
        let mut known = self.known.lock();
        if known.online.get(user) == Some(&told) {
            known.online.remove(user);
        }
    }

    /// A round with Redis is over.
    pub(super) fn age(&self) {
        let keep = self.keep;
        self.known.lock().offline.retain(|_, gone| {
            gone.rounds += 1;
            gone.rounds <= keep
        });
    }
}

impl Known {
    fn note(&mut self, user: &UserId, online: bool) {
        if online {
            self.offline.remove(user);
            self.online.insert(user.clone(), Instant::now());
        } else {
            self.online.remove(user);
            self.offline.entry(user.clone()).or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> UserId {
        UserId::trusted("ann")
    }

    #[test]
    fn what_was_told_here_is_told_to_others_alone() {
        let told = Told::new(2);
        for change in [PresenceChange::Online, PresenceChange::Offline] {
            assert_eq!(told.decide(&ann(), change), Reach::Everybody);
            assert_eq!(told.decide(&ann(), change), Reach::OtherNodes);
        }
        assert!(told.heard(&ann(), true));
        assert_eq!(
            told.decide(&ann(), PresenceChange::Online),
            Reach::OtherNodes
        );
    }

    #[test]
    fn what_was_found_out_is_not_told_again() {
        let told = Told::new(2);
        told.answered([&ann()].into_iter());
        let (user, at) = told.online(None, 9).remove(0);
        assert!(told.online(Some(&user), 9).is_empty());
        assert!(told.is_not(&user, at).is_some());
        assert!(told.is_not(&user, at).is_none());
        for _ in 0..2 {
            assert!(!told.heard(&user, false), "once for each who hears it");
        }
        assert!(told.heard(&user, true), "they are back");
        for _ in 0..2 {
            assert!(told.heard(&user, false), "once for each who hears it");
        }
    }

    #[test]
    fn what_is_newer_than_the_look_counts() {
        let told = Told::new(2);
        told.note(&ann(), true);
        let (user, at) = told.online(None, 9).remove(0);
        while Instant::now() == at {}
        told.note(&ann(), true);
        assert!(told.is_not(&user, at).is_none());
        told.forget(&user, at);
        assert_eq!(told.online(None, 9).len(), 1);
    }

    #[test]
    fn who_is_long_gone_is_forgotten() {
        let told = Told::new(1);
        told.note(&ann(), false);
        told.age();
        assert_eq!(
            told.decide(&ann(), PresenceChange::Offline),
            Reach::OtherNodes
        );
        told.age();
        assert_eq!(
            told.decide(&ann(), PresenceChange::Offline),
            Reach::Everybody
        );
    }
}
