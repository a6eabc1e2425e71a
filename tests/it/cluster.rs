//! Several real nodes over one Redis and one PostgreSQL, with real clients: `cluster.mjs`.

use std::time::Duration;

use crate::support::{
    self,
    gateway::{Gateway, clients},
    redis::setup::Setup,
};

const LIMIT: Duration = Duration::from_secs(180);
const API_KEY: &str = "a service key of the cluster's own tests";

/// Nodes on one database and one Redis.
struct Nodes {
    gateways: Vec<Gateway>,
    redis: Setup,
}

impl Nodes {
    fn start(count: usize, mut redis: Setup, redis_runs: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let database = runtime.block_on(support::postgres::database()).url;
        if !redis_runs {
            redis.servers[0].stop();
        }
        let mut settings = vec![
            ("DATABASE_URL".to_owned(), database),
            ("PORCHLIGHT_AUTH_API_KEYS".to_owned(), API_KEY.to_owned()),
        ];
        let own = redis.settings.iter();
        settings.extend(own.map(|(k, v)| (format!("PORCHLIGHT_REDIS_{k}"), v.clone())));
        let settings: Vec<_> = settings.iter().map(|(k, v)| (&**k, &**v)).collect();
        let gateways = (0..count).map(|_| Gateway::start(&settings)).collect();
        Self { gateways, redis }
    }

    /// Runs a scene. The script asks for what happens to servers by lines such as `do redis stop`,
    /// `do node 1 kill`.
    fn play(mut self, scene: &str) {
        let urls = |of: fn(&Gateway) -> String| {
            let all: Vec<_> = self.gateways.iter().map(of).collect();
            all.join(",")
        };
        let (nodes, ops) = (urls(Gateway::url), urls(Gateway::ops_url));
        let path = clients().join("cluster.mjs");
        let args = [path.to_str().expect("UTF-8"), scene];
        let settings = [
            ("CLUSTER_NODES", &*nodes),
            ("CLUSTER_OPS", &*ops),
            ("CLUSTER_API_KEY", API_KEY),
        ];
        let (first, others) = self.gateways.split_at_mut(1);
        first[0].script("node", &args, &settings, LIMIT, |line, _| {
            let Some(what) = line.strip_prefix("do ") else {
                return;
            };
            match what.split(' ').collect::<Vec<_>>()[..] {
                ["redis", "stop"] => self.redis.servers[0].stop(),
                ["redis", "start"] => self.redis.servers[0].restart(),
                ["redis", "pause"] => self.redis.servers[0].pause(true),
                ["redis", "resume"] => self.redis.servers[0].pause(false),
                ["node", number, "kill"] => {
                    let number: usize = number.parse().expect("a number");
                    others[number - 1].kill();
                }
                _ => panic!("nobody can do this: {what}"),
            }
        });
    }
}

#[test]
fn two_nodes_are_one_to_their_clients() {
    Nodes::start(2, Setup::single(), true).play("talk");
}

#[test]
fn three_nodes_are_one_to_their_clients() {
    Nodes::start(3, Setup::single(), true).play("talk");
}

#[test]
fn over_a_redis_cluster() {
    Nodes::start(2, Setup::cluster(), true).play("talk");
}

#[test]
fn control_reaches_every_node() {
    Nodes::start(2, Setup::single(), true).play("control");
}

#[test]
fn redis_restarted_empty() {
    Nodes::start(2, Setup::single(), true).play("outage");
}

#[test]
fn redis_that_hangs() {
    Nodes::start(2, Setup::single(), true).play("hang");
}

#[test]
fn a_start_without_redis() {
    Nodes::start(2, Setup::single(), false).play("late");
}

#[test]
fn a_node_that_dies() {
    Nodes::start(3, Setup::single(), true).play("death");
}

#[test]
fn messages_cross_in_order_under_load() {
    Nodes::start(3, Setup::single(), true).play("load");
}
