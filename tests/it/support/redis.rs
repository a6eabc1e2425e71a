//! A private Redis on a free port, without a disk, that can be emptied, stopped and started again.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::gateway::free_port;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running server. Stops, with its folder, when dropped, and with the thread that started it.
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// An empty server.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// An empty server with further options, such as `["--cluster-enabled", "yes"]`.
    pub fn with(options: &[&str]) -> Self {
        let mut server = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            port: 0,
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            child: None,
        };
        loop {
            server.port = free_port();
            // Nodes of a cluster listen on that port, too.
            if server.run() {
                return server;
            }
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it; what it held is gone.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, empty, where [`RedisServer::stop`] left it.
    pub fn start_again(&mut self) {
        self.stop();
        assert!(self.run(), "Redis did not start again");
    }

    /// Runs a command with redis-cli and returns what it says.
    pub fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli")
            .args(["-p", &port])
            .args(args)
            .output()
            .expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// `false`: the port was taken.
    fn run(&mut self) -> bool {
        let port = self.port.to_string();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "redis-server"])
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.options)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("setpriv and redis-server run");
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if child.try_wait().expect("it can be asked").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "Redis does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        // Somebody else may listen there.
        thread::sleep(Duration::from_millis(10));
        let ended = child.try_wait().expect("it can be asked").is_some();
        self.child = Some(child);
        !ended
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
