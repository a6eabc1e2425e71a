//! Why a node does not start.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use crate::{auth::AuthConfigError, blobs, chat, dialect::DialectError, redis, store, telemetry};

/// Why a node did not start. Each is one line for people.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {addr} ({key}): {source}")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The node's own secret cannot be read or made.
    #[error("cannot keep a secret in {}: {source}", dir.display())]
    Secret {
        /// The data folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The database does not tell who was revoked.
    #[error("cannot read who was revoked: {0}")]
    Orders(#[from] chat::StoreError),
    /// The storage of uploads cannot be used.
    #[error(transparent)]
    Blobs(#[from] blobs::OpenError),
    /// Redis cannot be used as it is configured. That it cannot be reached is no reason not to start.
    #[error(transparent)]
    Redis(#[from] redis::SettingsError),
    /// A key or secret cannot be used.
    #[error(transparent)]
    Auth(#[from] AuthConfigError),
    /// Dialects with mistakes.
    #[error("{}", Lines(.0))]
    Dialects(Vec<DialectError>),
    /// A path names a dialect that does not exist.
    #[error("socket[{index}].dialect: there is no dialect \"{name}\", only {known}")]
    UnknownDialect {
        /// Which of the paths.
        index: usize,
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Node servers are to be spoken to in a dialect that does not exist.
    #[error("emitters.node_dialect: there is no dialect \"{name}\", only {known}")]
    UnknownNodeDialect {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Metrics(#[from] telemetry::InstallError),
}

impl StartError {
    /// Whether the configuration is at fault, and not the world.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Auth(_)
                | Self::Dialects(_)
                | Self::UnknownDialect { .. }
                | Self::UnknownNodeDialect { .. }
                | Self::Redis(_)
        )
    }
}

struct Lines<'a>(&'a [DialectError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            let end_of_last = if n > 0 { "\n" } else { "" };
            write!(f, "{end_of_last}{error}")?;
        }
        Ok(())
    }
}
