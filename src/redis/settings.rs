//! From `[redis]` to a client.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    types::{
        Builder, RespVersion,
        config::{
            Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig,
            TcpConfig, TlsConfig, TlsConnector, TlsHostMapping, UnresponsiveConfig,
        },
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::config;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Time between two tries to connect, in milliseconds: at first, and at most.
const RETRY_MS: (u32, u32) = (100, 2_000);
/// Messages of the subscriber that may wait to be handed on. What does not fit counts as lost.
const MESSAGES: usize = 16_384;

/// Why `[redis]` cannot be used. Each is one line for people.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL is wrong; the configuration's check has said so already.
    #[error("redis.url {0}")]
    Url(String),
    /// The file of authorities cannot be read.
    #[error("redis.tls_ca_file {}: {source}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("redis.url: TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The client refuses its settings.
    #[error("redis: {0}")]
    Client(#[from] fred::error::Error),
}

/// A client that is not connected.
pub(super) fn client(redis: &config::Redis) -> Result<Client, SettingsError> {
    let address = redis.address().map_err(SettingsError::Url)?;
    let own = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    let tls = if address.tls { Some(tls(redis)?) } else { None };
    let hosts = |port| {
        let hosts = address.hosts.iter();
        hosts.map(move |(host, own)| Server::new(host.clone(), own.unwrap_or(port)))
    };
    let server = if redis.cluster {
        ServerConfig::Clustered {
            hosts: hosts(PORT).collect(),
            policy: fred::types::config::ClusterDiscoveryPolicy::UseCache,
        }
    } else if !redis.sentinel_service.is_empty() {
        ServerConfig::Sentinel {
            hosts: hosts(SENTINEL_PORT).collect(),
            service_name: redis.sentinel_service.clone(),
            username: own(&redis.sentinel_username),
            password: own(&redis.sentinel_password),
        }
    } else {
        let server = hosts(PORT).next();
        let none = || SettingsError::Url("names no host".to_owned());
        ServerConfig::Centralized {
            server: server.ok_or_else(none)?,
        }
    };
    let config = Config {
        // The first try is made at once; Connection::keep makes the next ones.
        fail_fast: true,
        username: credential(own(&redis.username).or(address.username)),
        password: credential(own(&redis.password).or(address.password)),
        server,
        // What answers a command and what was published are told apart for certain.
        version: RespVersion::RESP3,
        database: Some(address.database).filter(|n| *n != 0),
        tls,
        ..Config::default()
    };
    let policy = ReconnectPolicy::new_exponential(0, RETRY_MS.0, RETRY_MS.1, 2);
    let client = Builder::from_config(config)
        .with_connection_config(|c| *c = connection(redis))
        .with_performance_config(|p| {
            *p = PerformanceConfig {
                default_command_timeout: redis.command_timeout,
                broadcast_channel_capacity: MESSAGES,
                ..PerformanceConfig::default()
            };
        })
        .set_policy(policy)
        .build()?;
    Ok(client)
}

/// A user or password as it must stand in the line `HELLO 3 AUTH USER PASSWORD`, which fred sends
/// without quotes (redis-protocol 6.0.0, `resp3/encode.rs`) and Redis splits into words as a shell
/// would (`sdssplitargs`).
fn credential(text: Option<String>) -> Option<String> {
    let text = text?;
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    if text.bytes().all(plain) {
        return Some(text);
    }
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        if plain(byte) {
            quoted.push(byte.into());
        } else {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    Some(quoted)
}

fn connection(redis: &config::Redis) -> ConnectionConfig {
    let timeout = redis.command_timeout;
    ConnectionConfig {
        connection_timeout: redis.connect_timeout,
        internal_command_timeout: timeout,
        // What was on its way when a connection broke may have arrived: sent again, a message
        // would be published twice.
        max_command_attempts: 1,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(timeout.saturating_mul(2)),
            interval: (timeout / 2).max(Duration::from_millis(10)),
        },
        reconnect_on_auth_error: true,
        tcp: TcpConfig {
            nodelay: Some(true),
            user_timeout: Some(timeout.saturating_mul(2)),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    }
}

fn tls(redis: &config::Redis) -> Result<TlsConfig, SettingsError> {
    let path = &redis.tls_ca_file;
    let mut roots = RootCertStore::empty();
    if path.as_os_str().is_empty() {
        // Those that cannot be read are nobody's concern unless a server's is among them.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let unreadable = |source| SettingsError::Authorities {
            path: path.clone(),
            source,
        };
        let pem = std::fs::read(path).map_err(unreadable)?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate =
                certificate.map_err(|e| unreadable(io::Error::other(e.to_string())))?;
            roots.add(certificate)?;
        }
        if roots.is_empty() {
            return Err(unreadable(io::Error::other("holds no certificate")));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConfig {
        connector: TlsConnector::from(config),
        // A Redis Cluster names its nodes by address, their certificates by name.
        hostnames: if redis.cluster {
            TlsHostMapping::DefaultHost
        } else {
            TlsHostMapping::None
        },
    })
}
