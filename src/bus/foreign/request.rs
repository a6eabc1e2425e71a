//! Requests that Node servers and emitters send to all servers, and the answers that Node servers
//! wait for: as many as listen to the request channel, for five seconds. Whoever listens must
//! answer, or nothing that counts on answers works on any of them.
//!
//! Read from npm `@socket.io/redis-adapter` 8.3 and `@socket.io/redis-emitter` 5.1.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    broadcast::{self, Emit, names, target},
    dropped::Dropped,
    gate::OWN_UID,
    msgpack,
};
use crate::chat::{RawEvent, SocketInfo, Target};

/// How long clients may take for an ack if the request does not say.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest that a request may have them take.
const MAX_PATIENCE: Duration = Duration::from_secs(60);
/// Characters in the id of a request at most; Node's have six.
const MAX_ID: usize = 64;

/// Request and answer types, as Node numbers them.
const SOCKETS: u64 = 0;
const ALL_ROOMS: u64 = 1;
const JOIN: u64 = 2;
const LEAVE: u64 = 3;
const DISCONNECT: u64 = 4;
const FETCH: u64 = 5;
const SERVER_SIDE_EMIT: u64 = 6;
const BROADCAST: u64 = 7;
const CLIENT_COUNT: u64 = 8;
const ACK: u64 = 9;

/// A request's id, by which its answers are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// The ids of connections.
    Sockets(RequestId, Target),
    /// The names of all rooms.
    Rooms(RequestId),
    /// To have connections join rooms.
    Join(Target, Vec<String>),
    /// To have connections leave rooms.
    Leave(Target, Vec<String>),
    /// To close connections.
    Disconnect(Target),
    /// Connections with what is known of them.
    Fetch(RequestId, Target),
    /// An event for servers. With an id they are to answer.
    ServerSideEmit(Option<RequestId>),
    /// To emit and pass on the clients' acks. Even where the event cannot be passed on, an answer
    /// is waited for.
    Broadcast(RequestId, Box<Result<Emit, Dropped>>, Duration),
}

/// Reads a request. `None`: it wants nothing of this server, as those of the gateway's nodes.
pub fn decode(payload: &Bytes) -> Result<Option<Request>, Dropped> {
    let mut attachments = Vec::new();
    let request = broadcast::read(payload, &mut attachments)?;
    if request.get("uid").and_then(Value::as_str) == Some(OWN_UID) {
        return Ok(None);
    }
    let kind = request.get("type").and_then(Value::as_u64);
    let id = || id(&request)?.ok_or(Dropped::Malformed);
    let opts = request.get("opts").unwrap_or(&Value::Null);
    let moved = || {
        // Versions before 6 name one socket and one room instead.
        if opts.is_null() {
            return Err(Dropped::ForeignVersion);
        }
        Ok((target(opts)?, names(request.get("rooms"))?))
    };
    let request = match kind.ok_or(Dropped::Malformed)? {
        SOCKETS => Request::Sockets(id()?, target(&request)?),
        ALL_ROOMS => Request::Rooms(id()?),
        JOIN => moved().map(|(target, rooms)| Request::Join(target, rooms))?,
        LEAVE => moved().map(|(target, rooms)| Request::Leave(target, rooms))?,
        DISCONNECT => moved().map(|(target, _)| Request::Disconnect(target))?,
        FETCH => Request::Fetch(id()?, target(opts)?),
        SERVER_SIDE_EMIT => Request::ServerSideEmit(self::id(&request)?),
        BROADCAST => {
            let packet = request.get("packet").unwrap_or(&Value::Null);
            let emit = match broadcast::emit(packet, opts, &attachments) {
                Ok(Some(emit)) => Ok(emit),
                Ok(None) => return Ok(None),
                Err(why) => Err(why),
            };
            Request::Broadcast(id()?, Box::new(emit), patience(opts))
        }
        CLIENT_COUNT | ACK => return Ok(None),
        _ => return Err(Dropped::ForeignVersion),
    };
    Ok(Some(request))
}

fn id(request: &Value) -> Result<Option<RequestId>, Dropped> {
    match request.get("requestId") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if id.len() <= MAX_ID => Ok(Some(RequestId(id.clone()))),
        Some(_) => Err(Dropped::Malformed),
    }
}

fn patience(opts: &Value) -> Duration {
    opts.get("flags")
        .and_then(|flags| flags.get("timeout")?.as_u64())
        .map_or(PATIENCE, |ms| Duration::from_millis(ms).min(MAX_PATIENCE))
}

/// A [`Request::Leave`] as Node servers send it.
pub fn leave(uid: &str, target: &Target, room: &str) -> Vec<u8> {
    text(&json!({ "uid": uid, "type": LEAVE, "opts": opts(target), "rooms": [room] }))
}

/// A [`Request::Disconnect`] as Node servers send it; with the connection below the socket.
pub fn disconnect(uid: &str, target: &Target) -> Vec<u8> {
    text(&json!({ "uid": uid, "type": DISCONNECT, "opts": opts(target), "close": true }))
}

fn opts(target: &Target) -> Value {
    json!({ "rooms": target.rooms, "except": target.except })
}

/// The answer to [`Request::Sockets`].
pub fn sockets(id: &RequestId, found: &[SocketInfo]) -> Vec<u8> {
    let ids: Vec<_> = found.iter().map(|s| &s.id).collect();
    text(&json!({ "requestId": id.0, "sockets": ids }))
}

/// The answer to [`Request::Rooms`].
pub fn rooms(id: &RequestId, rooms: &HashSet<String>) -> Vec<u8> {
    text(&json!({ "requestId": id.0, "rooms": rooms }))
}

/// The answer to [`Request::Fetch`]. A connection's handshake is not kept, so its parts are empty.
pub fn fetched(id: &RequestId, found: &[SocketInfo]) -> Vec<u8> {
    let sockets: Vec<_> = found.iter().map(socket).collect();
    text(&json!({ "requestId": id.0, "sockets": sockets }))
}

fn socket(info: &SocketInfo) -> Value {
    json!({
        "id": info.id,
        "handshake": { "headers": {}, "auth": {}, "query": {} },
        "rooms": info.rooms,
        "data": {
            "user": { "id": info.user.id, "name": &*info.user.name },
            "dialect": info.dialect,
        },
    })
}

/// The answer to [`Request::ServerSideEmit`]: there is nobody here who could say more.
pub fn heard(id: &RequestId) -> Vec<u8> {
    text(&json!({ "type": SERVER_SIDE_EMIT, "requestId": id.0, "data": null }))
}

/// The first answer to [`Request::Broadcast`]: how many clients may ack. Due even if none.
pub fn client_count(id: &RequestId, count: usize) -> Vec<u8> {
    text(&json!({ "type": CLIENT_COUNT, "requestId": id.0, "clientCount": count }))
}

/// A further answer to [`Request::Broadcast`]: a client's ack, of which one argument counts.
pub fn client_ack(id: &RequestId, ack: &RawEvent) -> Vec<u8> {
    let packet = broadcast::first_argument(ack);
    let answer = json!({ "type": ACK, "requestId": id.0, "packet": packet });
    msgpack::write(&answer, &ack.attachments)
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
