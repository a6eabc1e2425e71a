//! Real clients against the real binary: the scripts of `tests/clients`.

use std::time::Duration;

use crate::support::{
    self,
    gateway::{Gateway, NO_LIMITS, clients},
    nodes::Nodes,
    redis::setup::Setup,
};

const LIMIT: Duration = Duration::from_secs(180);

/// Short enough not to slow the tests down, long enough for a reconnect in between.
const GRACE: (&str, &str) = ("PORCHLIGHT_CHAT_PRESENCE_GRACE_MS", "1500");

/// The dialect of the gateway's path.
const fn speaking(dialect: &'static str) -> (&'static str, &'static str) {
    ("PORCHLIGHT_SOCKET_DIALECT", dialect)
}

/// How the apps that the dialect was made for have their server: below /api, with NextAuth.
const fn next_app(dialect: &'static str) -> [(&'static str, &'static str); 4] {
    [
        ("PORCHLIGHT_SOCKET_PATH", "/api/socketio"),
        speaking(dialect),
        ("NEXTAUTH_SECRET", "the secret of a Next.js app"),
        GRACE,
    ]
}

/// Every path of `paths.mjs`.
const PATHS: &[(&str, &str)] = &[
    (
        "PORCHLIGHT_SOCKET_PATH",
        "/socket.io,/api/socketio,/threads,/inkspot/socket,/direct",
    ),
    (
        "PORCHLIGHT_SOCKET_DIALECT",
        "standard,platform,threads,inkspot,direct",
    ),
];

/// Where a gateway keeps its messages.
#[derive(Clone, Copy)]
enum Database {
    /// A file in the gateway's folder.
    Sqlite,
    /// A database of its own on the server that tests share.
    Postgres,
}

impl Database {
    fn gateway(self, settings: &[(&str, &str)]) -> Gateway {
        match self {
            Self::Sqlite => Gateway::start(settings),
            Self::Postgres => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                let url = runtime.block_on(support::postgres::database()).url;
                Gateway::start(&[settings, &[("DATABASE_URL", &url)]].concat())
            }
        }
    }

    fn node(self, script: &str, args: &[&str], settings: &[(&str, &str)]) {
        let path = clients().join(script);
        let args = [&[path.to_str().expect("UTF-8")], args].concat();
        self.gateway(settings)
            .script("node", &args, &[], LIMIT, |_, _| {});
    }

    fn python(self, script: &str) {
        let path = clients().join(script);
        let python = clients().join(".venv/bin/python");
        let args = [path.to_str().expect("UTF-8")];
        self.gateway(&[])
            .script(python, &args, &[], LIMIT, |_, _| {});
    }

    /// Kills the gateway in mid-talk each time that many per cent are acknowledged.
    fn durability(self, strikes: &[u64]) {
        let path = clients().join("durability.mjs");
        let args = [
            path.to_str().expect("UTF-8"),
            "--senders=40",
            "--conversations=10",
            "--messages=4000",
        ];
        let mut gateway = self.gateway(NO_LIMITS);
        let mut left = strikes;
        gateway.script("node", &args, &[], LIMIT, |line, gateway| {
            let progress = line.strip_prefix("progress ").and_then(|rest| {
                let (acked, total) = rest.split_once(' ')?;
                Some(acked.parse::<u64>().ok()? * 100 / total.parse::<u64>().ok()?)
            });
            if let (Some(now), [strike, rest @ ..]) = (progress, left)
                && now >= *strike
            {
                assert!(
                    now < 100,
                    "the talk was over before it could be interrupted"
                );
                left = rest;
                gateway.restart();
            }
        });
        assert!(left.is_empty(), "strikes left: {left:?}");
    }
}

macro_rules! clients_on {
    ($module:ident, $database:expr) => {
        mod $module {
            use super::{Database, GRACE, NO_LIMITS, PATHS, next_app, speaking};

            #[test]
            fn standard_over_websocket() {
                $database.node("standard.mjs", &["websocket"], &[GRACE]);
            }

            #[test]
            fn standard_over_polling() {
                $database.node("standard.mjs", &["polling"], &[GRACE]);
            }

            #[test]
            fn standard_with_upgrade() {
                $database.node("standard.mjs", &["upgrade"], &[GRACE]);
            }

            #[test]
            fn upgrades_in_a_lively_conversation() {
                $database.node("upgrade.mjs", &[], NO_LIMITS);
            }

            #[test]
            fn platform() {
                $database.node("platform.mjs", &[], &next_app("platform"));
            }

            #[test]
            fn inkspot() {
                $database.node("inkspot.mjs", &[], &next_app("inkspot"));
            }

            #[test]
            fn threads() {
                $database.node("threads.mjs", &[], &[GRACE, speaking("threads")]);
            }

            #[test]
            fn direct() {
                let settings = [NO_LIMITS, &[GRACE, speaking("direct")]].concat();
                $database.node("direct.mjs", &[], &settings);
            }

            #[test]
            fn direct_without_tokens() {
                let trust = ("PORCHLIGHT_AUTH_TRUST_NEW_USER", "true");
                $database.node("tokenless.mjs", &[], &[GRACE, speaking("direct"), trust]);
            }

            #[test]
            fn several_dialects_in_one_conversation() {
                $database.node("together.mjs", &[], NO_LIMITS);
            }

            #[test]
            fn files_and_search_in_every_dialect() {
                $database.node("files.mjs", &[], NO_LIMITS);
            }

            #[test]
            fn several_paths_and_dialects_at_once() {
                $database.node("paths.mjs", &[], PATHS);
            }

            #[test]
            fn version_3_of_the_client() {
                $database.node("v3.mjs", &[], &[]);
            }

            #[test]
            fn python_socketio() {
                $database.python("py_client.py");
            }

            #[test]
            fn nothing_acknowledged_is_lost_by_kill_9() {
                $database.durability(&[10, 35, 60, 85]);
            }
        }
    };
}

#[test]
fn presence_over_three_nodes() {
    let heartbeat = ("PORCHLIGHT_CHAT_PRESENCE_HEARTBEAT_MS", "500");
    // A reload has to fit into it on a busy machine.
    let grace = ("PORCHLIGHT_CHAT_PRESENCE_GRACE_MS", "2500");
    let settings = [NO_LIMITS, &[grace, heartbeat]].concat();
    let nodes = Nodes::on_lines(3, Setup::single(), &settings);
    let urls = [0, 1, 2].map(|n| nodes.url(n));
    let args = urls.each_ref().map(String::as_str);
    nodes.play("node", "presence-cluster.mjs", &args);
}

/// The gateway is replaced with everybody connected, as a rolling deployment does.
#[test]
fn a_drain_is_come_back_from() {
    let path = clients().join("drain.mjs");
    let settings = [NO_LIMITS, &[("PORCHLIGHT_SERVER_DRAIN_MS", "2000")]].concat();
    let mut gateway = Database::Sqlite.gateway(&settings);
    let args = [path.to_str().expect("UTF-8")];
    let mut drained = 0;
    gateway.script("node", &args, &[], LIMIT, |line, gateway| {
        if line == "terminate" {
            gateway.terminate();
            gateway.restart();
            drained += 1;
        }
    });
    assert_eq!(drained, 1);
}

#[test]
fn a_herd_gets_in_by_itself() {
    let settings = [
        NO_LIMITS,
        &[
            ("PORCHLIGHT_LIMITS_NODE_HANDSHAKES_PER_SECOND", "20"),
            ("PORCHLIGHT_LIMITS_NODE_HANDSHAKES_BURST", "10"),
        ],
    ]
    .concat();
    Database::Sqlite.node("herd.mjs", &[], &settings);
}

#[test]
fn long_messages_are_compressed() {
    Database::Sqlite.node("compression.mjs", &[], &[]);
}

clients_on!(sqlite, Database::Sqlite);
clients_on!(postgres, Database::Postgres);

#[test]
fn nonsense_in_every_dialect() {
    Database::Sqlite.node("hostile.mjs", &[], NO_LIMITS);
}
