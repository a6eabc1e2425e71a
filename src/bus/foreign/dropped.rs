//! Why something that another backend published is not passed on, told to operators by a counter
//! each time and by the log once per kind.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::telemetry;

/// Why a message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It is not what is published on its channel.
    #[error("it is not a message of Socket.IO's Redis adapter, emitter or Python manager")]
    Malformed,
    /// It is larger than `emitters.max_bytes`.
    #[error("it is larger than emitters.max_bytes allows")]
    TooLarge,
    /// It has the form of another adapter.
    #[error(
        "it has the form of another adapter (streams, sharded) or version; senders use \
         @socket.io/redis-emitter 5, @socket.io/redis-adapter 8 or python-socketio 5.14 or newer"
    )]
    ForeignVersion,
    /// It is a pickle, which is never decoded: that would run the sender's code.
    #[error("it is a Python pickle; move the sender to python-socketio 5.14 or newer")]
    Pickle,
    /// The event's name is not allowed.
    #[error("its event is not among emitters.events, or is one of Socket.IO's own")]
    Event,
    /// None of its rooms is allowed.
    #[error("its rooms are not among emitters.rooms")]
    Room,
    /// It is for everybody, which is switched off.
    #[error("it is for everybody, and emitters.everybody is off")]
    Everybody,
    /// It came faster than this node can handle.
    #[error("more came than this node can handle")]
    Behind,
    /// It is for other backends, and Redis does not take it.
    #[error("Redis does not take what is for other backends")]
    Unpublished,
}

impl Dropped {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::TooLarge,
        Self::ForeignVersion,
        Self::Pickle,
        Self::Event,
        Self::Room,
        Self::Everybody,
        Self::Behind,
        Self::Unpublished,
    ];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::ForeignVersion => "foreign_version",
            Self::Pickle => "pickle",
            Self::Event => "event",
            Self::Room => "room",
            Self::Everybody => "everybody",
            Self::Behind => "behind",
            Self::Unpublished => "unpublished",
        }
    }
}

/// Counts what is dropped and logs the first of each kind.
#[derive(Debug, Default)]
pub struct Drops(AtomicU16);

impl Drops {
    /// Something on this channel was dropped. What it said is nobody's business.
    pub fn note(&self, why: Dropped, channel: &str) {
        metrics::counter!(telemetry::EMITTERS_DROPPED_TOTAL, "kind" => why.as_str()).increment(1);
        let bit = 1 << why as u16;
        if self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            tracing::warn!(
                channel,
                kind = why.as_str(),
                "a message from or for other backends was dropped: {why}; further ones of this \
                 kind are only counted"
            );
        }
    }
}
