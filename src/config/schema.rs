//! What keys there are, read from `config/default.toml`: the only list of them.

use std::sync::LazyLock;

use toml::{Table, Value as Toml};

/// The embedded default with its documentation; `porchlight default-config` prints it.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

/// The section whose blocks may be several: `[[socket]]`.
pub(super) const LIST_SECTION: &str = "socket";

/// The prefix of the gateway's own variables.
pub(super) const PREFIX: &str = "PORCHLIGHT_";

/// A value of any key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Switch(bool),
    List(Vec<String>),
}

impl Value {
    pub(super) fn to_toml(&self) -> Toml {
        match self {
            Self::Text(text) => Toml::String(text.clone()),
            Self::Number(number) => Toml::Integer(*number),
            Self::Switch(on) => Toml::Boolean(*on),
            Self::List(items) => Toml::Array(items.iter().cloned().map(Toml::String).collect()),
        }
    }

    /// What a value of the same type is called.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text in quotes",
            Self::Number(_) => "a whole number without quotes",
            Self::Switch(_) => "true or false without quotes",
            Self::List(_) => "a list of texts, such as [\"a\", \"b\"]",
        }
    }
}

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// `section.key`; `socket.path` stands for the path of any `[[socket]]`.
    pub name: String,
    /// The environment variable that sets it.
    pub variable: String,
    /// The default, which also says of what type it is.
    pub(super) default: Value,
}

impl Key {
    /// Whether its values are never shown.
    pub fn is_secret(&self) -> bool {
        matches!(
            self.name.as_str(),
            "auth.jwt_secrets"
                | "auth.nextauth_secret"
                | "auth.api_keys"
                | "redis.password"
                | "redis.sentinel_password"
                | "uploads.s3_access_key_id"
                | "uploads.s3_secret_access_key"
        )
    }

    /// Whether its values may hold a password that is never shown.
    pub(super) fn is_url(&self) -> bool {
        matches!(
            self.name.as_str(),
            "database.url" | "redis.url" | "auth.jwks_url" | "uploads.s3_endpoint"
        )
    }

    /// The smallest and largest number allowed.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        RANGES
            .iter()
            .find(|(name, ..)| *name == self.name)
            .map(|(_, min, max)| (*min, *max))
    }

    /// The unit that the name ends in.
    pub(super) fn unit(&self) -> &'static str {
        match self.name.rsplit('_').next() {
            Some("ms") => " ms",
            Some("us") => " µs",
            Some("s") => " s",
            Some("bytes") => " bytes",
            _ => "",
        }
    }
}

/// Every key, sorted by name.
pub fn keys() -> &'static [Key] {
    &KEYS
}

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    // The file is part of the program, and a test parses it.
    let table: Table = DEFAULT.parse().unwrap_or_default();
    let mut keys = Vec::new();
    for (section, content) in &table {
        let block = match content {
            Toml::Array(blocks) => blocks.first(),
            block => Some(block),
        };
        for (leaf, value) in block.and_then(Toml::as_table).into_iter().flatten() {
            let name = format!("{section}.{leaf}");
            keys.push(Key {
                variable: format!("{PREFIX}{section}_{leaf}").to_ascii_uppercase(),
                default: match value {
                    Toml::Integer(number) => Value::Number(*number),
                    Toml::Boolean(on) => Value::Switch(*on),
                    Toml::Array(items) => Value::List(
                        items
                            .iter()
                            .filter_map(Toml::as_str)
                            .map(str::to_owned)
                            .collect(),
                    ),
                    other => Value::Text(other.as_str().unwrap_or_default().to_owned()),
                },
                name,
            });
        }
    }
    keys
});

const DAY_MS: i64 = 86_400_000;
const YEAR_S: i64 = 31_536_000;
const RATE: i64 = 1_000_000;

/// The numbers allowed, for every key that is a number.
const RANGES: &[(&str, i64, i64)] = &[
    ("server.drain_notice_ms", 0, DAY_MS),
    ("server.drain_ms", 0, DAY_MS),
    ("server.shutdown_timeout_ms", 0, DAY_MS),
    ("database.max_connections", 1, 1000),
    ("database.acquire_timeout_ms", 1, 600_000),
    ("database.group_commit_wait_us", 0, 1_000_000),
    ("database.group_commit_max", 1, 10_000),
    ("redis.connect_timeout_ms", 10, 600_000),
    ("redis.command_timeout_ms", 10, 600_000),
    ("emitters.max_bytes", 1024, 256 << 20),
    ("auth.jwks_cache_s", 1, YEAR_S),
    ("auth.jwks_min_refresh_s", 1, 86_400),
    ("auth.leeway_s", 0, 3600),
    ("auth.socket_token_ttl_s", 1, YEAR_S),
    ("transport.ping_interval_ms", 100, 600_000),
    ("transport.ping_timeout_ms", 100, 600_000),
    ("transport.connect_timeout_ms", 100, 600_000),
    ("transport.upgrade_timeout_ms", 100, 600_000),
    ("transport.write_timeout_ms", 100, 600_000),
    ("transport.send_queue", 1, 1_000_000),
    ("transport.send_queue_bytes", 1, 10_000_000_000),
    ("transport.compress_from_bytes", 0, 1_000_000),
    // Reading pauses above half of it: half of 1 would never let anything in.
    ("transport.receive_queue", 2, 1_000_000),
    ("chat.max_content_chars", 1, 10_000_000),
    ("chat.max_attachments", 0, 1000),
    ("chat.max_participants", 2, 1_000_000),
    ("chat.page_size", 1, 10_000),
    ("chat.max_page_size", 1, 10_000),
    ("chat.typing_timeout_ms", 1, DAY_MS),
    ("chat.typing_throttle_ms", 0, DAY_MS),
    ("chat.presence_grace_ms", 0, DAY_MS),
    ("chat.presence_heartbeat_ms", 50, 60_000),
    ("uploads.max_bytes", 1, 1 << 40),
    ("uploads.max_pixels", 0, 1_000_000_000),
    ("uploads.thumbnail_side", 16, 4096),
    ("uploads.unused_after_s", 1, YEAR_S),
    ("chat.online_list_max", 1, 1_000_000),
    ("chat.online_list_interval_ms", 10, DAY_MS),
    ("limits.events_per_second", 1, RATE),
    ("limits.events_burst", 1, RATE),
    ("limits.flood_close_after", 1, RATE),
    ("limits.messages_per_second", 1, RATE),
    ("limits.messages_burst", 1, RATE),
    ("limits.connections_per_address", 1, RATE),
    ("limits.connections_per_user", 1, RATE),
    ("limits.handshakes_per_second", 1, RATE),
    ("limits.handshakes_burst", 1, RATE),
    ("limits.node_handshakes_per_second", 1, RATE),
    ("limits.node_handshakes_burst", 1, RATE),
    ("limits.admissions_at_once", 1, 100_000),
    ("limits.requests_per_second", 1, RATE),
    ("limits.requests_burst", 1, RATE),
    ("limits.uploads_per_minute", 1, RATE),
    ("limits.uploads_burst", 1, RATE),
    ("limits.max_message_bytes", 1024, 256 << 20),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_range_that_holds_its_default() {
        for key in keys() {
            if let Value::Number(number) = key.default {
                let (min, max) = key
                    .range()
                    .unwrap_or_else(|| panic!("{} has no range", key.name));
                assert!((min..=max).contains(&number), "{}", key.name);
            }
        }
        for (name, ..) in RANGES {
            assert!(find(name).is_some(), "{name} is no key");
        }
    }
}
