//! Porchlight: a horizontally scalable Socket.IO chat gateway.

pub mod chat;
pub mod config;
pub mod dialect;
pub mod telemetry;
