//! Porchlight: a horizontally scalable Socket.IO chat gateway.

pub mod auth;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dialect;
pub mod limits;
pub mod presence;
pub mod shutdown;
pub mod store;
pub mod telemetry;
