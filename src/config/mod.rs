//! Configuration: plain structs, one for each section of `config/default.toml`, which is both the
//! documentation and the schema. [`load`] reads default, file and environment and
//! reports every mistake at once.

mod check;
mod draft;
mod env;
mod file;
mod finding;
mod level;
mod load;
mod redis;
mod schema;
mod secret;
mod urls;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

// reqwest's re-export of the `url` crate.
use reqwest::Url;
use serde::Deserialize;

pub use finding::{ConfigErrors, Finding, Origin};
pub use level::{Directive, parse_directives};
pub use load::{Changed, Loaded, Sources, load};
pub use redis::RedisAddress;
pub use schema::{DEFAULT, Key, keys};
pub use secret::{local_secret, local_secret_file};

/// The whole configuration, checked. Not `Debug`: it holds secrets, which are never printed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Listeners and process.
    pub server: Server,
    /// Logging.
    pub log: Log,
    /// The database.
    pub database: Database,
    /// The way to other nodes.
    pub redis: Redis,
    /// Other backends on the same Redis.
    pub emitters: Emitters,
    /// Identity.
    pub auth: Auth,
    /// Socket.IO paths.
    pub socket: Vec<SocketPath>,
    /// Socket.IO transports.
    pub transport: Transport,
    /// Vocabularies.
    pub dialects: Dialects,
    /// Conversations.
    pub chat: Chat,
    /// Files.
    pub uploads: Uploads,
    /// Limits.
    pub limits: Limits,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators look.
    pub ops_listen: SocketAddr,
    /// Folder for the node's own files.
    pub data_dir: PathBuf,
    /// Origins of web pages that may connect.
    pub cors_origins: Vec<String>,
    /// Whether the client's address comes from `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
    /// Whether the demo page is served.
    pub demo: Demo,
    /// How long a stop only says that it is coming.
    #[serde(deserialize_with = "ms", rename = "drain_notice_ms")]
    pub drain_notice: Duration,
    /// Over which time a stop closes connections.
    #[serde(deserialize_with = "ms", rename = "drain_ms")]
    pub drain: Duration,
    /// How long a stop waits for work under way.
    #[serde(deserialize_with = "ms", rename = "shutdown_timeout_ms")]
    pub shutdown_timeout: Duration,
}

/// `server.demo`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Demo {
    /// On a loopback listener only.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level or directives.
    pub level: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// `[database]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://` or `postgres://`; empty means SQLite in the data folder.
    pub url: String,
    /// Pool size.
    pub max_connections: u32,
    /// How long a query waits for a connection.
    #[serde(deserialize_with = "ms", rename = "acquire_timeout_ms")]
    pub acquire_timeout: Duration,
    /// The longest that a send waits for company.
    #[serde(deserialize_with = "us", rename = "group_commit_wait_us")]
    pub group_commit_wait: Duration,
    /// Messages in one transaction at most.
    pub group_commit_max: usize,
}

/// `[redis]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://` or `rediss://`; empty means that this node runs alone. See [`Redis::address`].
    pub url: String,
    /// What the names of all keys and channels begin with.
    pub prefix: String,
    /// The user; empty means the URL's.
    pub username: String,
    /// The password; empty means the URL's.
    pub password: String,
    /// Whether the URL names nodes of a Redis Cluster.
    pub cluster: bool,
    /// The service that Sentinels at the URL's hosts know; empty means no Sentinels.
    pub sentinel_service: String,
    /// The user for Sentinels; empty means none.
    pub sentinel_username: String,
    /// The password for Sentinels; empty means none.
    pub sentinel_password: String,
    /// A PEM file with the authorities to trust; empty means the system's.
    pub tls_ca_file: PathBuf,
    /// How long a connection may take to come about.
    #[serde(deserialize_with = "ms", rename = "connect_timeout_ms")]
    pub connect_timeout: Duration,
    /// How long an answer may take before Redis counts as down.
    #[serde(deserialize_with = "ms", rename = "command_timeout_ms")]
    pub command_timeout: Duration,
    /// Whether one node alone uses Redis beside SQLite.
    pub allow_sqlite: bool,
}

/// `[emitters]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emitters {
    /// Whether other backends are listened to at all.
    pub enabled: bool,
    /// The first part of the JavaScript packages' channels.
    pub key: String,
    /// The channel of python-socketio; empty means none.
    pub python_channel: String,
    /// Patterns of event names that may be emitted.
    pub events: Vec<String>,
    /// Patterns of rooms that may be addressed.
    pub rooms: Vec<String>,
    /// Whether everybody may be addressed at once.
    pub everybody: bool,
    /// What stands before a user's id in the name of the user's room.
    pub user_prefix: String,
    /// What stands before a conversation's id in the name of its room.
    pub conversation_prefix: String,
    /// The largest message accepted.
    pub max_bytes: usize,
    /// Whether Node servers are told what happens here.
    pub node_servers: bool,
    /// In which words they are; empty means those of the first path.
    pub node_dialect: String,
}

/// `[auth]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// HS256 secrets, newest first.
    pub jwt_secrets: Vec<String>,
    /// PEM public key files.
    pub public_key_files: Vec<PathBuf>,
    /// Where to fetch public keys; empty means nowhere.
    pub jwks_url: String,
    /// How long fetched keys are used.
    #[serde(deserialize_with = "s", rename = "jwks_cache_s")]
    pub jwks_cache: Duration,
    /// The least time between two fetches.
    #[serde(deserialize_with = "s", rename = "jwks_min_refresh_s")]
    pub jwks_min_refresh: Duration,
    /// Required `iss`; empty means unchecked.
    pub issuer: String,
    /// Required `aud`; empty means unchecked.
    pub audience: String,
    /// Clock difference to tolerate.
    #[serde(deserialize_with = "s", rename = "leeway_s")]
    pub leeway: Duration,
    /// Claims that may hold the user's id, first one present wins.
    pub user_id_claims: Vec<String>,
    /// Claims that may hold the name.
    pub name_claims: Vec<String>,
    /// Claims that may hold the e-mail address.
    pub email_claims: Vec<String>,
    /// Claims that may hold the picture's URL.
    pub avatar_claims: Vec<String>,
    /// Query parameter that may hold the token; empty means none.
    pub query_parameter: String,
    /// Cookie that may hold the token; empty means none.
    pub cookie: String,
    /// NextAuth's secret; empty means that its cookies are not accepted.
    pub nextauth_secret: String,
    /// Keys of service callers.
    pub api_keys: Vec<String>,
    /// Whether connections without a token may say themselves whose they are.
    pub trust_new_user: bool,
    /// Whether [`Auth::trust_new_user`] is wanted where others can connect, too.
    pub insecure: bool,
    /// How long a minted socket token lives.
    #[serde(deserialize_with = "s", rename = "socket_token_ttl_s")]
    pub socket_token_ttl: Duration,
}

/// One `[[socket]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketPath {
    /// The Engine.IO path, such as `/socket.io`.
    pub path: String,
    /// The dialect spoken unless a connection chooses another.
    pub dialect: String,
}

/// `[transport]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// Time between two pings.
    #[serde(deserialize_with = "ms", rename = "ping_interval_ms")]
    pub ping_interval: Duration,
    /// How long to wait for a pong.
    #[serde(deserialize_with = "ms", rename = "ping_timeout_ms")]
    pub ping_timeout: Duration,
    /// How long a client may take to ask for a namespace.
    #[serde(deserialize_with = "ms", rename = "connect_timeout_ms")]
    pub connect_timeout: Duration,
    /// How long an upgrade may take.
    #[serde(deserialize_with = "ms", rename = "upgrade_timeout_ms")]
    pub upgrade_timeout: Duration,
    /// How long a reader may take nothing.
    #[serde(deserialize_with = "ms", rename = "write_timeout_ms")]
    pub write_timeout: Duration,
    /// Packets waiting for one connection at most.
    pub send_queue: usize,
    /// Bytes waiting for one connection at most; a single packet may be larger.
    pub send_queue_bytes: usize,
    /// Packets from this size on are compressed, in bytes; 0: none.
    pub compress_from_bytes: usize,
    /// Events of one connection waiting to be handled at most.
    pub receive_queue: usize,
}

/// `[dialects]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialects {
    /// A folder with further dialects; empty means none.
    pub dir: PathBuf,
}

/// `[chat]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// Characters in a message's content at most.
    pub max_content_chars: usize,
    /// Uploads attached to a message at most.
    pub max_attachments: usize,
    /// Participants in a group at most.
    pub max_participants: u32,
    /// Messages in a page when the client does not say.
    pub page_size: u32,
    /// Messages in a page at most.
    pub max_page_size: u32,
    /// When typing stops by itself.
    #[serde(deserialize_with = "ms", rename = "typing_timeout_ms")]
    pub typing_timeout: Duration,
    /// The least time between two typing indicators of a user in a conversation.
    #[serde(deserialize_with = "ms", rename = "typing_throttle_ms")]
    pub typing_throttle: Duration,
    /// How long a user stays online without a device.
    #[serde(deserialize_with = "ms", rename = "presence_grace_ms")]
    pub presence_grace: Duration,
    /// Time between two signs of life to the other nodes.
    #[serde(deserialize_with = "ms", rename = "presence_heartbeat_ms")]
    pub presence_heartbeat: Duration,
    /// Users in a list of all who are online at most.
    pub online_list_max: u32,
    /// The least time between two such lists.
    #[serde(deserialize_with = "ms", rename = "online_list_interval_ms")]
    pub online_list_interval: Duration,
}

/// `[uploads]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uploads {
    /// The folder; empty means one in the data folder.
    pub dir: PathBuf,
    /// The bucket; empty means that a folder is used.
    pub s3_bucket: String,
    /// Where the storage is; empty means Amazon's.
    pub s3_endpoint: String,
    /// The storage's region.
    pub s3_region: String,
    /// In front of every key.
    pub s3_prefix: String,
    /// The access key; empty means the machine's role.
    pub s3_access_key_id: String,
    /// The secret of the access key.
    pub s3_secret_access_key: String,
    /// Bytes of a file at most.
    pub max_bytes: u64,
    /// Media types that are accepted.
    pub types: Vec<String>,
    /// Pixels of a picture that gets a thumbnail at most.
    pub max_pixels: u64,
    /// The side of the square that thumbnails fit into, in pixels.
    pub thumbnail_side: u32,
    /// When a file that no message refers to is deleted.
    #[serde(deserialize_with = "s", rename = "unused_after_s")]
    pub unused_after: Duration,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Events a second of one connection.
    pub events_per_second: u32,
    /// Events at once of one connection.
    pub events_burst: u32,
    /// Refused events in a minute before the connection is closed.
    pub flood_close_after: u32,
    /// Messages a second of one user.
    pub messages_per_second: u32,
    /// Messages at once of one user.
    pub messages_burst: u32,
    /// Connections of one address at one time.
    pub connections_per_address: u32,
    /// Connections of one user at one time.
    pub connections_per_user: u32,
    /// Handshakes a second of one address.
    pub handshakes_per_second: u32,
    /// Handshakes at once of one address.
    pub handshakes_burst: u32,
    /// Handshakes a second of everybody.
    pub node_handshakes_per_second: u32,
    /// Handshakes at once of everybody.
    pub node_handshakes_burst: u32,
    /// Connections being admitted at one time.
    pub admissions_at_once: usize,
    /// REST requests a second of one caller.
    pub requests_per_second: u32,
    /// REST requests at once of one caller.
    pub requests_burst: u32,
    /// Uploads a minute of one user.
    pub uploads_per_minute: u32,
    /// Uploads at once of one user.
    pub uploads_burst: u32,
    /// The largest inbound packet or body but for uploads, in bytes.
    pub max_message_bytes: usize,
}

fn ms<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    u64::deserialize(d).map(Duration::from_millis)
}

fn us<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    u64::deserialize(d).map(Duration::from_micros)
}

fn s<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    u64::deserialize(d).map(Duration::from_secs)
}
