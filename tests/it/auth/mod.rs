//! Identity: which tokens are accepted, which are refused and why, where they are looked for.

mod configuration;
mod credentials;
mod fuzz;
mod jwks;
mod key_server;
mod mint;
mod nextauth;
mod public_keys;
mod revoked;
mod support;
mod tokens;
