//! The Socket.IO edge: from a TCP connection to a command, and from an event to a TCP connection.
//!
//! In: [`accept`] (our own accept loop over [`line`], the byte stream with a kill switch),
//! [`front`] (is it Engine.IO or REST?), [`server`] (who is it, may they?), [`inbound`] (one
//! bounded queue per connection), [`commands`] (decode, run, answer).
//! Out: [`hub`] (who hears it?), [`room`] (in which order?), [`words`] (in which words?),
//! [`session`] (onto the connection's queue), [`adapter`] (the door into socketioxide).
//! [`peer`] is the other end, [`expiry`] ends connections whose token ran out.

pub mod accept;
pub mod adapter;
pub mod commands;
pub mod expiry;
pub mod front;
pub mod hub;
pub mod inbound;
pub mod line;
pub mod peer;
pub mod room;
pub mod server;
pub mod session;
pub mod words;
