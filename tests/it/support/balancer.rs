//! The load balancers' configurations in `deploy/`, run by the real programs in front of nodes on other
//! ports.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{gateway::Gateway, watched::Watched};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the configurations say of the nodes: clients' and operators' ports.
const NODES: [(u16, u16); 3] = [(4000, 4001), (4010, 4011), (4020, 4021)];
/// Where they listen.
const LISTENS: u16 = 8080;

/// A running balancer in front of three nodes.
pub struct Balancer {
    port: u16,
    running: Option<Watched>,
    _folder: TempDir,
}

impl Balancer {
    /// nginx with `deploy/nginx.conf`.
    pub fn nginx(nodes: &[Gateway]) -> Self {
        Self::start("nginx.conf", nodes, |text, folder| {
            // Where a distribution's own folders are somebody else's.
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|of| format!("    {of}_temp_path {}/{of};\n", folder.display()))
                .concat();
            let text = text.replace("http {\n", &format!("http {{\n{temporary}"));
            let mut command = Command::new("/usr/sbin/nginx");
            let pid = folder.join("pid");
            command.args(["-g", &format!("daemon off; pid {};", pid.display())]);
            command.args(["-e", "stderr", "-c"]);
            (text, command)
        })
    }

    /// HAProxy with `deploy/haproxy.cfg`.
    pub fn haproxy(nodes: &[Gateway]) -> Self {
        Self::start("haproxy.cfg", nodes, |text, _| {
            let mut command = Command::new("/usr/sbin/haproxy");
            command.args(["-W", "-f"]);
            (text, command)
        })
    }

    fn start(
        name: &str,
        nodes: &[Gateway],
        set_up: impl Fn(String, &Path) -> (String, Command),
    ) -> Self {
        let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(name);
        let shipped = fs::read_to_string(shipped).expect("the configuration");
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);

        let mut text = shipped.replace(&LISTENS.to_string(), &format!("127.0.0.1:{port}"));
        text = text.replace(":127.0.0.1:", "127.0.0.1:");
        for ((clients, ops), node) in NODES.into_iter().zip(nodes) {
            let (real, real_ops) = node.ports();
            for (told, real) in [(clients, real), (ops, real_ops)] {
                let told = told.to_string();
                // Only nginx knows nothing of the operators' port.
                assert!(text.contains(&told) || name == "nginx.conf", "{told}");
                text = text.replace(&told, &real.to_string());
            }
        }
        let (text, mut command) = set_up(text, folder.path());
        let file = folder.path().join(name);
        fs::write(&file, text).expect("the configuration can be written");
        command.arg(&file);
        let running = Watched::run(Command::new("sh"), folder.path(), "TERM", &command);

        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{name} does not start:\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
        Self {
            port,
            running: Some(running),
            _folder: folder,
        }
    }

    /// Where clients connect: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.end("crash");
        }
    }
}
