//! What a template may name: the kinds of things there are, and their members.
//!
//! A new field of the domain becomes available to every dialect file by one line here.

use std::sync::Arc;

use crate::chat::{
    ChatError, Conversation, ConversationId, ErrorCode, Event, Joined, Message, Millis,
    Participant, PresenceChange, Profile, Receipt, Sent, Status, Synced,
};

use super::Hello;

/// A thing to take members of.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Nothing,
    Message(&'a Message),
    Profile(&'a Profile),
    Participant(&'a Participant),
    Conversation(&'a Conversation),
    Joined(&'a Joined),
    Receipt(&'a Receipt),
    Event(&'a Event),
    Sent(&'a Sent),
    Synced(&'a Synced),
    Authenticated(Option<Millis>),
    Hello(&'a Hello<'a>),
    Error(&'a ChatError),
}

/// A value of a member.
#[derive(Clone, Copy)]
pub(super) enum Datum<'a> {
    Absent,
    Text(&'a str),
    Number(u64),
    Flag(bool),
    Time(Millis),
    /// JSON text.
    Json(&'a str),
    Thing(Item<'a>),
    List(List<'a>),
}

/// A member with several values.
#[derive(Clone, Copy)]
pub(super) enum List<'a> {
    Participants(&'a [Participant]),
    ParticipantIds(&'a [Participant]),
    Messages(&'a [Arc<Message>]),
    Joined(&'a [Joined]),
    /// The messages of all of them.
    JoinedMessages(&'a [Joined]),
    ConversationIds(&'a [ConversationId]),
}

impl<'a> List<'a> {
    pub(super) fn each(self, mut f: impl FnMut(Datum<'a>)) {
        match self {
            Self::Participants(list) => {
                list.iter()
                    .for_each(|p| f(Datum::Thing(Item::Participant(p))));
            }
            Self::ParticipantIds(list) => {
                list.iter()
                    .for_each(|p| f(Datum::Text(p.profile.id.as_str())));
            }
            Self::Messages(list) => list.iter().for_each(|m| f(Datum::Thing(Item::Message(m)))),
            Self::Joined(list) => list.iter().for_each(|j| f(Datum::Thing(Item::Joined(j)))),
            Self::JoinedMessages(list) => list
                .iter()
                .flat_map(|j| &j.messages)
                .for_each(|m| f(Datum::Thing(Item::Message(m)))),
            Self::ConversationIds(list) => {
                list.iter().for_each(|id| f(Datum::Text(id.as_str())));
            }
        }
    }
}

/// The type of a member.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Text,
    /// One of these texts.
    Choice(fn() -> Vec<&'static str>),
    Number,
    Flag,
    Time,
    /// A JSON object, whose members can be named too.
    Json,
    Thing(Kind),
    List(Kind),
    TextList,
}

/// Takes a member out of its thing.
pub(super) type Get = for<'a> fn(Item<'a>) -> Datum<'a>;

/// One member of a kind.
pub(super) struct Member {
    pub name: &'static str,
    pub ty: Type,
    /// Whether it may be absent.
    pub optional: bool,
    pub get: Get,
}

/// A kind of thing. The first few can be given a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Profile,
    Participant,
    Conversation,
    Joined,
    Receipt,
    Typing,
    Presence,
    Updated,
    Deleted,
    Removed,
    Sent,
    Synced,
    Authenticated,
    Done,
    Hello,
    Error,
}

/// The kinds that a `[shape.*]` can be made of.
pub(super) const SHAPED: [Kind; 5] = [
    Kind::Message,
    Kind::Profile,
    Kind::Participant,
    Kind::Conversation,
    Kind::Joined,
];

impl Kind {
    /// The name, by which a shape names it and by which its paths begin.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Profile => "user",
            Self::Participant => "participant",
            Self::Conversation => "conversation",
            Self::Joined => "joined",
            Self::Receipt => "receipt",
            Self::Typing => "typing",
            Self::Presence => "presence",
            Self::Deleted => "deleted",
            Self::Removed => "removed",
            Self::Error => "error",
            Self::Updated
            | Self::Sent
            | Self::Synced
            | Self::Authenticated
            | Self::Done
            | Self::Hello => "",
        }
    }

    /// Whether paths start with the kind's own name rather than with a member's.
    pub(super) fn is_named(self) -> bool {
        !self.name().is_empty() && self != Self::Joined
    }

    pub(super) fn members(self) -> &'static [Member] {
        match self {
            Self::Message => MESSAGE,
            Self::Profile => PROFILE,
            Self::Participant => PARTICIPANT,
            Self::Conversation => CONVERSATION,
            Self::Joined => JOINED,
            Self::Receipt => RECEIPT,
            Self::Typing => TYPING,
            Self::Presence => PRESENCE,
            Self::Updated => UPDATED,
            Self::Deleted => DELETED,
            Self::Removed => REMOVED,
            Self::Sent => SENT,
            Self::Synced => SYNCED,
            Self::Authenticated => AUTHENTICATED,
            Self::Done => &[],
            Self::Hello => HELLO,
            Self::Error => ERROR,
        }
    }

    /// Every path of at most two members, for the list of what is allowed.
    pub(super) fn paths(self) -> Vec<String> {
        let own = if self.is_named() {
            format!("{}.", self.name())
        } else {
            String::new()
        };
        let mut paths = Vec::new();
        if SHAPED.contains(&self) {
            paths.push(self.name().to_owned());
        }
        for member in self.members() {
            paths.push(format!("{own}{}", member.name));
            if let Type::Thing(kind) = member.ty {
                let inner = kind.members().iter();
                paths.extend(inner.map(|m| format!("{own}{}.{}", member.name, m.name)));
            }
        }
        paths
    }
}

/// What happened, as `on` names it, with the kind that its templates see.
pub(super) const EVENTS: [(&str, Kind); 8] = [
    ("message.created", Kind::Message),
    ("message.delivered", Kind::Receipt),
    ("message.read", Kind::Receipt),
    ("typing", Kind::Typing),
    ("presence", Kind::Presence),
    ("conversation.updated", Kind::Updated),
    ("conversation.deleted", Kind::Deleted),
    ("participant.removed", Kind::Removed),
];

/// An event's place in [`EVENTS`] and what its templates see; `None` where dialects have no say.
pub(super) fn event(event: &Event) -> Option<(usize, Item<'_>)> {
    Some(match event {
        Event::MessageCreated { message, .. } => (0, Item::Message(message)),
        Event::MessageDelivered(receipt) => (1, Item::Receipt(receipt)),
        Event::MessageRead(receipt) => (2, Item::Receipt(receipt)),
        Event::Typing { .. } => (3, Item::Event(event)),
        Event::Presence { .. } => (4, Item::Event(event)),
        Event::ConversationUpdated { .. } => (5, Item::Event(event)),
        Event::ConversationDeleted { .. } => (6, Item::Event(event)),
        Event::ParticipantRemoved { .. } => (7, Item::Event(event)),
        Event::Disconnect { .. } | Event::Emit { .. } => return None,
    })
}

fn maybe(text: Option<&str>) -> Datum<'_> {
    text.map_or(Datum::Absent, Datum::Text)
}

fn time(at: Option<Millis>) -> Datum<'static> {
    at.map_or(Datum::Absent, Datum::Time)
}

fn statuses() -> Vec<&'static str> {
    Status::ALL.map(Status::as_str).to_vec()
}

fn codes() -> Vec<&'static str> {
    ErrorCode::ALL.map(ErrorCode::as_str).to_vec()
}

fn roles() -> Vec<&'static str> {
    use crate::chat::Role;
    vec![Role::Admin.as_str(), Role::Member.as_str()]
}

fn changes() -> Vec<&'static str> {
    use PresenceChange::{Offline, Online, Status};
    [Online, Offline, Status].map(change).to_vec()
}

fn change(change: PresenceChange) -> &'static str {
    match change {
        PresenceChange::Online => "online",
        PresenceChange::Offline => "offline",
        PresenceChange::Status => "status",
    }
}

/// Lists the members of one kind. A getter sees only items of its own kind, because paths are
/// checked when they are compiled; for any other item it finds nothing.
macro_rules! members {
    ($item:pat => { $($name:literal $(($opt:ident))? : $ty:expr => $value:expr;)* }) => {
        &[$(Member {
            name: $name,
            ty: $ty,
            optional: members!(@optional $($opt)?),
            get: |item| match item { $item => $value, _ => Datum::Absent },
        }),*]
    };
    (@optional optional) => { true };
    (@optional) => { false };
}

const MESSAGE: &[Member] = members!(Item::Message(m) => {
    "id": Type::Text => Datum::Text(m.id.as_str());
    "conversation": Type::Text => Datum::Text(m.conversation.as_str());
    "seq": Type::Number => Datum::Number(m.seq);
    "sender": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(&m.sender));
    "client_id" (optional): Type::Text => maybe(m.client_id.as_deref());
    "kind": Type::Text => Datum::Text(&m.kind);
    "content": Type::Text => Datum::Text(&m.content);
    "metadata" (optional): Type::Json =>
        m.metadata.as_ref().map_or(Datum::Absent, |json| Datum::Json(json.get()));
    "created_at": Type::Time => Datum::Time(m.created_at);
});

const PROFILE: &[Member] = members!(Item::Profile(p) => {
    "id": Type::Text => Datum::Text(p.id.as_str());
    "name": Type::Text => Datum::Text(&p.name);
    "email" (optional): Type::Text => maybe(p.email.as_deref());
    "avatar" (optional): Type::Text => maybe(p.avatar.as_deref());
});

const PARTICIPANT: &[Member] = members!(Item::Participant(p) => {
    "user": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(&p.profile));
    "role": Type::Choice(roles) => Datum::Text(p.role.as_str());
    "joined_at": Type::Time => Datum::Time(p.joined_at);
    "read_seq": Type::Number => Datum::Number(p.read_seq);
    "read_at" (optional): Type::Time => time(p.read_at);
    "delivered_seq": Type::Number => Datum::Number(p.delivered_seq);
    "last_seen" (optional): Type::Time => time(p.last_seen);
});

const CONVERSATION: &[Member] = members!(Item::Conversation(c) => {
    "id": Type::Text => Datum::Text(c.id.as_str());
    "title" (optional): Type::Text => maybe(c.title.as_deref());
    "is_group": Type::Flag => Datum::Flag(c.is_group);
    "last_seq": Type::Number => Datum::Number(c.last_seq);
    "created_at": Type::Time => Datum::Time(c.created_at);
    "updated_at": Type::Time => Datum::Time(c.updated_at);
    "participants": Type::List(Kind::Participant) =>
        Datum::List(List::Participants(&c.participants));
    "participant_ids": Type::TextList => Datum::List(List::ParticipantIds(&c.participants));
});

const JOINED: &[Member] = members!(Item::Joined(j) => {
    "conversation": Type::Thing(Kind::Conversation) =>
        Datum::Thing(Item::Conversation(&j.conversation));
    "messages": Type::List(Kind::Message) => Datum::List(List::Messages(&j.messages));
    "last_seq": Type::Number => Datum::Number(j.last_seq);
    "has_more": Type::Flag => Datum::Flag(j.has_more);
});

const RECEIPT: &[Member] = members!(Item::Receipt(r) => {
    "conversation": Type::Text => Datum::Text(r.conversation.as_str());
    "message": Type::Text => Datum::Text(r.message.as_str());
    "seq": Type::Number => Datum::Number(r.seq);
    "sender": Type::Text => Datum::Text(r.sender.as_str());
    "by": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(&r.by));
    "at": Type::Time => Datum::Time(r.at);
});

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
const TYPING: &[Member] = members!(Item::Event(Event::Typing { conversation, user, on }) => {
    "conversation": Type::Text => Datum::Text(conversation.as_str());
    "user": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(user));
    "on": Type::Flag => Datum::Flag(*on);
});

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
const PRESENCE: &[Member] = members!(
    Item::Event(Event::Presence { info, change: what, at, audience }) => {
        "user": Type::Text => Datum::Text(info.user.as_str());
        "online": Type::Flag => Datum::Flag(info.online);
        "status": Type::Choice(statuses) => Datum::Text(info.status.as_str());
        "last_seen" (optional): Type::Time => time(info.last_seen);
        "change": Type::Choice(changes) => Datum::Text(change(*what));
        "at": Type::Time => Datum::Time(*at);
    }
);

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
const UPDATED: &[Member] = members!(
    Item::Event(Event::ConversationUpdated { conversation, last_message }) => {
        "conversation": Type::Thing(Kind::Conversation) =>
            Datum::Thing(Item::Conversation(conversation));
        "last_message" (optional): Type::Thing(Kind::Message) => last_message
            .as_ref()
            .map_or(Datum::Absent, |m| Datum::Thing(Item::Message(m)));
    }
);

const DELETED: &[Member] = members!(
    Item::Event(Event::ConversationDeleted { conversation, .. }) => {
        "conversation": Type::Text => Datum::Text(conversation.as_str());
    }
);

#[allow(
    unused_variables,
    reason = "each line takes what it needs of the pattern"
)]
const REMOVED: &[Member] = members!(
    Item::Event(Event::ParticipantRemoved { conversation, user }) => {
        "conversation": Type::Text => Datum::Text(conversation.as_str());
        "user": Type::Text => Datum::Text(user.as_str());
    }
);

const SENT: &[Member] = members!(Item::Sent(s) => {
    "message": Type::Thing(Kind::Message) => Datum::Thing(Item::Message(&s.message));
    "duplicate": Type::Flag => Datum::Flag(s.duplicate);
});

const SYNCED: &[Member] = members!(Item::Synced(s) => {
    "conversations": Type::List(Kind::Joined) => Datum::List(List::Joined(&s.conversations));
    "messages": Type::List(Kind::Message) => Datum::List(List::JoinedMessages(&s.conversations));
    "gone": Type::TextList => Datum::List(List::ConversationIds(&s.gone));
});

const AUTHENTICATED: &[Member] = members!(Item::Authenticated(at) => {
    "expires_at" (optional): Type::Time => time(at);
});

const HELLO: &[Member] = members!(Item::Hello(h) => {
    "user": Type::Thing(Kind::Profile) => Datum::Thing(Item::Profile(h.profile));
    "device": Type::Text => Datum::Text(h.device);
    "now": Type::Time => Datum::Time(h.now);
});

const ERROR: &[Member] = members!(Item::Error(e) => {
    "code": Type::Choice(codes) => Datum::Text(e.code.as_str());
    "message": Type::Text => Datum::Text(&e.message);
    "retryable": Type::Flag => Datum::Flag(e.code.retryable());
    "retry_after_ms" (optional): Type::Number =>
        e.retry_after_ms().map_or(Datum::Absent, Datum::Number);
    "id" (optional): Type::Text => maybe(e.id.as_deref());
});
