//! Emits from other backends, as Socket.IO's own packages put them on Redis: npm
//! `@socket.io/redis-emitter`, Node servers with `@socket.io/redis-adapter`, PyPI `python-socketio`
//! and what other languages have of them.
//!
//! [`channel`] knows the channels' names, [`msgpack`] the values, [`broadcast`], [`request`] and
//! [`python`] the messages, [`policy`] what is allowed, [`dropped`] what becomes of the rest.
//! [`gate`] takes messages in, has them done by [`Sockets`](crate::chat::Sockets) and answers.
//!
//! Nothing of that knows Redis, and nothing that arrives can do worse than be dropped. [`link`] is
//! the way to and from Redis.

pub mod broadcast;
pub mod channel;
pub mod dropped;
pub mod gate;
pub mod link;
pub mod msgpack;
pub mod policy;
pub mod python;
pub mod request;

pub use gate::{Gate, NodeServers, Publisher, names};
pub use link::{Link, WithEmitters};
