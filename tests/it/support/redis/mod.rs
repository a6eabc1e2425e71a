//! A private Redis: its own port, nothing kept, gone when the test binary is gone.

pub mod setup;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::watched::Watched;

/// How long a start may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// What redis-server says when it can be used.
const READY: [&str; 2] = ["Ready to accept connections", "monitor master"];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A Redis server.
pub struct Server {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    running: Option<Watched>,
}

impl Server {
    /// Starts a server with these arguments beside its own.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(|_, _| arguments.iter().map(|&a| a.to_owned()).collect())
    }

    /// Starts a server whose arguments depend on its folder and port. A first argument that is no
    /// option is a configuration file.
    pub fn start_with(arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        // Somebody else may take a free port before the server does.
        for _ in 0..5 {
            let mut server = Self::idle(&arguments);
            if server.launch() {
                return server;
            }
        }
        panic!("Redis does not start");
    }

    /// A server that is yet to be started ([`Server::restart`]).
    pub fn idle(arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("porchlight-redis-{}-{nth}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for the server");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        Self {
            arguments: arguments(&folder, port),
            folder,
            port,
            running: None,
        }
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops the server, cutting all connections. It forgets everything.
    pub fn stop(&mut self) {
        if let Some(server) = self.running.take() {
            server.end("crash");
        }
    }

    /// Starts the server again on the same port, empty.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.launch(), "Redis does not start again: {}", self.log());
    }

    /// Lets the server answer nothing while its connections stay open, or go on.
    pub fn pause(&mut self, on: bool) {
        self.running.as_mut().expect("it runs").pause(on);
    }

    /// What `redis-cli` says to these arguments.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let out = Command::new("redis-cli")
            .args(["-p", &port])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn launch(&mut self) -> bool {
        let log = self.folder.join("log");
        let _ = std::fs::remove_file(&log);
        let mut server = Command::new("redis-server");
        if self.arguments.first().is_none_or(|a| a.starts_with('-')) {
            server.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            server.arg("--dir").arg(&self.folder);
            if !self.arguments.iter().any(|a| a == "--port") {
                server.args(["--port", &self.port.to_string()]);
            }
        }
        server.args(&self.arguments);
        let shell = Command::new("/bin/sh");
        self.running = Some(Watched::run(shell, &self.folder, "KILL", &server));
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let said = self.log();
            if READY.iter().any(|ready| said.contains(ready)) {
                return true;
            }
            if said.contains("already in use") || said.contains("Failed listening") {
                break;
            }
            thread::sleep(POLL);
        }
        self.stop();
        false
    }

    /// What it logged since its last start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.running.take() {
            Some(server) => server.end(""),
            None => drop(std::fs::remove_dir_all(&self.folder)),
        }
    }
}
