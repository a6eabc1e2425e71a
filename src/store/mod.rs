//! The durable truth: [`chat::Store`](crate::chat::Store) on SQLite and on PostgreSQL.
//!
//! Everything is written once over an `engine`, the little in which the databases differ
//! (`sqlite`, `postgres`). Appends, receipts and last-seen times go through the `committer`,
//! which lets many of them share a transaction; `commit` is what happens inside. Other changes
//! have a transaction each (`conversations`, `users`, `uploads`, `orders`); reads have none (`messages`,
//! `search`).

mod attachments;
mod batch;
mod commit;
mod committer;
mod connections;
mod conversations;
mod core;
mod direct;
mod engine;
mod failure;
mod indexer;
mod members;
mod messages;
mod open;
mod orders;
mod outbox;
mod port;
mod postgres;
mod rows;
mod search;
mod session;
mod sqlite;
mod text;
mod uploads;
mod users;

pub use open::{OpenError, describe, migrate, open};
