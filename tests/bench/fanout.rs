//! `fanout`: messages to rooms at a given rate. What one delivery costs the server in CPU (its whole
//! process, from the kernel), and how long it takes from the sender's write to the receiver's read.
//!
//! Sending does not wait for acks, so that a slow server cannot slow its own load down. CPU and
//! latency are taken after a warm-up; the verdict covers every message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    Outcome, Target,
    ledger::{self, Clock, Sent, Verdict},
    process::{self, Process},
    report::Report,
    rooms::{self, Room},
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

/// What the senders of a run share.
struct Run {
    clock: Arc<Clock>,
    numbers: AtomicU64,
    bytes: usize,
}

/// An acknowledged message and how long its ack took in microseconds, or why there is none.
type Acked = Outcome<(Sent, u64)>;

/// Runs the scenario.
pub async fn run(target: Target, options: Options) -> Outcome<Report> {
    process::raise_file_limit()?;
    let server = Process(target.pid);
    let clock = Clock::start();
    let rooms = rooms::open(&target, &clock, options.rooms, options.size, options.bytes).await?;
    let ears = rooms::ears(&rooms);
    // Presence of a thousand new users is not what is measured.
    server.settled_rss_kib().await?;

    let numbers = AtomicU64::new(0);
    let run = Arc::new(Run {
        clock: clock.clone(),
        numbers,
        bytes: options.bytes,
    });
    let gap = Duration::from_secs_f64(options.rooms as f64 / f64::from(options.rate.max(1)));
    let mut senders = JoinSet::new();
    for (index, room) in rooms.into_iter().enumerate() {
        let length = Duration::from_secs(options.warm_up + options.seconds);
        let offset = gap.mul_f64(index as f64 / options.rooms as f64);
        senders.spawn(send_to(
            run.clone(),
            index,
            Arc::new(room),
            gap,
            offset,
            length,
        ));
    }
    tokio::time::sleep(Duration::from_secs(options.warm_up)).await;
    let first = run.numbers.load(Ordering::Relaxed);
    let (cpu, heard, start) = (server.cpu()?, clock.heard(), Instant::now());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let cpu = server.cpu()? - cpu;
    let delivered = (clock.heard() - heard) as f64;
    let took = start.elapsed().as_secs_f64();

    let mut acks = Histogram::<u64>::new(3)?;
    let mut sent = Vec::new();
    let mut report = Report::new(&target.name, "fanout");
    let mut keep = Vec::new();
    for (room, outcomes) in senders.join_all().await {
        keep.push(room);
        for outcome in outcomes {
            match outcome {
                Ok((message, micros)) => {
                    acks.record(micros)?;
                    sent.push(message);
                }
                Err(error) => report.fail(&*error),
            }
        }
    }
    ledger::drain(&clock, sent.len() as u64 * (options.size as u64 - 1)).await;

    report.set("connections", (options.rooms * options.size) as f64);
    report.set("deliveries_per_s", delivered / took);
    report.set("cpu_us_per_delivery", cpu.as_secs_f64() * 1e6 / delivered);
    report.set("cpu_percent", cpu.as_secs_f64() * 100.0 / took);
    report.set_latencies("delivery", &ledger::latencies(&ears, first)?);
    report.set_latencies("ack", &acks);
    report.set_verdict(&Verdict::reach(&ears, &sent));
    Ok(report)
}

/// Sends to one room every `gap` for `length`, its members in turn, and returns every outcome with
/// the room, whose members stay connected as long as it is kept.
async fn send_to(
    run: Arc<Run>,
    index: usize,
    room: Arc<Room>,
    gap: Duration,
    offset: Duration,
    length: Duration,
) -> (Arc<Room>, Vec<Acked>) {
    let end = Instant::now() + length;
    tokio::time::sleep(offset).await;
    let mut ticks = interval(gap);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut acks = JoinSet::new();
    let mut sender = 0;
    loop {
        ticks.tick().await;
        if Instant::now() >= end {
            break;
        }
        acks.spawn(send_one(run.clone(), index, room.clone(), sender));
        sender = (sender + 1) % room.members.len();
    }
    (room, acks.join_all().await)
}

async fn send_one(run: Arc<Run>, index: usize, room: Arc<Room>, sender: usize) -> Acked {
    let number = run.numbers.fetch_add(1, Ordering::Relaxed);
    let content = run.clock.content(number, run.bytes);
    let client_id = format!("fanout-{number}");
    let body = json!({ "conversationId": room.id, "content": content, "clientId": client_id });
    let start = Instant::now();
    let ack = room.members[sender]
        .emit_with_ack("message:send", &body.to_string())
        .await?;
    let micros = start.elapsed().as_micros() as u64;
    let stored = ledger::read_ack(&ack)?;
    Ok((
        Sent {
            number,
            room: index,
            sender,
            stored,
        },
        micros,
    ))
}
