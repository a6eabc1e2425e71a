//! Several real nodes over one Redis and one PostgreSQL, and scripts of real clients that say what
//! should happen to them.

use std::{path::Path, time::Duration};

use tokio::runtime::Runtime;

use super::{
    gateway::{Gateway, clients},
    line::{Line, State},
    postgres,
    redis::setup::Setup,
};

const LIMIT: Duration = Duration::from_secs(180);
const API_KEY: &str = "a service key of the cluster's own tests";

/// Nodes on one database and one Redis.
pub struct Nodes {
    gateways: Vec<Gateway>,
    redis: Setup,
    /// Each node's way to Redis, where it can be cut.
    lines: Vec<Line>,
    _runtime: Runtime,
}

impl Nodes {
    /// Nodes with these settings beside those of Redis.
    pub fn start(count: usize, redis: Setup, settings: &[(&str, &str)]) -> Self {
        Self::with(count, redis, settings, false)
    }

    /// As [`Nodes::start`], each with a line of its own to the one server that Redis is.
    pub fn on_lines(count: usize, redis: Setup, settings: &[(&str, &str)]) -> Self {
        Self::with(count, redis, settings, true)
    }

    fn with(count: usize, redis: Setup, more: &[(&str, &str)], on_lines: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let database = runtime.block_on(postgres::database()).url;
        let mut lines = Vec::new();
        let mut start = || {
            let of_redis = redis.settings.iter();
            let mut settings: Vec<_> = of_redis
                .map(|(k, v)| (format!("PORCHLIGHT_REDIS_{k}"), v.clone()))
                .collect();
            if on_lines {
                let line = runtime.block_on(Line::start(redis.servers[0].port()));
                let url = format!("redis://127.0.0.1:{}", line.port());
                settings.push(("PORCHLIGHT_REDIS_URL".to_owned(), url));
                lines.push(line);
            }
            let own = [
                ("DATABASE_URL", database.as_str()),
                ("PORCHLIGHT_AUTH_API_KEYS", API_KEY),
            ];
            let settings: Vec<_> = settings
                .iter()
                .map(|(k, v)| (&**k, &**v))
                .chain(own)
                .chain(more.iter().copied())
                .collect();
            Gateway::start(&settings)
        };
        let gateways = (0..count).map(|_| start()).collect();
        Self {
            gateways,
            redis,
            lines,
            _runtime: runtime,
        }
    }

    /// How to reach the servers of Redis past all lines: `redis://HOST:PORT,...`.
    pub fn redis(&self) -> &Setup {
        &self.redis
    }

    /// Where a node's clients connect.
    pub fn url(&self, node: usize) -> String {
        self.gateways[node].url()
    }

    /// Runs a script of `tests/clients`. It asks for what happens to servers by lines such as `do
    /// redis stop`, `do node 1 kill`, `do line 1 cut`.
    pub fn play(mut self, program: impl AsRef<Path>, script: &str, args: &[&str]) {
        let urls = |of: fn(&Gateway) -> String| {
            let all: Vec<_> = self.gateways.iter().map(of).collect();
            all.join(",")
        };
        let (nodes, ops) = (urls(Gateway::url), urls(Gateway::ops_url));
        let path = clients().join(script);
        let args = [&[path.to_str().expect("UTF-8")], args].concat();
        let settings = [
            ("CLUSTER_NODES", &*nodes),
            ("CLUSTER_OPS", &*ops),
            ("CLUSTER_API_KEY", API_KEY),
        ];
        let (first, others) = self.gateways.split_at_mut(1);
        first[0].script(program, &args, &settings, LIMIT, |line, _| {
            let Some(what) = line.strip_prefix("do ") else {
                return;
            };
            let server = &mut self.redis.servers[0];
            let number = |text: &str| text.parse::<usize>().expect("a number");
            match what.split(' ').collect::<Vec<_>>()[..] {
                ["redis", "stop"] => server.stop(),
                ["redis", "start"] => server.restart(),
                ["redis", "pause"] => server.pause(true),
                ["redis", "resume"] => server.pause(false),
                ["line", at, "cut"] => self.lines[number(at)].set(State::Closed),
                ["line", at, "mend"] => self.lines[number(at)].set(State::Open),
                ["node", at, "kill"] => others[number(at) - 1].kill(),
                _ => panic!("nobody can do this: {what}"),
            }
        });
    }
}
