//! Broadcasts, `[uid, packet, opts]` in MessagePack: to one room on its channel, to several or to
//! everybody on the namespace's.
//!
//! Read from npm `@socket.io/redis-adapter` 8.3 and `@socket.io/redis-emitter` 5.1, with what other
//! languages' emitters leave out or write otherwise.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    channel::NAMESPACE,
    dropped::Dropped,
    msgpack::{self, placeholder, placeholder_num},
};
use crate::chat::{RawEmit, RawEvent, Target};

/// Socket.IO's packet types EVENT and BINARY_EVENT.
const EVENTS: [u64; 2] = [2, 5];

/// A broadcast and who sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Broadcast {
    /// The sending server's id; `emitter` from those that are none.
    pub uid: String,
    /// What it says.
    pub emit: Emit,
}

/// An event of another backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Emit {
    /// The event's name.
    pub name: Arc<str>,
    /// What is to be delivered, and to whom.
    pub raw: RawEmit,
}

/// Reads JSON, which begins with a bracket, or MessagePack, which does not: no array or map of
/// MessagePack begins with these bytes.
pub fn read(payload: &Bytes, attachments: &mut Vec<Bytes>) -> Result<Value, Dropped> {
    match payload.first() {
        Some(b'{' | b'[') => serde_json::from_slice(payload).map_err(|_| Dropped::Malformed),
        _ => msgpack::read(payload, attachments),
    }
}

/// A broadcast to everybody or several rooms, or to this one room, whose channel it came by.
/// `None`: it is for another namespace.
pub fn decode(payload: &Bytes, room: Option<&str>) -> Result<Option<Broadcast>, Dropped> {
    let mut attachments = Vec::new();
    let message = read(payload, &mut attachments)?;
    let Value::Array(parts) = message else {
        return Err(match message {
            Value::Object(_) => Dropped::ForeignVersion,
            _ => Dropped::Malformed,
        });
    };
    let (Some(Value::String(uid)), Some(packet)) = (parts.first(), parts.get(1)) else {
        return Err(Dropped::Malformed);
    };
    let opts = parts.get(2).unwrap_or(&Value::Null);
    let Some(mut emit) = emit(packet, opts, &attachments)? else {
        return Ok(None);
    };
    if let Some(room) = room {
        // Some emitters publish on the channel of each room with the names of all of them.
        emit.raw.target.rooms = vec![room.to_owned()];
    }
    Ok(Some(Broadcast {
        uid: uid.clone(),
        emit,
    }))
}

/// A packet with its options, of a broadcast or a request. `None`: it is for another namespace.
pub fn emit(packet: &Value, opts: &Value, attachments: &[Bytes]) -> Result<Option<Emit>, Dropped> {
    match packet.get("nsp") {
        None | Some(Value::Null) => {}
        Some(Value::String(nsp)) if nsp == NAMESPACE => {}
        Some(_) => return Ok(None),
    }
    let kind = packet.get("type").and_then(Value::as_u64);
    if !kind.is_some_and(|kind| EVENTS.contains(&kind)) {
        return Err(Dropped::Malformed);
    }
    let data = packet.get("data").unwrap_or(&Value::Null);
    let (name, event) = event(data, attachments)?;
    let flag = |name: &str| opts.get("flags").and_then(|f| f.get(name)?.as_bool());
    let raw = RawEmit {
        event,
        target: target(opts)?,
        volatile: flag("volatile").unwrap_or(false),
        compress: flag("compress").unwrap_or(true),
    };
    Ok(Some(Emit { name, raw }))
}

/// An event's name, and the event, from `["name", arg, ...]`.
pub fn event(data: &Value, attachments: &[Bytes]) -> Result<(Arc<str>, RawEvent), Dropped> {
    match data.as_array().and_then(|d| d.first()) {
        Some(Value::String(name)) => Ok((name.as_str().into(), raw(data.clone(), attachments))),
        _ => Err(Dropped::Malformed),
    }
}

/// What is to go to clients, with the attachments that it refers to and no others: a client closes
/// its connection over a packet whose attachments do not fit.
pub fn raw(mut data: Value, attachments: &[Bytes]) -> RawEvent {
    let mut used = Vec::new();
    if !attachments.is_empty() {
        renumber(&mut data, attachments, &mut used);
    }
    RawEvent {
        data: data.to_string().into(),
        attachments: used.into(),
    }
}

fn renumber(value: &mut Value, attachments: &[Bytes], used: &mut Vec<Bytes>) {
    if value
        .get("_placeholder")
        .is_some_and(|p| *p == Value::Bool(true))
    {
        let found = placeholder_num(value).and_then(|n| attachments.get(n));
        *value = found.map_or(Value::Null, |bytes| {
            used.push(bytes.clone());
            placeholder(used.len() - 1)
        });
        return;
    }
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| renumber(v, attachments, used)),
        Value::Object(map) => map
            .values_mut()
            .for_each(|v| renumber(v, attachments, used)),
        _ => {}
    }
}

/// Who is meant, from `{rooms, except}`.
pub fn target(opts: &Value) -> Result<Target, Dropped> {
    Ok(Target {
        rooms: names(opts.get("rooms"))?,
        except: names(opts.get("except"))?,
    })
}

/// Names of rooms: a list or one, texts or numbers, or none in one of the ways in which emitters
/// write that.
pub fn names(value: Option<&Value>) -> Result<Vec<String>, Dropped> {
    let mut found = Vec::new();
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(Value::Array(list)) => {
            for item in list {
                let item = name(item)?;
                if !found.contains(&item) {
                    found.push(item);
                }
            }
        }
        Some(one) => found.push(name(one)?),
    }
    Ok(found)
}

fn name(value: &Value) -> Result<String, Dropped> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Dropped::Malformed),
    }
}

/// A broadcast as Node servers publish it.
pub fn encode(uid: &str, emit: &RawEmit) -> Vec<u8> {
    let data: Value = serde_json::from_str(&emit.event.data).unwrap_or_default();
    let mut flags = serde_json::Map::new();
    if emit.volatile {
        flags.insert("volatile".into(), true.into());
    }
    if !emit.compress {
        flags.insert("compress".into(), false.into());
    }
    let message = json!([
        uid,
        { "type": EVENTS[0], "data": data, "nsp": NAMESPACE },
        { "rooms": emit.target.rooms, "except": emit.target.except, "flags": flags },
    ]);
    msgpack::write(&message, &emit.event.attachments)
}

/// Whether a broadcast as written by [`encode`] has this sender, without reading on.
pub fn is_from(payload: &[u8], uid: &str) -> bool {
    // A list of three, and a text of this length.
    let rest = payload.strip_prefix(&[0x93, 0xa0 | uid.len() as u8]);
    rest.is_some_and(|rest| rest.starts_with(uid.as_bytes()))
}

/// The channel for a broadcast: its room's if it is for exactly one.
pub fn room_of(target: &Target) -> Option<&str> {
    match &target.rooms[..] {
        [room] => Some(room),
        _ => None,
    }
}

/// The first argument of a client's ack, as requests are answered with it.
pub fn first_argument(ack: &RawEvent) -> Value {
    match serde_json::from_str(&ack.data) {
        Ok(Value::Array(args)) => args.into_iter().next().unwrap_or_default(),
        _ => Value::Null,
    }
}
