//! The Socket.IO edge: from a TCP connection to a command, and from an event to a TCP connection.
//!
//! In: [`accept`] (our own accept loop over [`mod@line`], the TCP connection with a kill switch, and
//! [`wire`], what is read from it, inflated by [`inflate`]), [`front`] (is it Engine.IO or REST?),
//! [`server`] and [`seat`] (who is it, may they?), [`inbound`] (one bounded queue per connection),
//! [`commands`] (decode, run, answer).
//! Out: [`deliver`] over [`hub`] (who hears it?), [`room`] (in which order?), [`words`] (in which
//! words?), [`session`] (to this connection), [`peer`] (which way?), then [`outlet`] (straight to the
//! WebSocket, as one [`frame`] for all, compressed by [`deflate`]) or [`adapter`] (the door into
//! socketioxide, for those that poll).
//! What other backends emit in their own words, and how they move connections between rooms of
//! their own making, comes in by [`foreign`] and [`named`]; [`node_servers`] tells them in turn.
//! Beside them: [`follow`] (connections that join nothing and hear everything), [`handed`] (what
//! counts as delivered to them), [`roster`] (who is online, to those told of all), [`heal`] (after other
//! nodes were out of reach), [`expiry`] (ends connections whose token ran out), [`obey`] (ends those that are sent away).

pub mod accept;
pub mod adapter;
pub mod commands;
pub mod deflate;
pub mod deliver;
pub mod drain;
pub mod expiry;
pub mod follow;
pub mod foreign;
pub mod frame;
pub mod front;
pub mod handed;
pub mod heal;
pub mod hub;
pub mod inbound;
pub mod inflate;
pub mod line;
pub mod named;
pub mod node_servers;
mod notified;
pub mod obey;
pub mod outlet;
pub mod peer;
pub mod room;
pub mod roster;
pub mod seat;
pub mod server;
pub mod session;
pub mod wire;
pub mod words;
