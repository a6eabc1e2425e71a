//! `fanout`: messages to rooms at a given rate. What one delivery costs the server in CPU (its whole
//! process, from the kernel), and how long it takes from the sender's write to the receiver's read.
//!
//! CPU and latency are taken after a warm-up; the verdict covers every message.

use std::time::{Duration, Instant};

use crate::{
    Outcome, Target,
    ledger::{self, Clock, Verdict},
    process::{self, Process},
    report::Report,
    rooms,
    steady::{Pace, Steady},
};

/// Options of `fanout`.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Conversations.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Members of each; all are connected and have joined.
    #[arg(long, default_value_t = 50)]
    size: usize,
    /// Messages a second over all conversations.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds of the same load before.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Characters in a message.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
}

/// Runs the scenario.
pub async fn run(target: Target, options: Options) -> Outcome<Report> {
    process::raise_file_limit()?;
    let server = Process(target.pid);
    let clock = Clock::start();
    let rooms = rooms::open(
        std::slice::from_ref(&target),
        &clock,
        options.rooms,
        options.size,
        options.bytes,
    )
    .await?;
    let ears = rooms::ears(&rooms);
    // Presence of a thousand new users is not what is measured.
    server.settled_rss_kib().await?;

    let pace = Pace {
        rate: options.rate,
        length: Duration::from_secs(options.warm_up + options.seconds),
        bytes: options.bytes,
        every: 1,
    };
    let steady = Steady::start(clock.clone(), rooms, pace);
    tokio::time::sleep(Duration::from_secs(options.warm_up)).await;
    let first = steady.sent();
    let (cpu, heard, start) = (server.cpu()?, clock.heard(), Instant::now());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let cpu = server.cpu()? - cpu;
    let delivered = (clock.heard() - heard) as f64;
    let took = start.elapsed().as_secs_f64();

    let mut report = Report::new(&target.name, "fanout");
    let ended = steady.end(&mut report).await?;
    ledger::drain(&clock, ended.sent.len() as u64 * (options.size as u64 - 1)).await;

    report.set("connections", (options.rooms * options.size) as f64);
    report.set("deliveries_per_s", delivered / took);
    report.set("cpu_us_per_delivery", cpu.as_secs_f64() * 1e6 / delivered);
    report.set("cpu_percent", cpu.as_secs_f64() * 100.0 / took);
    report.set_latencies(
        "delivery",
        &ledger::latencies(ears.iter().flatten(), first)?,
    );
    report.set_latencies("ack", &ended.acks);
    report.set_verdict(&Verdict::reach(&ears, &ended.sent));
    Ok(report)
}
