//! One binary with every integration test: one link, and suites can share private servers.

mod support;

mod auth;
mod balancers;
mod blobs;
mod bus;
mod chaos;
mod clients;
mod cluster;
mod config;
mod control;
mod demo;
mod dialect;
mod edge;
mod emitters;
mod files;
mod growth;
mod http;
mod presence;
mod redis;
mod shutdown;
mod store;
mod structure;
