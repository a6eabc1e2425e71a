//! Emits from other backends: the bytes of the real packages, hostile ones, and the packages
//! themselves against real nodes.

mod bytes;
mod gate;
mod hostile;
mod packages;
mod ready;
