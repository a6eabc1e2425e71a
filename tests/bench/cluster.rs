//! `cluster`: several nodes with Redis between them. What rooms cost the nodes that host them, the
//! nodes that do not (the bystanders, with quiet clients of their own in other rooms), Redis and
//! PostgreSQL; and how long a message takes from one node to another.
//!
//! Members of the rooms are connected to the hosts in turn, and those on the first node send. CPU and
//! bytes are those above what the same processes spent just before, with the same connections and
//! without messages. Whoever is sent a message from another node and hears it there counts as
//! `across`; whoever is on the sender's node, as `delivery`.

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Outcome, Target,
    ledger::{self, Clock, Ear, Verdict},
    process::{self, Process},
    report::Report,
    rooms,
    steady::{Pace, Steady},
    traffic::{self, Traffic},
};

/// Options of `cluster`.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// A node as `PORT:PID`; once for each, those that host the rooms first.
    #[arg(long = "node", required = true)]
    nodes: Vec<Server>,
    /// Redis as `PORT:PID`.
    #[arg(long)]
    redis: Server,
    /// Process id of PostgreSQL, if it is used.
    #[arg(long)]
    postgres: Option<u32>,
    /// Nodes that have members of the rooms.
    #[arg(long, default_value_t = 1)]
    hosts: usize,
    /// Conversations.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Members of each: a multiple of the hosts.
    #[arg(long, default_value_t = 20)]
    size: usize,
    /// Messages a second over all conversations.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Seconds that are measured, without messages and then with them.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of the same load before.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Characters in a message.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Name of the servers in the report.
    #[arg(long, default_value = "server")]
    name: String,
    /// Name of the scenario in the report.
    #[arg(long, default_value = "cluster")]
    scenario: String,
    /// Print the report as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// A process that listens on a port of 127.0.0.1.
#[derive(Clone, Copy)]
struct Server {
    port: u16,
    pid: u32,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("not PORT:PID: {text}");
        let (port, pid) = text.split_once(':').ok_or_else(wrong)?;
        let (port, pid) = (port.parse().ok(), pid.parse().ok());
        Ok(Self {
            port: port.ok_or_else(wrong)?,
            pid: pid.ok_or_else(wrong)?,
        })
    }
}

impl Options {
    fn targets(&self) -> Vec<Target> {
        let target = |node: &Server| Target {
            port: node.port,
            pid: node.pid,
            name: self.name.clone(),
            json: self.json,
        };
        self.nodes.iter().map(target).collect()
    }

    /// Waits until no node does much any more: less than a hundredth of a processor for a second, or
    /// for half a minute at most.
    async fn quiet(&self) -> Outcome<()> {
        const LITTLE: Duration = Duration::from_millis(10);
        let used = || -> Outcome<Vec<Duration>> {
            let nodes = self.nodes.iter();
            nodes.map(|node| Process(node.pid).cpu()).collect()
        };
        let mut before = used()?;
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = used()?;
            let mut spent = now.iter().zip(&before).map(|(now, before)| *now - *before);
            if spent.all(|cpu| cpu < LITTLE) {
                break;
            }
            before = now;
        }
        Ok(())
    }

    fn readings(&self) -> Outcome<Readings> {
        let nodes: Vec<_> = self.nodes.iter().map(|node| Process(node.pid)).collect();
        Ok(Readings {
            at: Instant::now(),
            traffic: traffic::with_port(self.redis.port, &nodes)?,
            nodes: nodes
                .iter()
                .map(|node| node.cpu())
                .collect::<Outcome<_>>()?,
            redis: Process(self.redis.pid).cpu()?,
            postgres: match self.postgres {
                Some(pid) => Process(pid).cpu_with_children()?,
                None => Duration::ZERO,
            },
        })
    }
}

/// What everything has used so far.
struct Readings {
    at: Instant,
    traffic: Vec<Traffic>,
    nodes: Vec<Duration>,
    redis: Duration,
    postgres: Duration,
}

/// What something spent in a second: CPU in microseconds, bytes to Redis, bytes from it.
#[derive(Clone, Copy, Default)]
struct Spent {
    cpu: f64,
    sent: f64,
    received: f64,
}

impl Spent {
    fn sum(of: &[Self]) -> Self {
        of.iter().fold(Self::default(), |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            sent: sum.sent + one.sent,
            received: sum.received + one.received,
        })
    }
}

/// What a second cost.
struct Second {
    nodes: Vec<Spent>,
    redis: f64,
    postgres: f64,
}

impl Second {
    fn between(start: &Readings, end: &Readings) -> Outcome<Self> {
        let seconds = (end.at - start.at).as_secs_f64();
        let cpu = |now: Duration, then: Duration| {
            // Of processes that ended meanwhile nothing is known.
            now.saturating_sub(then).as_secs_f64() * 1e6 / seconds
        };
        let mut nodes = Vec::new();
        for (index, traffic) in end.traffic.iter().enumerate() {
            let traffic = traffic.since(start.traffic[index])?;
            nodes.push(Spent {
                cpu: cpu(end.nodes[index], start.nodes[index]),
                sent: traffic.sent as f64 / seconds,
                received: traffic.received as f64 / seconds,
            });
        }
        Ok(Self {
            nodes,
            redis: cpu(end.redis, start.redis),
            postgres: cpu(end.postgres, start.postgres),
        })
    }

    /// Without what the same second costs anyway.
    fn above(&self, idle: &Self) -> Self {
        let nodes = self.nodes.iter().zip(&idle.nodes);
        Self {
            nodes: nodes
                .map(|(busy, idle)| Spent {
                    cpu: busy.cpu - idle.cpu,
                    sent: busy.sent - idle.sent,
                    received: busy.received - idle.received,
                })
                .collect(),
            redis: self.redis - idle.redis,
            postgres: self.postgres - idle.postgres,
        }
    }
}

/// Runs the scenario.
pub async fn run(options: Options) -> Outcome<Report> {
    process::raise_file_limit()?;
    let (nodes, hosts) = (options.targets(), options.hosts);
    if hosts == 0 || hosts > nodes.len() || !options.size.is_multiple_of(hosts) {
        return Err("hosts must be some of the nodes, and divide the rooms' size".into());
    }
    let (hosting, bystanders) = nodes.split_at(hosts);
    let clock = Clock::start();
    let (count, size, bytes) = (options.rooms, options.size, options.bytes);
    let rooms = rooms::open(hosting, &clock, count, size, bytes).await?;
    let mut quiet = Vec::new();
    for node in bystanders {
        let own = std::slice::from_ref(node);
        quiet.push(rooms::open(own, &clock, count, size, bytes).await?);
    }
    // Presence of all these new users is not what is measured.
    options.quiet().await?;

    let length = Duration::from_secs(options.seconds);
    let start = options.readings()?;
    tokio::time::sleep(length).await;
    let idle = Second::between(&start, &options.readings()?)?;

    let ears = rooms::ears(&rooms);
    let warm_up = Duration::from_secs(options.warm_up);
    let pace = Pace {
        rate: options.rate,
        length: warm_up + length,
        bytes,
        every: hosts,
    };
    let steady = Steady::start(clock.clone(), rooms, pace);
    tokio::time::sleep(warm_up).await;
    let (first, heard, start) = (steady.sent(), clock.heard(), options.readings()?);
    tokio::time::sleep(length).await;
    let end = options.readings()?;
    let (sent, heard) = (steady.sent() - first, clock.heard() - heard);
    let busy = Second::between(&start, &end)?;

    let mut report = Report::new(&options.name, &options.scenario);
    let ended = steady.end(&mut report).await?;
    ledger::drain(&clock, ended.sent.len() as u64 * (size as u64 - 1)).await;

    let seconds = (end.at - start.at).as_secs_f64();
    let (messages, deliveries) = (sent as f64 / seconds, heard as f64 / seconds);
    report.set("nodes", nodes.len() as f64);
    report.set("hosts", hosts as f64);
    report.set("messages_per_s", messages);
    report.set("deliveries_per_s", deliveries);
    let above = busy.above(&idle);
    let (host_spent, other_spent) = above.nodes.split_at(hosts);
    let total = Spent::sum(host_spent);
    report.set("host_cpu_us_per_delivery", total.cpu / deliveries);
    report.set("host_cpu_us_per_message", total.cpu / messages);
    report.set("host_sent_bytes_per_message", total.sent / messages);
    report.set("host_received_bytes_per_message", total.received / messages);
    report.set("redis_cpu_us_per_message", above.redis / messages);
    if options.postgres.is_some() {
        report.set("postgres_cpu_us_per_message", above.postgres / messages);
    }
    if !other_spent.is_empty() {
        let each = other_spent.len() as f64;
        let (mean, rest) = (Spent::sum(other_spent), Spent::sum(&idle.nodes[hosts..]));
        report.set("other_cpu_us_per_message", mean.cpu / each / messages);
        report.set("other_sent_bytes_per_message", mean.sent / each / messages);
        report.set(
            "other_received_bytes_per_message",
            mean.received / each / messages,
        );
        report.set("other_idle_cpu_us_per_s", rest.cpu / each);
        report.set("other_idle_bytes_per_s", (rest.sent + rest.received) / each);
    }
    // Members of a room are on the hosts in turn: the first, and all others.
    let on_node = |here: bool| {
        let members = move |room: &'_ Vec<Arc<Ear>>| -> Vec<Arc<Ear>> {
            let numbered = room.iter().enumerate();
            numbered
                .filter(|(member, _)| member.is_multiple_of(hosts) == here)
                .map(|(_, ear)| ear.clone())
                .collect()
        };
        ears.iter().flat_map(members).collect::<Vec<_>>()
    };
    report.set_latencies("delivery", &ledger::latencies(&on_node(true), first)?);
    if hosts > 1 {
        report.set_latencies("across", &ledger::latencies(&on_node(false), first)?);
    }
    report.set_latencies("ack", &ended.acks);
    report.set_verdict(&Verdict::reach(&ears, &ended.sent));
    Ok(report)
}
