//! Identifiers: opaque text of at most 128 characters from `[A-Za-z0-9._:|@+-]`, so that subjects
//! such as `auth0|5f7c…` and addresses of e-mail are some. None of the characters means anything in
//! names of channels and keys of Redis, in paths or in lists divided by commas.
//!
//! They are reference counted because one id travels through many events, rooms and queues.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest identifier accepted, in characters (all of them ASCII, so also in bytes).
pub const MAX_ID_LEN: usize = 128;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to {MAX_ID_LEN} characters from A-Z a-z 0-9 . _ : | @ + -")]
pub struct InvalidId;

/// Whether `text` is acceptable as an identifier.
pub fn is_valid_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ID_LEN
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:|@+-".contains(&b))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and wraps it.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                if is_valid_id(text) { Ok(Self(text.into())) } else { Err(InvalidId) }
            }

            /// Wraps text that this gateway wrote itself (a database row, a UUID), unchecked.
            pub fn trusted(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// A fresh time-ordered identifier (UUIDv7).
            pub fn generate() -> Self {
                Self(uuid::Uuid::now_v7().to_string().into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

id!(
    /// A user: the subject of a verified token. The gateway owns no accounts.
    UserId
);
id!(
    /// A conversation, direct or group.
    ConversationId
);
id!(
    /// A message.
    MessageId
);
id!(
    /// An uploaded file.
    UploadId
);
id!(
    /// One live connection of a user, unique over the whole cluster. Never shown to other users.
    DeviceId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_id() {
        let longest = "x".repeat(MAX_ID_LEN);
        let ids = [
            "7",
            "user_2:a.b-c",
            "auth0|5f7c",
            "a+b@example.org",
            &longest,
        ];
        for id in ids {
            assert!(is_valid_id(id), "{id}");
        }
        let long = "x".repeat(MAX_ID_LEN + 1);
        for text in [
            "", " ", "a,b", "a/b", "{a}", "a#b", "a\0", "ä", "a%20b", &long,
        ] {
            assert!(!is_valid_id(text), "{text}");
        }
    }
}
