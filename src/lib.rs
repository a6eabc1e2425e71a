//! Porchlight: a horizontally scalable Socket.IO chat gateway.

pub mod auth;
pub mod bus;
pub mod chat;
pub mod config;
pub mod demo;
pub mod dialect;
pub mod presence;
pub mod store;
pub mod telemetry;
