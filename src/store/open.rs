//! From a URL to an open store: which database, connecting, migrating.

use std::{error::Error as StdError, path::Path, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection,
    migrate::{Migrate, Migrator},
    postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};

use super::{
    committer::{Committer, Grouping},
    connections::Connections,
    core::Core,
    engine::Engine,
    indexer::Indexer,
    port::SqlStore,
    postgres, sqlite,
};
use crate::{chat::Store, config};

/// PostgreSQL commits this many batches at the same time at most: more only cuts batches smaller.
const MAX_LANES: u32 = 4;

/// Why the store could not be opened. One line for people, without the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `database.url` is no database that the gateway can use.
    #[error("database.url {0}")]
    Url(&'static str),
    /// The database does not answer, or refuses this user.
    #[error("cannot open the database {database}: {source}")]
    Connect {
        /// Which, as [`describe`] puts it.
        database: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The database answers, but its tables could not be made or brought up to date.
    #[error("cannot migrate the database {database}: {source}")]
    Migrate {
        /// Which, as [`describe`] puts it.
        database: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// A database that a URL names.
enum Target {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl Target {
    fn of(url: &str, default_path: &Path) -> Result<Self, OpenError> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "" if url.is_empty() => {
                let options = SqliteConnectOptions::new().filename(default_path);
                Ok(Self::Sqlite(Box::new(options)))
            }
            "sqlite" => {
                if url.contains(":memory:") || url.contains("mode=memory") {
                    return Err(OpenError::Url(
                        "names a database in memory, which would lose what was acknowledged",
                    ));
                }
                let options = SqliteConnectOptions::from_str(url)
                    .map_err(|_| OpenError::Url("is not a readable sqlite:// URL"))?;
                if options.get_filename().as_os_str().is_empty() {
                    return Err(OpenError::Url("names no file: write sqlite://PATH"));
                }
                Ok(Self::Sqlite(Box::new(options)))
            }
            "postgres" | "postgresql" => PgConnectOptions::from_str(url)
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|_| OpenError::Url("is not a readable postgres:// URL")),
            _ => Err(OpenError::Url("is neither sqlite:// nor postgres://")),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Sqlite(options) => format!("sqlite://{}", options.get_filename().display()),
            Self::Postgres(options) => {
                let host = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => format!("{}:{}", options.get_host(), options.get_port()),
                };
                let user = options.get_username();
                format!(
                    "postgres://{user}@{host}/{}",
                    options.get_database().unwrap_or(user)
                )
            }
        }
    }
}

/// What `database.url` names, for logs: without password and parameters.
pub fn describe(url: &str, default_path: &Path) -> String {
    match Target::of(url, default_path) {
        Ok(target) => target.name(),
        Err(_) => "an unreadable URL".to_owned(),
    }
}

/// Opens the database and brings its tables up to date. `default_path` is the SQLite file used
/// where no URL is set; missing folders are made.
pub async fn open(
    cfg: &config::Database,
    default_path: &Path,
) -> Result<Arc<dyn Store>, OpenError> {
    let target = prepare(cfg, default_path).await?;
    let timeout = cfg.acquire_timeout;
    Ok(match target {
        Target::Sqlite(options) => {
            let options = sqlite::options(*options, timeout);
            let (readers, writer) = sqlite::pools(&options, cfg.max_connections, timeout);
            let (readers, writer) = (Connections::new(readers), Connections::new(writer));
            let core = core(cfg, readers, writer);
            let indexer = Indexer::start(&core);
            start(cfg, 1, core, Some(indexer))
        }
        Target::Postgres(options) => {
            let pool = postgres::pool(&options, cfg.max_connections, timeout);
            let both = Connections::new(pool);
            let lanes = (cfg.max_connections / 2).clamp(1, MAX_LANES);
            start(cfg, lanes, core(cfg, Arc::clone(&both), both), None)
        }
    })
}

/// Brings the database's tables up to date and leaves.
pub async fn migrate(cfg: &config::Database, default_path: &Path) -> Result<(), OpenError> {
    prepare(cfg, default_path).await.map(drop)
}

fn core<E: Engine>(
    cfg: &config::Database,
    readers: Arc<Connections<E>>,
    writers: Arc<Connections<E>>,
) -> Arc<Core<E>> {
    Arc::new(Core::new(readers, writers, cfg.acquire_timeout))
}

fn start<E: Engine>(
    cfg: &config::Database,
    lanes: u32,
    core: Arc<Core<E>>,
    indexer: Option<Indexer>,
) -> Arc<dyn Store> {
    let grouping = Grouping {
        lanes: lanes as usize,
        wait: cfg.group_commit_wait,
        max: cfg.group_commit_max.max(1),
    };
    Arc::new(SqlStore {
        committer: Committer::start(&core, grouping),
        core,
        indexer,
    })
}

/// Finds the database and migrates it.
async fn prepare(cfg: &config::Database, default_path: &Path) -> Result<Target, OpenError> {
    let target = Target::of(&cfg.url, default_path)?;
    let timeout = cfg.acquire_timeout;
    match &target {
        Target::Sqlite(options) => {
            let lock = sqlite::lock(options.get_filename()).await;
            let lock = lock.map_err(|e| refused(&target, e))?;
            let options = sqlite::options((**options).clone(), timeout);
            let migrator = sqlx::migrate!("migrations/sqlite");
            run(&target, &options, migrator, timeout).await?;
            drop(lock);
        }
        Target::Postgres(options) => {
            let migrator = sqlx::migrate!("migrations/postgres");
            run(&target, &**options, migrator, timeout).await?;
        }
    }
    Ok(target)
}

async fn run<O>(
    target: &Target,
    options: &O,
    mut migrator: Migrator,
    timeout: Duration,
) -> Result<(), OpenError>
where
    O: ConnectOptions,
    O::Connection: Migrate + Sized,
{
    let connected = tokio::time::timeout(timeout, options.connect()).await;
    let mut conn = match connected {
        Ok(conn) => conn.map_err(|e| refused(target, e))?,
        Err(elapsed) => return Err(refused(target, elapsed)),
    };
    // A newer version may have migrated further; its changes only add, so that both can run.
    migrator.set_ignore_missing(true);
    let migrated = migrator.run_direct(None, &mut conn, false).await;
    // Closing also frees the lock that a failed migration leaves behind.
    let closed = conn.close().await;
    migrated.map_err(|e| OpenError::Migrate {
        database: target.name(),
        source: Box::new(e),
    })?;
    closed.map_err(|e| refused(target, e))
}

fn refused(target: &Target, source: impl StdError + Send + Sync + 'static) -> OpenError {
    OpenError::Connect {
        database: target.name(),
        source: Box::new(source),
    }
}
