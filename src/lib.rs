//! Porchlight: a horizontally scalable Socket.IO chat gateway.

pub mod auth;
pub mod chat;
pub mod cli;
pub mod config;
pub mod limits;
pub mod shutdown;
pub mod telemetry;
