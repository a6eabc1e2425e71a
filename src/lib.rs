//! Porchlight: a horizontally scalable Socket.IO chat gateway.

pub mod app;
pub mod auth;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dialect;
pub mod http;
pub mod limits;
pub mod presence;
pub mod run;
pub mod seed;
pub mod shutdown;
pub mod socket;
pub mod store;
pub mod telemetry;
