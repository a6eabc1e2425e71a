//! Texts on their way into the database and cursors on their way out.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::chat::{ConversationId, Millis, StoreError, StoreResult};

/// Refuses what PostgreSQL cannot hold, on both databases alike.
pub(super) fn storable(text: &str) -> StoreResult<()> {
    if text.contains('\0') {
        return Err(StoreError::Invalid("a text holds a NUL character"));
    }
    Ok(())
}

/// The cursor that continues after a conversation: opaque to clients, safe in a query string.
pub(super) fn encode_cursor(updated_at: Millis, id: &ConversationId) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{id}", updated_at.0))
}

/// Reads a cursor; [`StoreError::NotFound`] if it is none.
pub(super) fn decode_cursor(cursor: &str) -> StoreResult<(Millis, ConversationId)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = text.as_deref().and_then(|text| text.split_once(':'));
    parts
        .and_then(|(at, id)| Some((Millis(at.parse().ok()?), ConversationId::new(id).ok()?)))
        .ok_or(StoreError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_trip_and_nonsense_is_refused() {
        let id = ConversationId::trusted("a:b.c_d-e");
        let cursor = encode_cursor(Millis(-5), &id);
        assert_eq!(decode_cursor(&cursor).unwrap(), (Millis(-5), id));
        for bad in ["", "*", "YWJj", &cursor[1..], &URL_SAFE_NO_PAD.encode("1:")] {
            assert!(matches!(decode_cursor(bad), Err(StoreError::NotFound)));
        }
    }
}
