//! Nodes behind nginx while everything around them fails in turn: `tests/chaos/main.mjs`.

use std::{fs, path::Path, time::Duration};

use crate::support::{
    balancer::Balancer,
    gateway::{Gateway, NO_LIMITS, clients},
    line::{Line, State},
    postgres, redis,
};

const SHORT: Duration = Duration::from_secs(240);
const LONG: Duration = Duration::from_secs(12 * 3600);

/// One fault of each kind.
#[test]
fn short() {
    run(&["--short".to_owned()], SHORT);
}

/// What `tests/chaos/run` runs, with its arguments.
#[test]
#[ignore = "takes long: tests/chaos/run"]
fn long() {
    let arguments = std::env::var("CHAOS_ARGUMENTS").unwrap_or_default();
    let arguments: Vec<_> = arguments.lines().map(str::to_owned).collect();
    run(&arguments, LONG);
}

/// The nodes. Their logs are kept in the folder `CHAOS_LOGS`, if it is set.
struct Nodes(Vec<Gateway>);

impl Drop for Nodes {
    fn drop(&mut self) {
        let Some(folder) = std::env::var_os("CHAOS_LOGS") else {
            return;
        };
        for (n, node) in self.0.iter().enumerate() {
            let file = Path::new(&folder).join(format!("node{n}.log"));
            if let Err(error) = fs::write(&file, node.log()) {
                eprintln!("{}: {error}", file.display());
            }
        }
    }
}

fn run(arguments: &[String], limit: Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut redis = redis::Server::start(&[]);
    let line = runtime.block_on(Line::start(redis.port()));
    let mut postgres = runtime.block_on(postgres::Server::start());
    let database = runtime.block_on(postgres.database()).url;

    let direct = redis.url();
    let by_line = format!("redis://127.0.0.1:{}", line.port());
    let node = |redis: &str| {
        let own = [
            ("DATABASE_URL", database.as_str()),
            ("REDIS_URL", redis),
            ("PORCHLIGHT_SERVER_TRUST_FORWARDED_FOR", "true"),
            ("PORCHLIGHT_SERVER_DRAIN_NOTICE_MS", "2500"),
            ("PORCHLIGHT_SERVER_DRAIN_MS", "1000"),
        ];
        Gateway::start(&[NO_LIMITS, &own].concat())
    };
    let mut nodes = Nodes(vec![node(&direct), node(&direct), node(&by_line)]);
    let balancer = Balancer::nginx(&nodes.0);

    let all = |of: fn(&Gateway) -> String| nodes.0.iter().map(of).collect::<Vec<_>>().join(",");
    let (urls, ops) = (all(Gateway::url), all(Gateway::ops_url));
    let done = nodes.0[0].folder().join("done");
    fs::write(&done, "").expect("a file");
    let script = clients().join("../chaos/main.mjs");
    let mut args = vec![script.to_str().expect("UTF-8")];
    args.extend(arguments.iter().map(String::as_str));
    let psql = postgres::binary("psql");
    let settings = [
        ("PORCHLIGHT_URL", &*balancer.url()),
        ("CHAOS_NODES", &urls),
        ("CHAOS_OPS", &ops),
        ("CHAOS_DONE", done.to_str().expect("UTF-8")),
        ("CHAOS_PSQL", psql.to_str().expect("UTF-8")),
    ];
    let (first, others) = nodes.0.split_at_mut(1);
    let mut count = 0;
    first[0].script("node", &args, &settings, limit, |text, first| {
        println!("{text}");
        let Some(what) = text.strip_prefix("do ") else {
            return;
        };
        match what.split(' ').collect::<Vec<_>>()[..] {
            ["redis", "stop"] => redis.stop(),
            ["redis", "start"] => redis.restart(),
            ["postgres", "stop"] => postgres.stop(),
            ["postgres", "crash"] => postgres.crash(),
            ["postgres", "start"] => runtime.block_on(postgres.restart()),
            ["line", "open"] => line.set(State::Open),
            ["line", "silent"] => line.set(State::Silent),
            ["line", "closed"] => line.set(State::Closed),
            ["node", number, act] => {
                let number: usize = number.parse().expect("a number");
                let node = match number {
                    0 => first,
                    _ => &mut others[number - 1],
                };
                match act {
                    "kill" => node.kill(),
                    "terminate" => node.terminate(),
                    "start" => node.restart(),
                    _ => panic!("nobody can do this: {what}"),
                }
            }
            _ => panic!("nobody can do this: {what}"),
        }
        count += 1;
        fs::write(&done, count.to_string()).expect("the file");
    });
}
