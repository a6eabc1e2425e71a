//! Typing indicators: throttled, and gone by themselves. Never stored, at most once.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Actor, Chat, ChatResult, ConversationId, DeviceId, Envelope, Event, Profile, Rules, UserId,
};

/// Who is typing where, on this node.
pub(super) struct Typing {
    timeout: Duration,
    throttle: Duration,
    // A std-like mutex: it is held for a look-up and never across an await.
    typists: Mutex<HashMap<(ConversationId, UserId), Typist>>,
}

struct Typist {
    profile: Profile,
    device: Option<DeviceId>,
    until: Instant,
    told: Instant,
}

/// What a start amounts to.
enum Started {
    /// Tell the others, and watch over its end.
    Fresh,
    /// Tell the others again.
    Renewed,
    /// The others were told a moment ago.
    Throttled,
}

impl Typing {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            timeout: rules.typing_timeout,
            throttle: rules.typing_throttle,
            typists: Mutex::default(),
        }
    }

    fn start(&self, conversation: &ConversationId, actor: &Actor, now: Instant) -> Started {
        let key = (conversation.clone(), actor.profile.id.clone());
        let until = now + self.timeout;
        let mut typists = self.typists.lock();
        if let Some(t) = typists.get_mut(&key) {
            t.until = until;
            t.device = actor.device.clone();
            if now.duration_since(t.told) < self.throttle {
                return Started::Throttled;
            }
            t.told = now;
            return Started::Renewed;
        }
        let (profile, device) = (actor.profile.clone(), actor.device.clone());
        typists.insert(
            key,
            Typist {
                profile,
                device,
                until,
                told: now,
            },
        );
        Started::Fresh
    }

    /// Ends it; `true` if it was going on.
    fn stop(&self, conversation: &ConversationId, user: &UserId) -> bool {
        self.typists
            .lock()
            .remove(&(conversation.clone(), user.clone()))
            .is_some()
    }

    /// Ends it if its time has come; otherwise says when to look again.
    fn expire(&self, key: &(ConversationId, UserId), now: Instant) -> Expiry {
        let mut typists = self.typists.lock();
        match typists.get(key) {
            None => Expiry::Gone,
            Some(t) if t.until > now => Expiry::At(t.until),
            Some(_) => match typists.remove(key) {
                Some(t) => Expiry::Now(Box::new(t)),
                None => Expiry::Gone,
            },
        }
    }

    /// Ends whatever this device was typing.
    fn stop_device(&self, device: &DeviceId) -> Vec<(ConversationId, Profile)> {
        let mut stopped = Vec::new();
        self.typists.lock().retain(|(conversation, _), t| {
            let ended = t.device.as_ref() == Some(device);
            if ended {
                stopped.push((conversation.clone(), t.profile.clone()));
            }
            !ended
        });
        stopped
    }
}

enum Expiry {
    Gone,
    At(Instant),
    Now(Box<Typist>),
}

impl Chat {
    /// Starts or stops the actor's typing indicator. A start is passed on at most once per
    /// throttle time, and stops by itself when it is not renewed.
    pub(super) async fn type_in(
        self: &Arc<Self>,
        actor: &Actor,
        conversation: &ConversationId,
        on: bool,
        in_room: bool,
    ) -> ChatResult<()> {
        if !in_room {
            self.conversation(actor, conversation).await?;
        }
        if on {
            let started = self.typing.start(conversation, actor, Instant::now());
            if matches!(started, Started::Throttled) {
                return Ok(());
            }
            self.tell_typing(
                conversation.clone(),
                actor.profile.clone(),
                &actor.device,
                true,
            );
            if matches!(started, Started::Fresh) {
                self.watch_typing(conversation.clone(), actor.profile.id.clone());
            }
        } else {
            self.stop_typing(conversation, actor);
        }
        Ok(())
    }

    /// Stops the actor's typing indicator, if it is on.
    pub(super) fn stop_typing(&self, conversation: &ConversationId, actor: &Actor) {
        if self.typing.stop(conversation, &actor.profile.id) {
            self.tell_typing(
                conversation.clone(),
                actor.profile.clone(),
                &actor.device,
                false,
            );
        }
    }

    /// Stops whatever a connection that went was typing.
    pub(super) fn stop_typing_of(&self, device: &DeviceId) {
        for (conversation, profile) in self.typing.stop_device(device) {
            self.tell_typing(conversation, profile, &Some(device.clone()), false);
        }
    }

    fn watch_typing(self: &Arc<Self>, conversation: ConversationId, user: UserId) {
        let chat = Arc::downgrade(self);
        let (key, mut at) = ((conversation, user), Instant::now() + self.typing.timeout);
        // Not tracked: a stop need not wait for an indicator to fade.
        tokio::spawn(async move {
            loop {
                tokio::time::sleep_until(at.into()).await;
                let Some(chat) = chat.upgrade() else { return };
                match chat.typing.expire(&key, Instant::now()) {
                    Expiry::Gone => return,
                    Expiry::At(later) => at = later,
                    Expiry::Now(t) => {
                        return chat.tell_typing(key.0, t.profile, &t.device, false);
                    }
                }
            }
        });
    }

    fn tell_typing(
        &self,
        conversation: ConversationId,
        user: Profile,
        device: &Option<DeviceId>,
        on: bool,
    ) {
        let event = Event::Typing {
            conversation,
            user,
            on,
        };
        self.announce(
            Envelope {
                origin: device.clone(),
                event,
            },
            None,
        );
    }
}
