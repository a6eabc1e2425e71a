//! Porchlight: a horizontally scalable Socket.IO chat gateway.

pub mod auth;
pub mod chat;
pub mod config;
pub mod demo;
pub mod telemetry;
