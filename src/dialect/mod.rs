//! Dialects: the event vocabularies that clients already speak, as TOML files.
//!
//! A dialect maps an app's Socket.IO events onto [`Command`]s and [`Event`]s and back. The chat
//! core never sees a dialect, and no event name is written in Rust: `config/dialects/*.toml` are
//! embedded, and a folder named in the configuration adds to them or replaces them.
//!
//! What a file can say is described in `docs/dialects.md`, which a test holds complete. In short:
//! `[handshake]` says where the token is, `[[greet]]` greets, `[in.NAME]` binds the arguments of what
//! clients say to the fields of a command (`command.rs`) and says how it is answered, `[[out]]` says
//! which words which role hears of an event (`vocabulary.rs`, `members.rs`), `[shape.NAME]` is what
//! several payloads share, `[ack]`, `[ack_error]` and `[error]` are what is not said otherwise.

mod bind;
mod capture;
mod command;
mod compile;
mod decode;
mod describe;
mod expr;
mod hint;
mod inbound;
mod lists;
mod look;
mod members;
mod outbound;
mod remarks;
mod render;
mod resolve;
mod set;
mod source;
mod strict;
mod template;
mod text;
mod tree;
mod types;
mod vocabulary;
mod words;

use std::sync::Arc;

use crate::chat::{ChatError, Command, Event, Hearer, Millis, Profile, Reply, UserId};

use self::{
    bind::{Arguments, Failure, SlotInfo},
    capture::{Slot, Want},
    inbound::{Alternative, Captures},
    look::Element,
    outbound::{Answer, OutRule, Words},
    render::{Eyes, Program, Scope, Shape},
    vocabulary::Item,
};

pub use self::{
    decode::event_of,
    set::{Checked, Dialects, check_file},
    source::DialectError,
};

/// Names an inbound rule of one dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(u16);

/// A decoded inbound event.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The rule that decoded it, by which it is answered.
    pub rule: RuleId,
    /// What is asked for.
    pub command: Command,
    /// The user that the payload says it comes from. If that is not the connection's own user, the
    /// command must be refused as forbidden.
    pub claimed: Option<UserId>,
}

/// An inbound event that cannot be decoded.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The event's rule, where it has one.
    pub rule: Option<RuleId>,
    /// Why: `invalid`, `too_large` or `forbidden`, naming the field.
    pub error: ChatError,
    /// Whether the dialect has no such event.
    pub unknown_event: bool,
}

/// What a greeting tells.
#[derive(Debug, Clone, Copy)]
pub struct Hello<'a> {
    /// Who connected.
    pub profile: &'a Profile,
    /// The client's own socket id.
    pub device: &'a str,
    /// The gateway's time.
    pub now: Millis,
}

/// What a client told in its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The token, where the dialect looks for it. Never logged.
    pub token: Option<String>,
    /// The user that the client says it is, to be compared with the token's.
    pub claimed: Option<UserId>,
}

/// One vocabulary, compiled.
pub struct Dialect {
    name: String,
    index: usize,
    description: String,
    follows: bool,
    presence: bool,
    shapes: Vec<Arc<Shape>>,
    /// By rule, its event's name.
    names: Vec<String>,
    /// By rule, then argument.
    wants: Vec<Vec<Want>>,
    rules: Vec<Rule>,
    handshake: Handshake,
    greet: Vec<Words>,
    ack: Ack,
    ack_error: Ack,
    error: Option<Words>,
    /// By place in [`vocabulary::EVENTS`].
    out: Vec<Vec<OutRule>>,
}

/// An `[in.*]` rule.
struct Rule {
    command: &'static str,
    build: fn(&Arguments<'_, '_>) -> Result<Command, Failure>,
    alternatives: Vec<Alternative>,
    claims: Vec<Slot>,
    infos: Vec<SlotInfo>,
    /// Where the first argument is.
    first: Option<Slot>,
    ack: Option<Ack>,
    ack_error: Option<Ack>,
    answers: Vec<Answer>,
    error: Option<Words>,
}

/// The arguments of an ack.
struct Ack {
    program: Program,
    looks: Vec<Element>,
}

impl From<(Program, Vec<Element>)> for Ack {
    fn from((program, looks): (Program, Vec<Element>)) -> Self {
        Self { program, looks }
    }
}

/// `[handshake]`
struct Handshake {
    captures: Captures,
    token: Vec<Slot>,
    claims: Vec<Slot>,
}

impl Dialect {
    /// The name, by which the configuration and connections choose it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The place in its set, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The names of the inbound events.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The name of a rule's inbound event.
    pub fn event_name(&self, rule: RuleId) -> &str {
        self.names.get(usize::from(rule.0)).map_or("", |name| name)
    }

    /// The events that greet a fresh connection, each a JSON array `["name", {...}]`.
    pub fn greet(&self, hello: &Hello<'_>) -> Vec<String> {
        let scope = own(Item::Hello(hello));
        self.greet.iter().map(|w| w.program.text(scope)).collect()
    }

    /// What a connection in that role hears of an event, usually one event or none. Each is a JSON
    /// array `["name", {...}]`.
    pub fn encode(&self, event: &Event, hearer: Hearer) -> Vec<String> {
        let Some((at, item)) = vocabulary::event(event) else {
            return Vec::new();
        };
        self.words(at, item, hearer)
    }

    /// What a connection hears when who is online has changed: all of them.
    pub fn encode_online(&self, users: &[UserId]) -> Vec<String> {
        self.words(vocabulary::ONLINE, Item::Online(users), Hearer::Other)
    }

    /// Whether connections are told who is online.
    pub fn hears_online(&self) -> bool {
        !self.out[vocabulary::ONLINE].is_empty()
    }

    /// Whether connections hear their user's conversations without joining them, from their
    /// introduction ([`Command::Introduce`]) on and beginning with what waits for the user. What
    /// such a connection was handed counts as delivered, because its client confirms nothing.
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// Whether clients are told of participants how they are, so that somebody must ask
    /// ([`Chat::add_presence`](crate::chat::Chat::add_presence)) before a conversation is shown.
    pub fn shows_presence(&self) -> bool {
        self.presence
    }

    /// Whether a client has words to say who it is.
    pub fn introduces(&self) -> bool {
        self.rules.iter().any(|r| r.command == command::INTRODUCE)
    }

    fn words(&self, at: usize, item: Item<'_>, hearer: Hearer) -> Vec<String> {
        let own = matches!(hearer, Hearer::Origin | Hearer::OwnDevice);
        let scope = Scope {
            item,
            eyes: Eyes::Causer(own),
        };
        self.out[at]
            .iter()
            .filter(|rule| rule.to.contains(&hearer) && outbound::met(&rule.conditions, scope))
            .map(|rule| rule.words.program.text(scope))
            .collect()
    }

    /// The arguments of the ack to a command that succeeded, as a JSON array.
    pub fn ack(&self, rule: RuleId, reply: &Reply) -> String {
        let own_ack = self.rule(rule).and_then(|rule| rule.ack.as_ref());
        own_ack.unwrap_or(&self.ack).program.text(answered(reply))
    }

    /// The arguments of the ack to an event that was refused, as a JSON array.
    pub fn ack_error(&self, rule: Option<RuleId>, error: &ChatError) -> String {
        let rule = rule.and_then(|rule| self.rule(rule));
        rule.and_then(|rule| rule.ack_error.as_ref())
            .unwrap_or(&self.ack_error)
            .program
            .text(own(Item::Error(error)))
    }

    /// The events that answer a command on the causing connection, whether or not an ack was
    /// asked. Each is a JSON array `["name", {...}]`.
    pub fn answer(&self, rule: RuleId, reply: &Reply) -> Vec<String> {
        let mut events = Vec::new();
        let scope = answered(reply);
        for answer in self.rule(rule).map_or(&[][..], |rule| &rule.answers) {
            answer.run(scope, &mut events);
        }
        events
    }

    /// The event that tells the causing connection of a refusal where no ack was asked.
    pub fn error(&self, rule: Option<RuleId>, error: &ChatError) -> Option<String> {
        let rule = rule.and_then(|rule| self.rule(rule));
        let words = rule.and_then(|rule| rule.error.as_ref());
        let words = words.or(self.error.as_ref())?;
        Some(words.program.text(own(Item::Error(error))))
    }

    fn rule(&self, rule: RuleId) -> Option<&Rule> {
        self.rules.get(usize::from(rule.0))
    }
}

/// What the causing connection itself is told.
fn own(item: Item<'_>) -> Scope<'_> {
    Scope {
        item,
        eyes: Eyes::Causer(true),
    }
}

/// What the templates of an answer to a command see.
fn answered(reply: &Reply) -> Scope<'_> {
    let item = command::reply_item(reply);
    match reply.viewer() {
        Some(user) => Scope {
            item,
            eyes: Eyes::User(user),
        },
        None => own(item),
    }
}
