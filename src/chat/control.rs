//! Orders that refuse tokens, end connections or empty rooms, as they are kept: every node learns of
//! each, also one that starts later or could not be told.

use std::{fmt, str::FromStr};

use super::{ConversationId, DeviceId, Millis, UserId};

/// The time of what does not end by itself.
pub const NEVER: Millis = Millis(i64::MAX);

/// What a token is known by without being known: a digest of it or of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenKey([u8; 16]);

impl TokenKey {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token's key is 32 hexadecimal digits")]
pub struct InvalidTokenKey;

impl FromStr for TokenKey {
    type Err = InvalidTokenKey;

    fn from_str(text: &str) -> Result<Self, InvalidTokenKey> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidTokenKey);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InvalidTokenKey)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// Whom an order is about. There is at most one order about each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Tokens of the user that were issued before [`Order::issued_before`], and those that do not
    /// say when, are refused; connections that stand on them are closed.
    Tokens(UserId),
    /// The user is refused and closed, whatever tokens they have.
    User(UserId),
    /// One token, and those minted from it, are refused; connections that stand on them are closed.
    Token(TokenKey),
    /// Connections of the user that a node has when it learns of this are closed.
    Devices(UserId),
    /// As [`Subject::Devices`], but one of them.
    Device(UserId, DeviceId),
    /// Somebody does not take part in the conversation any more, or it was deleted: whoever is in
    /// its room is compared with who takes part.
    Members(ConversationId),
}

/// As the store keeps it: a word, a colon, and ids, of which none holds a slash.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(user) => write!(f, "tokens:{user}"),
            Self::User(user) => write!(f, "user:{user}"),
            Self::Token(key) => write!(f, "token:{key}"),
            Self::Devices(user) => write!(f, "devices:{user}"),
            Self::Device(user, device) => write!(f, "device:{user}/{device}"),
            Self::Members(conversation) => write!(f, "members:{conversation}"),
        }
    }
}

/// Why a text is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no subject of an order")]
pub struct InvalidSubject;

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let (word, rest) = text.split_once(':').ok_or(InvalidSubject)?;
        let user = || UserId::new(rest).map_err(|_| InvalidSubject);
        Ok(match word {
            "tokens" => Self::Tokens(user()?),
            "user" => Self::User(user()?),
            "token" => Self::Token(rest.parse().map_err(|_| InvalidSubject)?),
            "devices" => Self::Devices(user()?),
            "device" => {
                let (user, device) = rest.split_once('/').ok_or(InvalidSubject)?;
                let user = UserId::new(user).map_err(|_| InvalidSubject)?;
                let device = DeviceId::new(device).map_err(|_| InvalidSubject)?;
                Self::Device(user, device)
            }
            "members" => Self::Members(ConversationId::new(rest).map_err(|_| InvalidSubject)?),
            _ => return Err(InvalidSubject),
        })
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which change of all orders brought it, counted by the store. A greater one is a later one.
    pub version: i64,
    /// Whom it is about.
    pub subject: Subject,
    /// For [`Subject::Tokens`]: tokens issued at or after this are accepted. Otherwise 0.
    pub issued_before: Millis,
    /// From when on it has no effect; [`NEVER`] if it stays.
    pub ends_at: Millis,
}

/// Orders as [`Store::orders_after`](super::Store::orders_after) reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// Ascending by version. Those of a kind that came later than this program are left out.
    pub orders: Vec<Order>,
    /// The version that was read up to; what was asked for if there is nothing newer.
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_as_they_are_written() {
        let user = || UserId::trusted("u:1.2_3-4");
        let key = TokenKey::new([7; 16]);
        for subject in [
            Subject::Tokens(user()),
            Subject::User(user()),
            Subject::Token(key),
            Subject::Devices(user()),
            Subject::Device(user(), DeviceId::trusted("d:1")),
            Subject::Members(ConversationId::trusted("c:1")),
        ] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        for text in ["", "user", "user:", "token:07", "device:u", "later:u"] {
            assert_eq!(text.parse::<Subject>(), Err(InvalidSubject), "{text}");
        }
    }
}
