//! The way to other nodes: implementations of [`chat::Bus`](crate::chat::Bus).

mod memory;
pub mod redis;
pub mod wire;

pub use self::redis::RedisBus;
pub use memory::MemoryBus;
