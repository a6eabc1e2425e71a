//! The way to other nodes: implementations of [`chat::Bus`](crate::chat::Bus).

pub mod foreign;
mod memory;

pub use memory::MemoryBus;
