//! The names of presence's keys.
//!
//! All keys of a user share one hash slot, and so do all of a node, by hash tags, so that a script
//! never needs two: ids hold no braces, and neither does the prefix.
//!
//! | key | holds |
//! |---|---|
//! | `P:p:{USER}` | hash, there while the user is announced online: `s` the status, `v` when it was set, `t` when a device last left, both in microseconds |
//! | `P:d:{USER}` | set of the user's devices, `NODE/DEVICE` |
//! | `P:n:{NODE}:alive` | there while the node lives; expires |
//! | `P:n:{NODE}:users` | sorted set (all scores 0) of the users with devices on the node, or whose absence it has to settle |
//! | `P:n:{NODE}:reaper` | which node takes a dead one's users over; expires |
//! | `P:n:{NODE}:gone` | that somebody began to; expires |
//! | `P:nodes` | set of the nodes that have users |

use crate::chat::{DeviceId, UserId};

/// Makes the names.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// What scripts about a user take: the announcement, the devices.
    pub(super) fn user(&self, user: &UserId) -> Vec<String> {
        vec![self.announced(user), self.devices(user)]
    }

    pub(super) fn devices(&self, user: &UserId) -> String {
        format!("{}:d:{{{user}}}", self.prefix)
    }

    pub(super) fn announced(&self, user: &UserId) -> String {
        format!("{}:p:{{{user}}}", self.prefix)
    }

    pub(super) fn alive(&self, node: &str) -> String {
        self.node(node, "alive")
    }

    pub(super) fn users(&self, node: &str) -> String {
        self.node(node, "users")
    }

    pub(super) fn reaper(&self, node: &str) -> String {
        self.node(node, "reaper")
    }

    pub(super) fn gone(&self, node: &str) -> String {
        self.node(node, "gone")
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    fn node(&self, node: &str, what: &str) -> String {
        format!("{}:n:{{{node}}}:{what}", self.prefix)
    }
}

/// A device as the set has it.
pub(super) fn member(node: &str, device: &DeviceId) -> String {
    format!("{node}/{device}")
}

/// The device of a member.
pub(super) fn device_of(member: &str) -> Option<DeviceId> {
    member.split_once('/').map(|(_, d)| DeviceId::trusted(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash slot's input, by the rule of the Redis Cluster specification.
    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').expect("a hash tag");
        let (tag, _) = rest.split_once('}').expect("a whole hash tag");
        assert!(!tag.is_empty());
        tag
    }

    #[test]
    fn keys_of_one_thing_share_a_slot() {
        let keys = Keys::new("porchlight");
        let user = UserId::trusted("ann:1");
        assert!(keys.user(&user).iter().all(|key| tag(key) == "ann:1"));
        for key in [
            keys.alive("n1"),
            keys.users("n1"),
            keys.reaper("n1"),
            keys.gone("n1"),
        ] {
            assert_eq!(tag(&key), "n1");
        }
    }

    #[test]
    fn devices_come_back_from_members() {
        let device = DeviceId::trusted("d:1");
        assert_eq!(device_of(&member("n1", &device)), Some(device));
        assert_eq!(device_of("nonsense"), None);
    }
}
