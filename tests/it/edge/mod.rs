//! The Socket.IO edge against the hazards of what it is built on. Each test fails without its
//! guard; the name says which hazard.

mod admission;
mod drain;
mod follow;
mod limits;
mod online;
mod order;
mod readers;
mod removal;
pub mod transport;
mod trust;
