//! Messages that will come again, although everybody here who is not in their room was notified:
//! they were delivered while other nodes could not be reached.

use std::collections::{HashSet, VecDeque};

use parking_lot::RwLock;

use crate::chat::MessageId;

/// Messages remembered at most, the newest: about 10 MB.
const CAPACITY: usize = 100_000;

/// See the module.
#[derive(Default)]
pub(super) struct Notified(RwLock<Remembered>);

#[derive(Default)]
struct Remembered {
    known: HashSet<MessageId>,
    /// Oldest first.
    order: VecDeque<MessageId>,
}

impl Notified {
    pub(super) fn contains(&self, message: &MessageId) -> bool {
        self.0.read().known.contains(message)
    }

    pub(super) fn note(&self, message: &MessageId) {
        let mut remembered = self.0.write();
        if !remembered.known.insert(message.clone()) {
            return;
        }
        remembered.order.push_back(message.clone());
        if remembered.order.len() > CAPACITY
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let notified = Notified::default();
        let id = |n: usize| MessageId::trusted(n.to_string());
        for n in 0..=CAPACITY {
            notified.note(&id(n));
            notified.note(&id(n));
        }
        assert!(!notified.contains(&id(0)));
        assert!(notified.contains(&id(1)) && notified.contains(&id(CAPACITY)));
    }
}
