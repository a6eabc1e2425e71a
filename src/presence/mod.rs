//! Who is connected: implementations of [`chat::Presence`](crate::chat::Presence).

mod memory;
mod redis;

pub use memory::MemoryPresence;
pub use redis::{PresenceTimes, RedisPresence};
