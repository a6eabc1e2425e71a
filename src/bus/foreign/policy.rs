//! Which events and rooms other backends may use.

use std::str::FromStr;

use socketioxide_core::Sid;

use super::{broadcast::Emit, dropped::Dropped};
use crate::{
    chat::{RawEmit, Target, check_event_name},
    config,
};

/// The allow-list of `[emitters]`.
#[derive(Debug, Clone)]
pub struct Policy {
    events: Vec<Glob>,
    rooms: Vec<Glob>,
    everybody: bool,
}

impl Policy {
    /// As configured.
    pub fn new(config: &config::Emitters) -> Self {
        let globs = |patterns: &[String]| patterns.iter().map(|p| Glob(p.clone())).collect();
        Self {
            events: globs(&config.events),
            rooms: globs(&config.rooms),
            everybody: config.everybody,
        }
    }

    /// The event without the rooms that are not allowed.
    pub fn emit(&self, emit: Emit) -> Result<RawEmit, Dropped> {
        if check_event_name(&emit.name).is_err() || !any(&self.events, &emit.name) {
            return Err(Dropped::Event);
        }
        let mut raw = emit.raw;
        raw.target = self.target(raw.target)?;
        Ok(raw)
    }

    /// The target without the rooms that are not allowed. A connection's own id always is.
    pub fn target(&self, mut target: Target) -> Result<Target, Dropped> {
        if target.is_everybody() {
            return self.everybody.then_some(target).ok_or(Dropped::Everybody);
        }
        target
            .rooms
            .retain(|room| Sid::from_str(room).is_ok() || any(&self.rooms, room));
        // An empty list would mean everybody.
        (!target.rooms.is_empty())
            .then_some(target)
            .ok_or(Dropped::Room)
    }

    /// Those of these rooms that may be joined and left.
    pub fn rooms(&self, mut rooms: Vec<String>) -> Result<Vec<String>, Dropped> {
        rooms.retain(|room| any(&self.rooms, room));
        (!rooms.is_empty()).then_some(rooms).ok_or(Dropped::Room)
    }
}

fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

/// A text in which `*` stands for any characters, or none.
#[derive(Debug, Clone)]
struct Glob(String);

impl Glob {
    fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}
