//! What a template may name: the kinds of things there are, and their members.
//!
//! A new field of the domain becomes available to every dialect file by one line in
//! [`members`].

use std::sync::Arc;

use crate::chat::{
    Attachment, ChatError, Conversation, ConversationId, Event, Hit, Joined, Message, Millis,
    Participant, Profile, Receipt, SearchPage, Sent, Span, Synced, UserId,
};

use super::{Hello, members};

/// A thing to take members of.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Nothing,
    Message(&'a Message),
    Attachment(&'a Attachment),
    Profile(&'a Profile),
    Participant(&'a Participant),
    Conversation(&'a Conversation),
    Joined(&'a Joined),
    Receipt(&'a Receipt),
    Event(&'a Event),
    Sent(&'a Sent),
    Synced(&'a Synced),
    Found(&'a SearchPage),
    Hit(&'a Hit),
    Span(&'a Span),
    Authenticated(Option<Millis>),
    Hello(&'a Hello<'a>),
    Error(&'a ChatError),
    Online(&'a [UserId]),
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
    Attachments(&'a [Attachment]),
    AttachmentUrls(&'a [Attachment]),
    AttachmentIds(&'a [Attachment]),
    Hits(&'a [Hit]),
    Spans(&'a [Span]),
    UserIds(&'a [UserId]),
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
            Self::Attachments(list) => {
                list.iter()
                    .for_each(|a| f(Datum::Thing(Item::Attachment(a))));
            }
            Self::AttachmentUrls(list) => list.iter().for_each(|a| f(Datum::Text(&a.url))),
            Self::Hits(list) => list.iter().for_each(|h| f(Datum::Thing(Item::Hit(h)))),
            Self::Spans(list) => list.iter().for_each(|s| f(Datum::Thing(Item::Span(s)))),
            Self::AttachmentIds(list) => {
                list.iter().for_each(|a| f(Datum::Text(a.id.as_str())));
            }
            Self::UserIds(list) => list.iter().for_each(|id| f(Datum::Text(id.as_str()))),
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
    Attachment,
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
    Found,
    Hit,
    Span,
    Authenticated,
    Done,
    Hello,
    Error,
    Online,
}

/// The kinds that a `[shape.*]` can be made of.
pub(super) const SHAPED: [Kind; 8] = [
    Kind::Message,
    Kind::Attachment,
    Kind::Profile,
    Kind::Participant,
    Kind::Conversation,
    Kind::Joined,
    Kind::Hit,
    Kind::Span,
];

impl Kind {
    /// The name, by which a shape names it and by which its paths begin.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Attachment => "attachment",
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
            Self::Hit => "hit",
            Self::Span => "span",
            Self::Updated
            | Self::Sent
            | Self::Synced
            | Self::Found
            | Self::Authenticated
            | Self::Done
            | Self::Hello
            | Self::Online => "",
        }
    }

    /// Whether paths start with the kind's own name rather than with a member's.
    pub(super) fn is_named(self) -> bool {
        !self.name().is_empty() && self != Self::Joined
    }

    pub(super) fn members(self) -> &'static [Member] {
        match self {
            Self::Message => members::MESSAGE,
            Self::Attachment => members::ATTACHMENT,
            Self::Profile => members::PROFILE,
            Self::Participant => members::PARTICIPANT,
            Self::Conversation => members::CONVERSATION,
            Self::Joined => members::JOINED,
            Self::Receipt => members::RECEIPT,
            Self::Typing => members::TYPING,
            Self::Presence => members::PRESENCE,
            Self::Updated => members::UPDATED,
            Self::Deleted => members::DELETED,
            Self::Removed => members::REMOVED,
            Self::Sent => members::SENT,
            Self::Synced => members::SYNCED,
            Self::Found => members::FOUND,
            Self::Hit => members::HIT,
            Self::Span => members::SPAN,
            Self::Authenticated => members::AUTHENTICATED,
            Self::Done => &[],
            Self::Hello => members::HELLO,
            Self::Error => members::ERROR,
            Self::Online => members::ONLINE,
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

/// Whether that is a member that is known only where somebody asks how participants are.
pub(super) fn is_presence(kind: Kind, path: &str) -> bool {
    kind == Kind::Participant && matches!(path, "participant.online" | "participant.status")
}

/// What happened, as `on` names it, with the kind that its templates see.
pub(super) const EVENTS: [(&str, Kind); 9] = [
    ("message.created", Kind::Message),
    ("message.delivered", Kind::Receipt),
    ("message.read", Kind::Receipt),
    ("typing", Kind::Typing),
    ("presence", Kind::Presence),
    ("conversation.updated", Kind::Updated),
    ("conversation.deleted", Kind::Deleted),
    ("participant.removed", Kind::Removed),
    ("online_users", Kind::Online),
];
/// The place of `message.created` in [`EVENTS`].
pub(super) const CREATED: usize = 0;
/// The place of `online_users` in [`EVENTS`].
pub(super) const ONLINE: usize = 8;

/// An event's place in [`EVENTS`] and what its templates see; `None` where dialects have no say.
pub(super) fn event(event: &Event) -> Option<(usize, Item<'_>)> {
    Some(match event {
        Event::MessageCreated { message, .. } => (CREATED, Item::Message(message)),
        Event::MessageDelivered(receipt) => (1, Item::Receipt(receipt)),
        Event::MessageRead(receipt) => (2, Item::Receipt(receipt)),
        Event::Typing { .. } => (3, Item::Event(event)),
        Event::Presence { .. } => (4, Item::Event(event)),
        Event::ConversationUpdated { .. } => (5, Item::Event(event)),
        Event::ConversationDeleted { .. } => (6, Item::Event(event)),
        Event::ParticipantRemoved { .. } => (7, Item::Event(event)),
        Event::OnlineChanged | Event::Orders(_) | Event::Emit { .. } => return None,
    })
}
