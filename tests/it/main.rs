//! x
mod support;
mod clients;
mod demo;
