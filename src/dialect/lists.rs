//! Fields that take several values: lists of ids, of uploads, and numbers by conversation.

use std::collections::BTreeMap;

use crate::chat::{ConversationId, InvalidId, MessageId, UploadId, UploadReference};

use super::{
    bind::{Arguments, Found, Read},
    capture::{Captured, MAX_ELEMENTS},
};

impl Arguments<'_, '_> {
    /// A message's id, or a list of at least one.
    pub(super) fn ids(&self, field: usize) -> Read<Vec<MessageId>> {
        let (captured, slot) = match self.find(field)? {
            Some(Found::Captured(captured, slot)) => (captured, slot),
            _ => return Ok(None),
        };
        let one = |value: &Captured<'_>| match value {
            Captured::Text(text) => MessageId::new(text).ok(),
            _ => None,
        };
        match captured {
            Captured::Text(_) => match one(captured) {
                Some(id) => Ok(Some(vec![id])),
                None => self.refuse(slot, &InvalidId.to_string()),
            },
            // Read as "all of it" an empty list would mark more than the client has seen.
            Captured::List(list) if list.is_empty() => self.refuse(slot, "must not be empty"),
            Captured::List(list) => match list.iter().map(one).collect() {
                Some(ids) => Ok(Some(ids)),
                None => self.refuse(slot, &InvalidId.to_string()),
            },
            Captured::TooMany => self.too_large(slot, &format!("at most {MAX_ELEMENTS} ids")),
            _ => self.wrong(slot, "must be an id or a list of ids"),
        }
    }

    /// Uploads by id or URL, bare or in an object.
    pub(super) fn uploads(&self, field: usize) -> Read<Vec<UploadId>> {
        let (raw, slot) = match self.find(field)? {
            Some(Found::Captured(Captured::Raw(raw), slot)) => (raw, slot),
            _ => return Ok(None),
        };
        let must = "must be a list of uploads' ids or URLs";
        if !raw.get().starts_with('[') {
            return self.wrong(slot, must);
        }
        let Ok(named) = serde_json::from_str::<Vec<UploadReference>>(raw.get()) else {
            return self.refuse(slot, must);
        };
        if named.len() > MAX_ELEMENTS {
            return self.too_large(slot, &format!("at most {MAX_ELEMENTS} uploads"));
        }
        match named.iter().map(UploadReference::id).collect() {
            Some(ids) => Ok(Some(ids)),
            None => self.refuse(slot, must),
        }
    }

    pub(super) fn numbers(&self, field: usize) -> Read<BTreeMap<ConversationId, u64>> {
        let (captured, slot) = match self.find(field)? {
            Some(Found::Captured(captured, slot)) => (captured, slot),
            _ => return Ok(None),
        };
        let entries = match captured {
            Captured::Object(entries) => entries,
            Captured::TooMany => {
                return self.too_large(slot, &format!("at most {MAX_ELEMENTS} conversations"));
            }
            _ => return self.wrong(slot, "must be an object"),
        };
        let mut numbers = BTreeMap::new();
        for (name, value) in entries {
            match (ConversationId::new(name), value) {
                (Ok(id), Captured::Number(seq)) if !numbers.contains_key(&id) => {
                    numbers.insert(id, *seq);
                }
                _ => {
                    let must = "must give one whole number from 0 for each conversation id";
                    return self.refuse(slot, must);
                }
            }
        }
        Ok(Some(numbers))
    }
}
