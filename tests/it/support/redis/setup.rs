//! The ways in which Redis is run: alone, with a password, with TLS, behind Sentinels, as a cluster.

use std::{
    net::TcpListener,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use porchlight::{
    config::{self, Sources},
    redis::Redis,
};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Server;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a password of tests";

/// Running servers, and how a gateway finds them.
pub struct Setup {
    /// Those that hold data; the first is where a single one is.
    pub servers: Vec<Server>,
    _sentinels: Vec<Server>,
    /// `PORCHLIGHT_REDIS_<key>` and its value.
    pub settings: Vec<(&'static str, String)>,
    _folder: Option<TempDir>,
}

impl Setup {
    fn of(servers: Vec<Server>, settings: Vec<(&'static str, String)>) -> Self {
        Self {
            servers,
            _sentinels: Vec::new(),
            settings,
            _folder: None,
        }
    }

    /// A single server.
    pub fn single() -> Self {
        let server = Server::start(&[]);
        let url = server.url();
        Self::of(vec![server], vec![("URL", url)])
    }

    /// A single server with a password.
    pub fn password() -> Self {
        let server = Server::start(&["--requirepass", PASSWORD]);
        let settings = vec![("URL", server.url()), ("PASSWORD", PASSWORD.to_owned())];
        Self::of(vec![server], settings)
    }

    /// A single server that speaks TLS only, with a certificate of an authority of its own.
    pub fn tls() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let authority = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new([]).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&authority).expect("an authority");
        let issuer = rcgen::Issuer::new(parameters, authority);
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .and_then(|p| p.signed_by(&key, &issuer))
            .expect("a certificate");
        for (name, text) in [
            ("ca.pem", root.pem()),
            ("server.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            std::fs::write(path(name), text).expect("a file");
        }
        let server = Server::start_with(|_, port| {
            let port = port.to_string();
            let (ca, cert, key) = (path("ca.pem"), path("server.pem"), path("key.pem"));
            let tls = [
                ("--port", "0"),
                ("--tls-port", &port),
                ("--tls-cert-file", &cert),
                ("--tls-key-file", &key),
                ("--tls-ca-cert-file", &ca),
                ("--tls-auth-clients", "no"),
            ];
            tls.iter()
                .flat_map(|(k, v)| [(*k).to_owned(), (*v).to_owned()])
                .collect()
        });
        let url = format!("rediss://localhost:{}", server.port());
        let settings = vec![("URL", url), ("TLS_CA_FILE", path("ca.pem"))];
        Self {
            _folder: Some(folder),
            ..Self::of(vec![server], settings)
        }
    }

    /// Three masters of a Redis Cluster.
    pub fn cluster() -> Self {
        let servers: Vec<_> = (0..3)
            .map(|_| {
                Server::start_with(|_, _| {
                    let options = [
                        "--cluster-enabled",
                        "yes",
                        "--cluster-node-timeout",
                        "2000",
                        "--cluster-port",
                    ];
                    let mut options: Vec<_> = options.map(str::to_owned).into();
                    options.push(free_port().to_string());
                    options
                })
            })
            .collect();
        let addresses: Vec<_> = servers
            .iter()
            .map(|s| format!("127.0.0.1:{}", s.port()))
            .collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .expect("redis-cli runs");
        assert!(made.status.success(), "{made:?}");
        for server in &servers {
            until(|| {
                let info = server.cli(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            });
        }
        let url = format!("redis://{}", addresses.join(","));
        Self::of(servers, vec![("URL", url), ("CLUSTER", "true".to_owned())])
    }

    /// A master, a replica of it, and a Sentinel that makes the replica master when it must.
    pub fn sentinel() -> Self {
        let master = Server::start(&[]);
        let port = master.port().to_string();
        let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
        until(|| {
            let info = replica.cli(&["INFO", "replication"]);
            info.contains("master_link_status:up")
        });
        let sentinel = Server::start_with(|folder, own| {
            let file = folder.join("sentinel.conf");
            let text = format!(
                "port {own}\nbind 127.0.0.1\nsentinel monitor chat 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds chat 500\n\
                 sentinel failover-timeout chat 3000\n"
            );
            std::fs::write(&file, text).expect("a file");
            vec![file.display().to_string(), "--sentinel".to_owned()]
        });
        until(|| {
            let info = sentinel.cli(&["INFO", "sentinel"]);
            info.contains("status=ok") && info.contains("slaves=1")
        });
        let settings = vec![
            ("URL", sentinel.url()),
            ("SENTINEL_SERVICE", "chat".to_owned()),
        ];
        Self {
            _sentinels: vec![sentinel],
            ..Self::of(vec![master, replica], settings)
        }
    }

    /// The configuration of a gateway that uses it.
    pub fn config(&self) -> config::Redis {
        configuration(self.settings.iter().map(|(k, v)| (*k, v.as_str())))
    }
}

/// `[redis]` with these settings.
pub fn configuration<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> config::Redis {
    let variables = settings
        .into_iter()
        .map(|(key, value)| (format!("PORCHLIGHT_REDIS_{key}"), value.to_owned()))
        .chain([("DATABASE_URL".to_owned(), "postgres://db/x".to_owned())]);
    config::load(&Sources::new(None, variables))
        .expect("a configuration")
        .config
        .redis
}

/// Connections with these settings, and what mends them; they end with the guard.
pub fn connect(settings: &[(&str, &str)]) -> (Arc<Redis>, DropGuard) {
    let configuration = configuration(settings.iter().copied());
    let redis = Arc::new(Redis::new(&configuration).expect("settings that work"));
    let stop = CancellationToken::new();
    let (keeping, until) = (redis.clone(), stop.clone());
    tokio::spawn(async move { keeping.keep(until).await });
    (redis, stop.drop_guard())
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("its address").port()
}

fn until(mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < deadline, "it never came about");
        thread::sleep(Duration::from_millis(20));
    }
}
