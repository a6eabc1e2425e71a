//! What the managers of PyPI `python-socketio` publish, as JSON since 5.14: one channel for all,
//! with the method's name in each message.
//!
//! Read from python-socketio 5.13 to 5.18, `pubsub_manager.py`.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::Value;

use super::{
    broadcast::{Emit, event, names},
    channel::NAMESPACE,
    dropped::Dropped,
};
use crate::chat::{RawEmit, Target};

/// What a manager asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Python {
    /// To emit.
    Emit(Emit),
    /// To close a connection.
    Disconnect(Target),
    /// To have a connection join rooms.
    Enter(Target, Vec<String>),
    /// To have a connection leave rooms; everybody in a room, where the room is closed.
    Leave(Target, Vec<String>),
}

/// The first byte of a pickle of protocol 2 and later.
const PICKLE: u8 = 0x80;

/// Reads a message. `None`: it wants nothing of this server.
pub fn decode(payload: &Bytes) -> Result<Option<Python>, Dropped> {
    if payload.first() == Some(&PICKLE) {
        return Err(Dropped::Pickle);
    }
    let message: Value = serde_json::from_slice(payload).map_err(|_| Dropped::Malformed)?;
    let method = message.get("method").and_then(Value::as_str);
    let method = method.ok_or(Dropped::Malformed)?;
    match message.get("namespace") {
        None | Some(Value::Null) => {}
        Some(Value::String(namespace)) if namespace == NAMESPACE => {}
        Some(_) => return Ok(None),
    }
    let rooms = || some(names(message.get("room"))?);
    let one = || {
        Ok(Target {
            rooms: some(names(message.get("sid"))?)?,
            except: Vec::new(),
        })
    };
    Ok(match method {
        "emit" => Some(Python::Emit(emit(&message)?)),
        "disconnect" => Some(Python::Disconnect(one()?)),
        "enter_room" => Some(Python::Enter(one()?, rooms()?)),
        "leave_room" => Some(Python::Leave(one()?, rooms()?)),
        "close_room" => {
            let rooms = rooms()?;
            let target = Target {
                rooms: rooms.clone(),
                except: Vec::new(),
            };
            Some(Python::Leave(target, rooms))
        }
        // The answer of a Python server to another.
        "callback" => None,
        _ => return Err(Dropped::ForeignVersion),
    })
}

/// None would mean everybody, which is not what these methods are about.
fn some(names: Vec<String>) -> Result<Vec<String>, Dropped> {
    (!names.is_empty())
        .then_some(names)
        .ok_or(Dropped::Malformed)
}

fn emit(message: &Value) -> Result<Emit, Dropped> {
    let name = message.get("event").filter(|name| name.is_string());
    let name = name.ok_or(Dropped::Malformed)?;
    let mut data = message.get("data").unwrap_or(&Value::Null);
    let mut attachments = Vec::new();
    if message.get("binary") == Some(&Value::Bool(true)) {
        let parts = data.as_array().and_then(|parts| parts.split_first());
        let (structure, encoded) = parts.ok_or(Dropped::Malformed)?;
        for text in encoded {
            let text = text.as_str().ok_or(Dropped::Malformed)?;
            let bytes = STANDARD.decode(text).map_err(|_| Dropped::Malformed)?;
            attachments.push(Bytes::from(bytes));
        }
        data = structure;
    }
    let args = match data {
        // What the manager makes of an emit without data.
        Value::Null => &[],
        Value::Array(list) if list[..] == [Value::Null] => &[],
        Value::Array(list) => &list[..],
        // Before 5.15.1 a single argument stood by itself.
        one => std::slice::from_ref(one),
    };
    let all: Value = std::iter::once(name).chain(args).cloned().collect();
    let (name, event) = event(&all, &attachments)?;
    let raw = RawEmit {
        event,
        target: Target {
            rooms: names(message.get("room"))?,
            except: names(message.get("skip_sid"))?,
        },
        volatile: false,
        compress: true,
    };
    Ok(Emit { name, raw })
}
