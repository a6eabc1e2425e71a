//! How captured arguments become the fields of a command.

use std::{borrow::Cow, sync::Arc};

use serde_json::value::RawValue;

use crate::chat::{ChatError, ConversationId, ErrorCode, InvalidId, Status, UserId};

use super::{
    capture::{Captured, Slot, Slots},
    command::invalid,
    render::each_member,
    strict::is_strict,
    text::push_text,
};

/// The largest metadata object, in bytes of its JSON text.
pub(super) const MAX_METADATA: usize = 16 * 1024;
/// The longest idempotency key, in characters.
const MAX_KEY: usize = 128;

/// Where a field's value comes from.
#[derive(Debug)]
pub(super) struct Binding {
    /// Tried in order; the first that is there counts.
    pub terms: Vec<Given>,
    /// Whether the dialect requires what the command does not.
    pub required: bool,
    pub checks: Vec<Check>,
    /// The words that clients may say, where not every text will do.
    pub words: Option<Vec<String>>,
}

impl Binding {
    /// What a text must be that is none of the words that clients may say.
    fn one_of(&self) -> String {
        let words = self.words.as_deref().unwrap_or_default();
        format!("must be one of {}", words.join(", "))
    }
}

#[derive(Debug)]
pub(super) enum Given {
    Slot(Slot),
    Text(String),
    Flag(bool),
    Number(u64),
    /// An object made of the values in these slots, each with its key as JSON text.
    Object(Vec<(String, Slot)>),
}

/// What a dialect asks of a text.
#[derive(Debug)]
pub(super) enum Check {
    /// Cut to so many characters.
    Truncate(usize),
    /// Refused if it has more characters.
    MaxChars(usize),
    /// Refused if it is none of these.
    OneOf(Vec<String>),
    /// Other words for some texts.
    Map(Vec<(String, String)>),
    /// Of an object, all members but these.
    Without(Vec<String>),
}

/// What is known of a slot, for error texts.
#[derive(Debug)]
pub(super) struct SlotInfo {
    /// As clients would name it: `data.text`, `argument 1`.
    pub label: String,
    /// Whether it is a whole argument.
    pub whole: bool,
}

/// Why an alternative does not apply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments have another form: the next alternative may fit.
    Other,
    /// A required field is not there; the next alternative may not need it.
    Missing(String),
    /// A field is there and wrong.
    Refused(ChatError),
}

/// The arguments of an event as one alternative sees them.
pub(super) struct Arguments<'r, 'a> {
    /// By the field's place in its command.
    pub bindings: &'r [Option<Binding>],
    pub infos: &'r [SlotInfo],
    pub slots: &'r Slots<'a>,
}

/// What a field was given.
pub(super) enum Found<'r, 'a> {
    Captured(&'r Captured<'a>, Slot),
    Given(&'r Given),
}

/// A field's value, if it is there.
pub(super) type Read<T> = Result<Option<T>, Failure>;

impl<'r, 'a> Arguments<'r, 'a> {
    /// The field's value, which must be there.
    pub(super) fn required<T>(
        &self,
        field: usize,
        read: impl Fn(&Self, usize) -> Read<T>,
    ) -> Result<T, Failure> {
        read(self, field)?.ok_or_else(|| self.missing(field))
    }

    /// That a field is not there.
    pub(super) fn missing(&self, field: usize) -> Failure {
        self.none_of(&[field])
    }

    /// That none of the fields is there, of which one must be.
    pub(super) fn none_of(&self, fields: &[usize]) -> Failure {
        let bound = fields.iter().filter_map(|f| self.bindings[*f].as_ref());
        let slots = bound.filter_map(|b| {
            b.terms.iter().find_map(|t| match t {
                Given::Slot(slot) => Some(*slot),
                _ => None,
            })
        });
        let infos = slots.map(|slot| &self.infos[slot]);
        let labels: Vec<&str> = infos
            .filter(|info| !info.whole)
            .map(|info| info.label.as_str())
            .collect();
        match labels.is_empty() {
            true => Failure::Other,
            false => Failure::Missing(labels.join(" or ")),
        }
    }

    /// What the field was given, by the first of its terms that is there.
    pub(super) fn find(&self, field: usize) -> Read<Found<'r, 'a>> {
        let Some(binding) = &self.bindings[field] else {
            return Ok(None);
        };
        for term in &binding.terms {
            match term {
                Given::Slot(slot) => match self.slots.get(*slot) {
                    Captured::Absent | Captured::Null => {}
                    Captured::Raw(raw) if raw.get() == "null" => {}
                    captured => return Ok(Some(Found::Captured(captured, *slot))),
                },
                given => return Ok(Some(Found::Given(given))),
            }
        }
        match binding.required {
            true => Err(self.missing(field)),
            false => Ok(None),
        }
    }

    /// A value of the wrong type: another alternative may want it so if it is a whole argument.
    pub(super) fn wrong<T>(&self, slot: Slot, must: &str) -> Read<T> {
        let info = &self.infos[slot];
        match info.whole {
            true => Err(Failure::Other),
            false => self.refuse(slot, must),
        }
    }

    /// A value that the field cannot hold.
    pub(super) fn refuse<T>(&self, slot: Slot, must: &str) -> Read<T> {
        Err(Failure::Refused(invalid(&self.infos[slot].label, must)))
    }

    /// A value that is larger than the field may hold.
    pub(super) fn too_large<T>(&self, slot: Slot, must: &str) -> Read<T> {
        Err(Failure::Refused(ChatError::new(
            ErrorCode::TooLarge,
            format!("{}: {must}", self.infos[slot].label),
        )))
    }

    /// The text of a field with the slot it came from, after the dialect's checks.
    fn checked_text(&self, field: usize) -> Read<(Cow<'r, str>, Option<Slot>)> {
        let (mut text, slot) = match self.find(field)? {
            None => return Ok(None),
            Some(Found::Captured(Captured::Text(text), slot)) => {
                (Cow::Borrowed(text.as_ref()), Some(slot))
            }
            Some(Found::Captured(_, slot)) => return self.wrong(slot, "must be text"),
            Some(Found::Given(Given::Text(text))) => (Cow::Borrowed(text.as_str()), None),
            Some(Found::Given(_)) => return Ok(None),
        };
        // A constant was checked when the file was loaded.
        let (Some(slot), Some(binding)) = (slot, &self.bindings[field]) else {
            return Ok(Some((text, slot)));
        };
        for check in &binding.checks {
            match check {
                Check::Truncate(limit) => {
                    if let Some((end, _)) = text.char_indices().nth(*limit) {
                        text = Cow::Owned(text[..end].to_owned());
                    }
                }
                Check::MaxChars(limit) => {
                    if text.chars().nth(*limit).is_some() {
                        return self.too_large(slot, &format!("at most {limit} characters"));
                    }
                }
                Check::OneOf(words) => {
                    if !words.iter().any(|w| *w == *text) {
                        return self.refuse(slot, &binding.one_of());
                    }
                }
                Check::Map(words) => {
                    if let Some((_, to)) = words.iter().find(|(from, _)| *from == *text) {
                        text = Cow::Borrowed(to.as_str());
                    }
                }
                // For objects only.
                Check::Without(_) => {}
            }
        }
        Ok(Some((text, Some(slot))))
    }

    pub(super) fn text(&self, field: usize) -> Read<Arc<str>> {
        Ok(self.checked_text(field)?.map(|(text, _)| text.into()))
    }

    pub(super) fn key(&self, field: usize) -> Read<Arc<str>> {
        // Clients number their messages, too.
        if let Some(Found::Captured(Captured::Number(number), _)) = self.find(field)? {
            return Ok(Some(number.to_string().into()));
        }
        let Some((text, slot)) = self.checked_text(field)? else {
            return Ok(None);
        };
        match slot {
            Some(slot) if !is_key(&text) => self.refuse(
                slot,
                &format!("must be 1 to {MAX_KEY} characters without control characters"),
            ),
            _ => Ok(Some(text.into())),
        }
    }

    pub(super) fn status(&self, field: usize) -> Read<Status> {
        let Some((text, slot)) = self.checked_text(field)? else {
            return Ok(None);
        };
        match (Status::parse(&text), slot, &self.bindings[field]) {
            (None, Some(slot), Some(binding)) => self.refuse(slot, &binding.one_of()),
            (status, ..) => Ok(status),
        }
    }

    pub(super) fn id(&self, field: usize) -> Read<ConversationId> {
        self.parsed(field, ConversationId::new)
    }

    pub(super) fn user(&self, field: usize) -> Read<UserId> {
        self.parsed(field, UserId::new)
    }

    fn parsed<T>(&self, field: usize, parse: fn(&str) -> Result<T, InvalidId>) -> Read<T> {
        let Some((text, slot)) = self.checked_text(field)? else {
            return Ok(None);
        };
        match (parse(&text), slot) {
            (Ok(id), _) => Ok(Some(id)),
            (Err(_), Some(slot)) => self.refuse(slot, &InvalidId.to_string()),
            (Err(_), None) => Ok(None),
        }
    }

    pub(super) fn number(&self, field: usize) -> Read<u64> {
        match self.find(field)? {
            None => Ok(None),
            Some(Found::Captured(Captured::Number(number), _)) => Ok(Some(*number)),
            Some(Found::Captured(Captured::OtherNumber, slot)) => {
                self.refuse(slot, "must be a whole number from 0")
            }
            Some(Found::Captured(_, slot)) => self.wrong(slot, "must be a whole number from 0"),
            Some(Found::Given(Given::Number(number))) => Ok(Some(*number)),
            Some(Found::Given(_)) => Ok(None),
        }
    }

    pub(super) fn flag(&self, field: usize) -> Read<bool> {
        match self.find(field)? {
            None => Ok(None),
            Some(Found::Captured(Captured::Flag(flag), _)) => Ok(Some(*flag)),
            Some(Found::Captured(_, slot)) => self.wrong(slot, "must be true or false"),
            Some(Found::Given(Given::Flag(flag))) => Ok(Some(*flag)),
            Some(Found::Given(_)) => Ok(None),
        }
    }

    pub(super) fn object(&self, field: usize) -> Read<Arc<RawValue>> {
        match self.find(field)? {
            None => Ok(None),
            Some(Found::Captured(Captured::Raw(raw), slot)) if raw.get().starts_with('{') => {
                self.kept(field, slot, raw)
            }
            Some(Found::Captured(_, slot)) => self.wrong(slot, "must be an object"),
            Some(Found::Given(Given::Object(members))) => self.assemble(members),
            Some(Found::Given(_)) => Ok(None),
        }
    }

    /// The object as it came, without the members that the dialect leaves out.
    fn kept(&self, field: usize, slot: Slot, raw: &RawValue) -> Read<Arc<RawValue>> {
        self.check_strict(slot, raw.get())?;
        let checks = self.bindings[field].as_ref().map(|b| b.checks.as_slice());
        let Some([Check::Without(names)]) = checks else {
            self.check_size(slot, raw.get().len())?;
            return Ok(Some(Arc::from(raw.to_owned())));
        };
        let mut json = String::from("{");
        each_member(raw.get(), |name, value| {
            if !names.iter().any(|n| n == name) {
                push_member(&mut json, |json| push_text(json, name), value);
            }
        });
        self.check_size(slot, json.len() + 1)?;
        Ok(closed(json))
    }

    /// Refuses JSON that not every reader understands.
    fn check_strict(&self, slot: Slot, json: &str) -> Result<(), Failure> {
        match is_strict(json) {
            true => Ok(()),
            false => self
                .refuse::<()>(slot, "must be JSON that every reader understands")
                .map(drop),
        }
    }

    fn check_size(&self, slot: Slot, bytes: usize) -> Result<(), Failure> {
        match bytes <= MAX_METADATA {
            true => Ok(()),
            false => self
                .too_large::<()>(slot, &format!("at most {MAX_METADATA} bytes"))
                .map(drop),
        }
    }

    /// An object of those values that are there.
    fn assemble(&self, members: &[(String, Slot)]) -> Read<Arc<RawValue>> {
        let mut json = String::from("{");
        for (key, slot) in members {
            if let Captured::Raw(raw) = self.slots.get(*slot)
                && raw.get() != "null"
            {
                self.check_strict(*slot, raw.get())?;
                push_member(&mut json, |json| json.push_str(key), raw.get());
                self.check_size(*slot, json.len() + 1)?;
            }
        }
        Ok(closed(json))
    }
}

fn is_key(text: &str) -> bool {
    // Nearly every key is a UUID or a number.
    if text.len() <= MAX_KEY && text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return !text.is_empty();
    }
    text.chars().nth(MAX_KEY).is_none() && !text.chars().any(char::is_control)
}

fn push_member(json: &mut String, key: impl FnOnce(&mut String), value: &str) {
    if json.len() > 1 {
        json.push(',');
    }
    key(json);
    json.push(':');
    json.push_str(value);
}

/// The object whose members were pushed; `None` if there were none.
fn closed(mut json: String) -> Option<Arc<RawValue>> {
    if json.len() == 1 {
        return None;
    }
    json.push('}');
    // Keys and values are JSON, so the whole is.
    RawValue::from_string(json).ok().map(Arc::from)
}
