//! The one door through which bytes reach a socket: pre-encoded text to one connection, with an
//! error that says what happened to that connection.
//!
//! Socketioxide's own broadcast says that some socket of a room was full, but not which one, and
//! its `emit` encodes anew for each socket. Its adapter can do both things needed; implementing
//! the adapter is the way to hold it. Rooms are the hub's, not the adapter's.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use socketioxide::adapter::Emitter;
use socketioxide_core::{
    Sid, Str, Value,
    adapter::{
        BroadcastOptions, CoreAdapter, CoreLocalAdapter, DefinedAdapter, SocketEmitter,
        errors::SocketError,
    },
    packet::Packet,
};

const NAMESPACE: &str = "/";

/// Why a packet was not queued for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendFailed {
    /// Its queue is full: it is behind, and this packet is lost to it.
    #[error("the connection's send queue is full")]
    Full,
    /// It is closed.
    #[error("the connection is closed")]
    Closed,
}

/// Where a path's adapter leaves its handle once socketioxide has made it.
pub type Slot = Arc<OnceLock<Door>>;

/// Sends to the connections of one Socket.IO path.
#[derive(Clone)]
pub struct Door(Arc<CoreLocalAdapter<Emitter>>);

impl Door {
    /// Queues an event: `data` is the JSON array text `["name", ...]`.
    pub fn event(&self, to: Sid, data: &Str) -> Result<(), SendFailed> {
        self.send(to, Packet::event(NAMESPACE, Value::Str(data.clone(), None)))
    }

    /// Queues an ack: `args` is the JSON array text of its arguments.
    pub fn ack(&self, to: Sid, id: i64, args: String) -> Result<(), SendFailed> {
        self.send(
            to,
            Packet::ack(NAMESPACE, Value::Str(args.into(), None), id),
        )
    }

    fn send(&self, to: Sid, packet: Packet) -> Result<(), SendFailed> {
        let failed = |errors: Vec<SocketError>| match errors.first() {
            Some(SocketError::InternalChannelFull) => SendFailed::Full,
            _ => SendFailed::Closed,
        };
        self.0
            .broadcast(packet, BroadcastOptions::new(to))
            .map_err(failed)
    }
}

/// Socketioxide's local adapter, shared with a [`Slot`].
pub struct EdgeAdapter(Arc<CoreLocalAdapter<Emitter>>);

impl CoreAdapter<Emitter> for EdgeAdapter {
    type Error = Infallible;
    type State = Slot;
    type AckStream = <Emitter as SocketEmitter>::AckStream;
    type InitRes = ();

    fn new(slot: &Self::State, local: CoreLocalAdapter<Emitter>) -> Self {
        let local = Arc::new(local);
        // Called once per namespace, and there is one namespace.
        let _ = slot.set(Door(local.clone()));
        Self(local)
    }

    fn init(self: Arc<Self>, on_success: impl FnOnce() + Send + 'static) -> Self::InitRes {
        on_success();
    }

    async fn broadcast_with_ack(
        &self,
        packet: Packet,
        opts: BroadcastOptions,
        timeout: Option<Duration>,
    ) -> Result<Self::AckStream, Self::Error> {
        Ok(self.0.broadcast_with_ack(packet, opts, timeout).0)
    }

    fn get_local(&self) -> &CoreLocalAdapter<Emitter> {
        &self.0
    }
}

impl DefinedAdapter for EdgeAdapter {}
