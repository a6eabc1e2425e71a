//! Takes in what other backends publish, has it done, and answers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;

use super::{
    broadcast::{self, Emit},
    channel::{Channel, Channels},
    dropped::{Dropped, Drops},
    policy::Policy,
    python::{self, Python},
    request::{self, Request},
};
use crate::{
    chat::{OtherServers, RawEmit, RoomNames, Sockets, Target},
    config, telemetry,
};

/// The sender's id in what Porchlight itself publishes for Node servers. All nodes have the same:
/// among themselves they have their own channels.
pub const OWN_UID: &str = "porch1";

/// The way back to other backends. Never blocks; what cannot be published is lost unless it is kept.
pub trait Publisher: Send + Sync + 'static {
    /// Publishes to everyone who listens to the channel, in the order of the calls. With `keep` it
    /// waits for as long as it cannot be published, and may be published twice then.
    fn publish(&self, channel: String, payload: Vec<u8>, keep: bool);
}

/// The channels to listen to all the time.
pub fn control_channels(config: &config::Emitters) -> Vec<String> {
    let channels = Channels::new(&config.key);
    let python = Some(config.python_channel.clone()).filter(|name| !name.is_empty());
    [channels.everybody(), channels.requests()]
        .into_iter()
        .map(str::to_owned)
        .chain(python)
        .collect()
}

/// The names of rooms.
pub fn names(config: &config::Emitters) -> RoomNames {
    RoomNames {
        user_prefix: config.user_prefix.clone(),
        conversation_prefix: config.conversation_prefix.clone(),
    }
}

/// Where everything that other backends publish arrives, in the order in which it did.
pub struct Gate {
    channels: Channels,
    python_channel: Option<String>,
    max_bytes: usize,
    policy: Policy,
    drops: Drops,
    sockets: Arc<dyn Sockets>,
    publisher: Arc<dyn Publisher>,
}

impl Gate {
    /// The gate to these sockets.
    pub fn new(
        config: &config::Emitters,
        sockets: Arc<dyn Sockets>,
        publisher: Arc<dyn Publisher>,
    ) -> Self {
        Self {
            channels: Channels::new(&config.key),
            python_channel: Some(config.python_channel.clone()).filter(|name| !name.is_empty()),
            max_bytes: config.max_bytes,
            policy: Policy::new(config),
            drops: Drops::default(),
            sockets,
            publisher,
        }
    }

    /// Takes one message. `false`: the channel is not one of other backends.
    pub fn take(&self, channel: &str, payload: &Bytes) -> bool {
        let result = match self.channels.parse(channel) {
            _ if self.python_channel.as_deref() == Some(channel) => self.python(payload),
            Some(Channel::Everybody) => self.broadcast(payload, None),
            Some(Channel::Room(room)) => self.broadcast(payload, Some(room)),
            Some(Channel::Requests) => self.request(payload),
            None => return false,
        };
        if let Err(why) = result {
            self.drops.note(why, channel);
        }
        true
    }

    fn bounded(&self, payload: &Bytes) -> Result<(), Dropped> {
        if payload.len() > self.max_bytes {
            return Err(Dropped::TooLarge);
        }
        Ok(())
    }

    fn broadcast(&self, payload: &Bytes, room: Option<&str>) -> Result<(), Dropped> {
        if broadcast::is_from(payload, OWN_UID) {
            return Ok(());
        }
        self.bounded(payload)?;
        match broadcast::decode(payload, room)? {
            Some(broadcast) => self.emit(broadcast.emit),
            None => Ok(()),
        }
    }

    fn emit(&self, emit: Emit) -> Result<(), Dropped> {
        let emit = self.policy.emit(emit)?;
        count("emit");
        self.sockets.emit(&emit);
        Ok(())
    }

    fn python(&self, payload: &Bytes) -> Result<(), Dropped> {
        self.bounded(payload)?;
        match python::decode(payload)? {
            Some(Python::Emit(emit)) => self.emit(emit),
            Some(Python::Disconnect(target)) => self.run(Request::Disconnect(target)),
            Some(Python::Enter(target, rooms)) => self.run(Request::Join(target, rooms)),
            Some(Python::Leave(target, rooms)) => self.run(Request::Leave(target, rooms)),
            None => Ok(()),
        }
    }

    fn request(&self, payload: &Bytes) -> Result<(), Dropped> {
        self.bounded(payload)?;
        match request::decode(payload)? {
            Some(request) => self.run(request),
            None => Ok(()),
        }
    }

    fn run(&self, request: Request) -> Result<(), Dropped> {
        let sockets = &self.sockets;
        match request {
            Request::Sockets(id, target) => {
                count("sockets");
                self.answer(request::sockets(&id, &sockets.list(&target)));
            }
            Request::Rooms(id) => {
                count("rooms");
                self.answer(request::rooms(&id, &sockets.rooms()));
            }
            Request::Fetch(id, target) => {
                count("fetch");
                self.answer(request::fetched(&id, &sockets.list(&target)));
            }
            Request::Join(target, rooms) => {
                let (target, rooms) = (self.policy.target(target)?, self.policy.rooms(rooms)?);
                count("join");
                sockets.join(&target, &rooms);
            }
            Request::Leave(target, rooms) => {
                let (target, rooms) = (self.policy.target(target)?, self.policy.rooms(rooms)?);
                count("leave");
                sockets.leave(&target, &rooms);
            }
            Request::Disconnect(target) => {
                let target = self.policy.target(target)?;
                count("disconnect");
                sockets.disconnect(&target);
            }
            Request::ServerSideEmit(None) => count("server_side_emit"),
            Request::ServerSideEmit(Some(id)) => {
                count("server_side_emit");
                self.answer(request::heard(&id));
            }
            Request::Broadcast(id, emit, patience) => {
                let emit = match emit.and_then(|emit| self.policy.emit(emit)) {
                    Ok(emit) => emit,
                    Err(why) => {
                        self.answer(request::client_count(&id, 0));
                        return Err(why);
                    }
                };
                count("ask");
                let (clients, mut acks) = sockets.ask(&emit, patience);
                self.answer(request::client_count(&id, clients));
                let (publisher, channel) =
                    (self.publisher.clone(), self.channels.responses().to_owned());
                // Not tracked: a stop does not wait for clients to answer.
                tokio::spawn(async move {
                    while let Some(ack) = acks.next().await {
                        publisher.publish(channel.clone(), request::client_ack(&id, &ack), false);
                    }
                });
            }
        }
        Ok(())
    }

    /// On the channel that all servers hear: it is right whatever they have configured.
    fn answer(&self, payload: Vec<u8>) {
        let channel = self.channels.responses().to_owned();
        self.publisher.publish(channel, payload, false);
    }
}

fn count(kind: &'static str) {
    metrics::counter!(telemetry::EMITTERS_IN_TOTAL, "kind" => kind).increment(1);
}

/// Publishes for Node servers as one of them.
pub struct NodeServers {
    channels: Channels,
    publisher: Arc<dyn Publisher>,
}

impl NodeServers {
    /// Those on the channels of this configuration.
    pub fn new(config: &config::Emitters, publisher: Arc<dyn Publisher>) -> Self {
        Self {
            channels: Channels::new(&config.key),
            publisher,
        }
    }

    /// What is asked ends something that would otherwise go on: it is kept.
    fn request(&self, payload: Vec<u8>) {
        let channel = self.channels.requests().to_owned();
        self.publisher.publish(channel, payload, true);
    }
}

impl OtherServers for NodeServers {
    fn tell(&self, emit: &RawEmit) {
        let channel = match broadcast::room_of(&emit.target) {
            Some(room) => self.channels.room(room),
            None => self.channels.everybody().to_owned(),
        };
        let payload = broadcast::encode(OWN_UID, emit);
        self.publisher.publish(channel, payload, false);
    }

    fn leave(&self, target: &Target, room: &str) {
        self.request(request::leave(OWN_UID, target, room));
    }

    fn disconnect(&self, target: &Target) {
        self.request(request::disconnect(OWN_UID, target));
    }
}
