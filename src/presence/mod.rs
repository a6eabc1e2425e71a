//! Who is connected: implementations of [`chat::Presence`](crate::chat::Presence).

mod memory;

pub use memory::MemoryPresence;
