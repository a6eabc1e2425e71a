//! Tokens that run out on live connections.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;

use super::{line::Cut, session::Session};
use crate::chat::{ChatError, Clock, DeviceId, Millis};

/// How often to look. One task for all connections, because a timer each would cost memory.
const TICK: Duration = Duration::from_millis(500);

/// Connections by the time at which their token runs out.
pub struct Expiry {
    clock: Arc<dyn Clock>,
    due: Mutex<BTreeMap<(Millis, DeviceId), Weak<Session>>>,
}

impl Expiry {
    /// Watches nobody yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            due: Mutex::default(),
        }
    }

    /// Watches over a connection's present token. An entry of an earlier token does no harm: the
    /// connection's own time decides when it comes up.
    pub fn watch(&self, session: &Arc<Session>) {
        let at = session.expires_at();
        if at.0 < i64::MAX {
            self.due
                .lock()
                .insert((at, session.device.clone()), Arc::downgrade(session));
        }
    }

    /// Forgets a connection that is gone.
    pub fn forget(&self, session: &Session) {
        self.due
            .lock()
            .remove(&(session.expires_at(), session.device.clone()));
    }

    /// Ends connections whose token ran out, for ever; the caller ends it by dropping the future.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(TICK).await;
            self.expire();
        }
    }

    fn expire(&self) {
        let now = self.clock.now();
        let ended = {
            let mut due = self.due.lock();
            let later = due.split_off(&(now.plus(1), DeviceId::trusted("")));
            std::mem::replace(&mut *due, later)
        };
        for session in ended.values().filter_map(Weak::upgrade) {
            if session.expires_at() <= now {
                let error =
                    ChatError::unauthorized("token_expired: the connection's token ran out");
                session.end_with(Cut::TokenExpired, &error);
            }
        }
    }
}
