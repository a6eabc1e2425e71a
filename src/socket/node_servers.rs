//! Tells Node servers in the same cluster what happens here, in the words of one dialect, for their
//! clients in the rooms of the same users and conversations: while an app moves node by node, half
//! of its clients are there.
//!
//! Who is removed or disconnected here is there, too. Words are said at most once, and each node of ours in its own time, so that two messages may change places on
//! the way: what makes them whole here (seq, the store) does not reach there.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    chat::{
        Bus, Clock, ConversationId, Envelope, Event, Hearer, OtherServers, Publishing, RawEmit,
        RawEvent, RoomNames, Subject, Target, Topic, Unavailable, UserId, event_text,
    },
    dialect::Dialect,
};

/// The bus, with Node servers beside the nodes on it.
pub struct WithNodeServers {
    bus: Arc<dyn Bus>,
    others: Arc<dyn OtherServers>,
    translator: Translator,
    clock: Arc<dyn Clock>,
}

impl WithNodeServers {
    /// What is published on `bus` is told to `others` in the words of `dialect`.
    pub fn new(
        bus: Arc<dyn Bus>,
        others: Arc<dyn OtherServers>,
        dialect: Arc<Dialect>,
        names: RoomNames,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            bus,
            others,
            translator: Translator { dialect, names },
            clock,
        }
    }

    /// Takes connections out of where they do not belong any more, before words of it.
    fn end(&self, event: &Event) {
        let names = &self.translator.names;
        match event {
            Event::ParticipantRemoved { conversation, user } => {
                let target = Target::room(names.user(user));
                self.others
                    .leave(&target, &names.conversation(conversation));
            }
            Event::ConversationDeleted { conversation, .. } => {
                let room = names.conversation(conversation);
                self.others.leave(&Target::room(room.clone()), &room);
            }
            Event::Orders(orders) => {
                let now = self.clock.now();
                // Those that were lifted have ended.
                for order in orders.iter().filter(|order| order.ends_at > now) {
                    match &order.subject {
                        // Which token a connection there stands on is not known here.
                        Subject::Tokens(user) | Subject::User(user) | Subject::Devices(user) => {
                            self.others.disconnect(&Target::room(names.user(user)));
                        }
                        // The connection is one of ours, or not known; for members see above.
                        Subject::Device(..) | Subject::Token(_) | Subject::Members(_) => {}
                    }
                }
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Bus for WithNodeServers {
    fn publish(&self, envelope: &Envelope) -> Publishing {
        self.end(&envelope.event);
        for emit in self.translator.emits(&envelope.event) {
            self.others.tell(&emit);
        }
        self.bus.publish(envelope)
    }

    async fn subscribe(&self, topic: Topic) {
        self.bus.subscribe(topic).await;
    }

    fn unsubscribe(&self, topic: Topic) {
        self.bus.unsubscribe(topic);
    }

    fn is_alone(&self) -> bool {
        false
    }

    fn is_up(&self) -> bool {
        self.bus.is_up()
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        self.bus.ping().await
    }
}

/// Puts events into what Node servers emit to their clients.
struct Translator {
    dialect: Arc<Dialect>,
    names: RoomNames,
}

impl Translator {
    fn emits(&self, event: &Event) -> Vec<RawEmit> {
        match event {
            Event::MessageCreated {
                message,
                participants,
            } => {
                let conversation = &message.conversation;
                let mut emits = self.in_rooms(event, Some(conversation), Vec::new(), false);
                let absent = participants.iter().filter(|p| *p != &message.sender.id);
                let target = Target {
                    rooms: self.users(absent),
                    except: vec![self.names.conversation(conversation)],
                };
                emits.extend(self.say(event, Hearer::Absent, &target, false));
                emits
            }
            Event::MessageDelivered(receipt) => {
                self.in_rooms(event, None, self.users([&receipt.sender]), false)
            }
            Event::MessageRead(receipt) => {
                let sender = self.users([&receipt.sender]);
                self.in_rooms(event, Some(&receipt.conversation), sender, false)
            }
            Event::Typing { conversation, .. } => {
                self.in_rooms(event, Some(conversation), Vec::new(), true)
            }
            Event::Presence { audience, .. } => {
                self.in_rooms(event, None, self.users(audience.iter()), true)
            }
            Event::ConversationUpdated { conversation, .. } => {
                let users = conversation.participants.iter().map(|p| &p.profile.id);
                self.in_rooms(event, None, self.users(users), false)
            }
            Event::ConversationDeleted { audience, .. } => {
                self.in_rooms(event, None, self.users(audience.iter()), false)
            }
            Event::ParticipantRemoved { user, .. } => {
                self.in_rooms(event, None, self.users([user]), false)
            }
            Event::Emit { user, name, args } => {
                let text = event_text(name, args.get());
                vec![emit(text, &Target::room(self.names.user(user)), false)]
            }
            Event::OnlineChanged | Event::Orders(_) => Vec::new(),
        }
    }

    fn users<'a>(&self, users: impl IntoIterator<Item = &'a UserId>) -> Vec<String> {
        users.into_iter().map(|u| self.names.user(u)).collect()
    }

    /// What those in a conversation's room and these users hear. Whoever caused it hears it on
    /// further devices in words of their own, where these differ; rooms cannot be intersected, so
    /// they hear it on all of them.
    fn in_rooms(
        &self,
        event: &Event,
        conversation: Option<&ConversationId>,
        users: Vec<String>,
        volatile: bool,
    ) -> Vec<RawEmit> {
        let by = event.by().map(|by| self.names.user(by));
        let own_hears = |by: &String| conversation.is_some() || users.contains(by);
        let own = by.filter(own_hears).filter(|_| {
            self.dialect.encode(event, Hearer::OwnDevice)
                != self.dialect.encode(event, Hearer::Other)
        });
        let room = conversation.map(|c| self.names.conversation(c));
        let others = Target {
            rooms: room.into_iter().chain(users).collect(),
            except: own.iter().cloned().collect(),
        };
        let mut emits = self.say(event, Hearer::Other, &others, volatile);
        if let Some(own) = own {
            emits.extend(self.say(event, Hearer::OwnDevice, &Target::room(own), volatile));
        }
        emits
    }

    fn say(&self, event: &Event, hearer: Hearer, target: &Target, volatile: bool) -> Vec<RawEmit> {
        // Without rooms everybody would hear it.
        if target.is_everybody() {
            return Vec::new();
        }
        let words = self.dialect.encode(event, hearer).into_iter();
        words.map(|text| emit(text, target, volatile)).collect()
    }
}

fn emit(text: String, target: &Target, volatile: bool) -> RawEmit {
    RawEmit {
        event: RawEvent::text(text),
        target: target.clone(),
        volatile,
        compress: true,
    }
}
