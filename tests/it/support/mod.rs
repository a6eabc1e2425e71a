//! What tests share: private servers on free ports in temporary folders.

pub mod balancer;
pub mod gateway;
pub mod line;
pub mod node;
pub mod nodes;
pub mod postgres;
pub mod redis;
pub mod sio;
pub mod watched;
