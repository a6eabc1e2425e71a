//! A private PostgreSQL: its own data, its own port, gone when the test binary is gone.
//!
//! [`database`] gives a fresh database on the server that all tests share; [`Server::start`] a
//! server of one's own, to be stopped and started.

use std::{
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use super::watched::Watched;

/// How long a start may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A fresh, empty database.
pub struct TestDatabase {
    /// `postgres://...`
    pub url: String,
}

/// A fresh database on the server that all tests of this binary share.
pub async fn database() -> TestDatabase {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(Server::start).await.database().await
}

/// A PostgreSQL server with its own data.
pub struct Server {
    folder: PathBuf,
    port: u16,
    running: Option<Watched>,
}

impl Server {
    /// Makes the data and starts a server on it.
    pub async fn start() -> Self {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("porchlight-postgres-{}-{nth}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for the server");
        if let Some((uid, gid)) = other_user() {
            chown(&folder, Some(uid), Some(gid)).expect("the folder's owner");
        }
        let made = command(&binary("initdb"))
            .args([
                "--username=porchlight",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--no-instructions", "--pgdata"])
            .arg(folder.join("data"))
            .current_dir(&folder)
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut server = Self {
            folder,
            port: 0,
            running: None,
        };
        // Somebody else may take a free port before the server does.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            server.port = free.local_addr().expect("its address").port();
            drop(free);
            if server.launch().await {
                return server;
            }
        }
        panic!("PostgreSQL does not start: {}", server.log());
    }

    /// Stops the server in an orderly way, cutting all connections.
    pub fn stop(&mut self) {
        self.end("stop");
    }

    /// Stops the server as a crash would: nothing is flushed that was not flushed before.
    pub fn crash(&mut self) {
        self.end("crash");
    }

    /// Starts the server again on the same port and data.
    pub async fn restart(&mut self) {
        assert!(
            self.launch().await,
            "PostgreSQL does not start again: {}",
            self.log()
        );
    }

    /// A fresh database on this server.
    pub async fn database(&self) -> TestDatabase {
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.connect().await.expect("the server answers");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        admin
            .execute(AssertSqlSafe(create))
            .await
            .expect("a database");
        TestDatabase {
            url: self.url(&name),
        }
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://porchlight@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url("postgres")).await
    }

    /// Starts the server and its watcher; `false` if it ended instead of answering.
    async fn launch(&mut self) -> bool {
        let mut server = Command::new(binary("postgres"));
        server
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string()])
            .arg("-k")
            .arg(&self.folder)
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=200"]);
        let shell = command(Path::new("/bin/sh"));
        self.running = Some(Watched::run(shell, &self.folder, "QUIT", &server));
        let pid_file = self.folder.join("data/postmaster.pid");
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.connect().await.is_ok() {
                // It is this server that answered, not another one on the port.
                let pid = std::fs::read_to_string(&pid_file).unwrap_or_default();
                return pid.lines().nth(3) == Some(&self.port.to_string());
            }
            if self.log().contains("could not create any TCP/IP sockets") {
                self.end("stop");
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn end(&mut self, command: &str) {
        if let Some(server) = self.running.take() {
            server.end(command);
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.running.is_some() {
            true => self.end(""),
            false => drop(std::fs::remove_dir_all(&self.folder)),
        }
    }
}

/// A program of PostgreSQL: the newest below /usr/lib/postgresql, or from PATH.
pub fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            let path = version.path().join("bin").join(name);
            path.exists().then_some((number, path))
        })
        .collect();
    found.sort();
    if let Some((_, path)) = found.pop() {
        return path;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} of PostgreSQL is needed for these tests"))
}

/// A command as somebody whom PostgreSQL accepts: it refuses to run as root.
fn command(program: &Path) -> Command {
    match other_user() {
        None => Command::new(program),
        Some((uid, gid)) => {
            let mut command = Command::new(program);
            command.uid(uid).gid(gid);
            command
        }
    }
}

/// The user and group to run as, when this is root.
fn other_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let out = Command::new("id").args(args).output().ok()?;
        String::from_utf8(out.stdout)
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}
