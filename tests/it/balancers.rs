//! The load balancers' configurations in `deploy/`, run by the real programs in front of three real
//! nodes.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{
    self,
    gateway::{Gateway, NO_LIMITS, clients},
    watched::Watched,
};

const LIMIT: Duration = Duration::from_secs(240);
const PATIENCE: Duration = Duration::from_secs(30);

/// What the configurations say of the nodes: clients' and operators' ports.
const NODES: [(u16, u16); 3] = [(4000, 4001), (4010, 4011), (4020, 4021)];
/// Where they listen.
const LISTENS: u16 = 8080;

#[test]
fn nginx() {
    behind("nginx.conf", |text, folder| {
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
    });
}

#[test]
fn haproxy() {
    behind("haproxy.cfg", |text, _| {
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-W", "-f"]);
        (text, command)
    });
}

/// Runs the script behind the balancer that `set_up` makes of the configuration.
fn behind(name: &str, set_up: impl Fn(String, &Path) -> (String, Command)) {
    let redis = support::redis::Server::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let database = runtime.block_on(support::postgres::database()).url;
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", &redis.url()),
        ("PORCHLIGHT_SERVER_TRUST_FORWARDED_FOR", "true"),
        ("PORCHLIGHT_SERVER_DRAIN_NOTICE_MS", "2500"),
        ("PORCHLIGHT_SERVER_DRAIN_MS", "1000"),
    ];
    let settings = [NO_LIMITS, &settings].concat();
    let mut first = Gateway::start(&settings);
    let mut nodes = [
        Gateway::start(&settings),
        Gateway::start(&settings),
        Gateway::start(&settings),
    ];
    let balancer = Balancer::start(name, &nodes, set_up);

    let urls: Vec<_> = nodes.iter().map(Gateway::url).collect();
    let script = clients().join("balanced.mjs");
    let mut args = vec![script.to_str().expect("UTF-8")];
    args.extend(urls.iter().map(String::as_str));
    let url = balancer.url();
    first.script(
        "node",
        &args,
        &[("PORCHLIGHT_URL", &url)],
        LIMIT,
        |line, _| {
            let Some((what, n)) = line.split_once(' ') else {
                return;
            };
            let Some(node) = n.parse().ok().and_then(|n: usize| nodes.get_mut(n)) else {
                return;
            };
            match what {
                "terminate" => node.terminate(),
                "kill" => node.kill(),
                "start" => node.restart(),
                _ => {}
            }
        },
    );
}

/// A running balancer.
struct Balancer {
    port: u16,
    running: Option<Watched>,
    _folder: TempDir,
}

impl Balancer {
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
        fs::File::create(&file)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .expect("the configuration can be written");
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

    fn url(&self) -> String {
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
