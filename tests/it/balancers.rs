//! The load balancers' configurations in `deploy/`, run by the real programs in front of three real
//! nodes.

use std::time::Duration;

use crate::support::{
    self,
    balancer::Balancer,
    gateway::{Gateway, NO_LIMITS, clients},
};

const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn nginx() {
    behind(Balancer::nginx);
}

#[test]
fn haproxy() {
    behind(Balancer::haproxy);
}

/// Runs the script behind a balancer.
fn behind(start: fn(&[Gateway]) -> Balancer) {
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
    let balancer = start(&nodes);

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
