//! Porchlight: a horizontally scalable Socket.IO chat gateway. This is the map.
//!
//! # Where things are
//! - [`chat`] is the domain: what a conversation is, the ports to the world, the use cases. It
//!   knows no transport and no database.
//! - On it stand the parts: [`dialect`] (clients' words), [`store`] (SQLite, PostgreSQL),
//!   [`blobs`] (the bytes of uploads), [`bus`] and [`presence`] (other nodes, over [`redis`]),
//!   [`auth`] (who is who), [`limits`] (how much is too much).
//! - On those stand the edges: [`socket`] (Socket.IO), [`http`] (REST, operators), [`demo`].
//! - [`app`] puts it together and is the only file that chooses backends; [`run`] is what the
//!   commands of [`cli`] do; [`config`], [`telemetry`], [`shutdown`] and [`seed`] help.
//!
//! # The life of a message
//! [`socket::inbound`] takes the raw event, [`socket::commands`] has the dialect decode it and runs
//! it, `chat::send` validates, [`store`] commits it together with others and gives it its `seq`,
//! `chat::service` announces it to [`socket::hub`] and the bus ([`bus::redis`], by which the hubs of
//! other nodes get it), [`socket::room`] puts it in order, [`socket::words`] has each dialect encode
//! it once, [`socket::session`] queues it for each connection.
//!
//! # Invariants
//! - An ack to a send means that the message is committed.
//! - `seq` has no gaps, in the store and at every connection; what a connection cannot be given in
//!   order it is not given: it is closed and resumes.
//! - Every queue is bounded, and a full one is never silent.
//! - No lock is held across an await, and no event name is written in Rust.

pub mod app;
pub mod auth;
pub mod blobs;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dialect;
pub mod http;
pub mod limits;
pub mod presence;
pub mod redis;
pub mod run;
pub mod seed;
pub mod shutdown;
pub mod socket;
pub mod store;
pub mod telemetry;
