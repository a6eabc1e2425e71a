//! `idle`: connections that only answer pings, and what each costs in resident memory.
//!
//! Memory is read before and after `connections` are made, when it has settled; the first few
//! connections are made before the first reading, so that what a server sets up once does not count.
//! Connections change with age (a queue that has been used keeps a block), so that a second figure
//! is taken after each has heard `pings` pings: run the server with a short ping interval for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    Outcome, Target,
    client::{Client, Inbox},
    ledger::Clock,
    process::{self, Process},
    report::Report,
    rooms,
};

/// Connections made before the first reading.
const WARM: usize = 50;
/// Handshakes under way at one time.
const AT_ONCE: usize = 64;
/// Files that this process needs besides its connections.
const SPARE_FILES: u64 = 100;

/// Options of `idle`.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections; fewer if this process may not open as many files.
    #[arg(long, default_value_t = 4000)]
    connections: usize,
    /// Read memory again after each connection heard this many pings (0: do not).
    #[arg(long, default_value_t = 0)]
    pings: u64,
    /// Let every connection join a conversation of this many participants (0: none).
    #[arg(long, default_value_t = 0)]
    joined: usize,
}

struct Deaf;

impl Inbox for Deaf {
    fn event(&self, _name: &str, _body: &str) {}
}

/// Runs the scenario.
pub async fn run(target: Target, options: Options) -> Outcome<Report> {
    let files = process::raise_file_limit()?;
    let room_for = files.saturating_sub(SPARE_FILES + WARM as u64) as usize;
    let wanted = options.connections.min(room_for);
    let server = Process(target.pid);

    let warm = connect(&target, "warm", WARM).await?;
    let before = server.settled_rss_kib().await?;
    let (cpu, start) = (server.cpu()?, Instant::now());
    let clients = match wanted.checked_div(options.joined) {
        None => connect(&target, "idle", wanted).await?,
        Some(rooms) => rooms::open(
            std::slice::from_ref(&target),
            &Clock::start(),
            rooms,
            options.joined,
            0,
        )
        .await?
        .into_iter()
        .flat_map(|room| room.members)
        .collect(),
    };
    let took = start.elapsed().as_secs_f64();
    let cpu = server.cpu()? - cpu;
    let after = server.settled_rss_kib().await?;
    let count = clients.len() as f64;
    let per_connection = |kib: u64| (kib as f64 - before as f64) / count;

    let mut report = Report::new(
        &target.name,
        if options.joined == 0 {
            "idle"
        } else {
            "joined"
        },
    );
    report.set("connections", count);
    report.set("connections_per_s", count / took);
    report.set("cpu_us_per_connection", cpu.as_secs_f64() * 1e6 / count);
    report.set("rss_before_kib", before as f64);
    report.set("rss_kib_per_connection", per_connection(after));
    if options.pings > 0 {
        hear_pings(&clients, options.pings).await?;
        let used = server.settled_rss_kib().await?;
        report.set("pings", options.pings as f64);
        report.set("used_rss_kib_per_connection", per_connection(used));
    }
    let closed = clients
        .iter()
        .chain(&warm)
        .filter(|client| client.closed())
        .count();
    if closed > 0 {
        return Err(format!("the server closed {closed} connections").into());
    }
    Ok(report)
}

async fn connect(target: &Target, prefix: &str, count: usize) -> Outcome<Vec<Client>> {
    let run: u32 = rand::random();
    let inbox: Arc<dyn Inbox> = Arc::new(Deaf);
    let one = |number: usize| {
        let inbox = inbox.clone();
        async move {
            let user = format!("bench-{prefix}-{run:08x}-{number}");
            Client::connect(target.port, &target.token(&user)?, inbox).await
        }
    };
    stream::iter(0..count)
        .map(one)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Waits until every client heard `pings` pings, for two minutes at most.
async fn hear_pings(clients: &[Client], pings: u64) -> Outcome<()> {
    let start = Instant::now();
    while clients.iter().any(|client| client.pings() < pings) {
        if start.elapsed() > Duration::from_secs(120) {
            return Err(format!("not everyone heard {pings} pings in 2 minutes").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
