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

use futures_util::{Stream, StreamExt};
use socketioxide::adapter::Emitter;
use socketioxide_core::{
    Sid, Value,
    adapter::{
        BroadcastOptions, CoreAdapter, CoreLocalAdapter, DefinedAdapter, SocketEmitter,
        errors::SocketError,
    },
    packet::Packet,
};

use super::{frame, outlet::SendFailed};
use crate::chat::RawEvent;

const NAMESPACE: &str = "/";

/// Where a path's adapter leaves its handle once socketioxide has made it.
pub type Slot = Arc<OnceLock<Door>>;

/// Sends to the connections of one Socket.IO path.
#[derive(Clone)]
pub struct Door(Arc<CoreLocalAdapter<Emitter>>);

impl Door {
    /// Queues a packet in socketioxide's own queue of the connection.
    pub fn send(&self, to: Sid, packet: &frame::Packet) -> Result<(), SendFailed> {
        let packet = match packet.ack_id() {
            None => event(packet),
            Some(id) => Packet::ack(NAMESPACE, data(packet), id),
        };
        let failed = |errors: Vec<SocketError>| match errors.first() {
            Some(SocketError::InternalChannelFull) => SendFailed::Full,
            _ => SendFailed::Closed,
        };
        self.0
            .broadcast(packet, BroadcastOptions::new(to))
            .map_err(failed)
    }

    /// Queues an event that asks for an ack there, and waits for it.
    pub fn ask(
        &self,
        to: Sid,
        packet: &frame::Packet,
        patience: Duration,
    ) -> impl Stream<Item = RawEvent> + Send + use<> {
        let (acks, _) =
            self.0
                .broadcast_with_ack(event(packet), BroadcastOptions::new(to), Some(patience));
        acks.filter_map(async |(_, ack)| match ack {
            Ok(Value::Str(data, attachments)) => Some(RawEvent {
                data: (&*data).into(),
                attachments: attachments.into_iter().flatten().collect(),
            }),
            _ => None,
        })
    }
}

fn event(packet: &frame::Packet) -> Packet {
    Packet::event(NAMESPACE, data(packet))
}

fn data(packet: &frame::Packet) -> Value {
    let attachments = packet.attachments();
    let attachments = (!attachments.is_empty()).then(|| attachments.iter().cloned().collect());
    Value::Str(packet.data().clone(), attachments)
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
