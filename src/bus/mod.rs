//! The way to other nodes: implementations of [`chat::Bus`](crate::chat::Bus).

mod memory;

pub use memory::MemoryBus;
