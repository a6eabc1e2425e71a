//! `send`: every member of every conversation sends as fast as acks come back, and one `clientId` in
//! ten is sent twice. How many messages a second are acknowledged, and is each heard by everyone
//! else once and in order.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Outcome, Target,
    ledger::{self, Clock, Sent, Verdict},
    process::{self, Process},
    report::Report,
    rooms::{self, Room},
};

/// Options of `send`.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Conversations.
    #[arg(long, default_value_t = 50)]
    conversations: usize,
    /// Concurrent senders, spread evenly over the conversations.
    #[arg(long, default_value_t = 200)]
    senders: usize,
    /// Messages over all senders; repetitions come on top.
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// One message in this many is sent twice (0: none).
    #[arg(long, default_value_t = 10)]
    repeat_every: u64,
    /// Characters in a message.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Seconds after which no more is sent.
    #[arg(long, default_value_t = 300)]
    max_seconds: u64,
}

/// One sender's messages, and how long each ack took in microseconds.
struct Sender {
    clock: Arc<Clock>,
    room: Arc<Room>,
    index: usize,
    member: usize,
    numbers: std::ops::Range<u64>,
    options: Options,
}

/// Runs the scenario.
pub async fn run(target: Target, options: Options) -> Outcome<Report> {
    process::raise_file_limit()?;
    let server = Process(target.pid);
    let clock = Clock::start();
    let size = options.senders / options.conversations;
    let rooms = rooms::open(
        std::slice::from_ref(&target),
        &clock,
        options.conversations,
        size,
        options.bytes,
    )
    .await?;
    let ears = rooms::ears(&rooms);
    server.settled_rss_kib().await?;

    let share = options.messages.div_ceil(size * options.conversations) as u64;
    let (cpu, start) = (server.cpu()?, Instant::now());
    let mut senders = JoinSet::new();
    let mut first = 0;
    for (index, room) in rooms.into_iter().map(Arc::new).enumerate() {
        for member in 0..size {
            let sender = Sender {
                clock: clock.clone(),
                room: room.clone(),
                index,
                member,
                numbers: first..(first + share).min(options.messages as u64),
                options: options.clone(),
            };
            first = sender.numbers.end;
            senders.spawn(sender.send_all());
        }
    }
    let mut acks = Histogram::<u64>::new(3)?;
    let mut report = Report::new(&target.name, "send");
    let (mut sent, mut keep) = (Vec::new(), Vec::new());
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
    let took = start.elapsed().as_secs_f64();
    let cpu = server.cpu()? - cpu;
    ledger::drain(&clock, sent.len() as u64 * (size as u64 - 1)).await;

    report.set("connections", (size * options.conversations) as f64);
    report.set("acked", sent.len() as f64);
    report.set("acked_per_s", sent.len() as f64 / took);
    report.set(
        "cpu_us_per_message",
        cpu.as_secs_f64() * 1e6 / sent.len() as f64,
    );
    report.set_latencies("delivery", &ledger::latencies(ears.iter().flatten(), 0)?);
    report.set_latencies("ack", &acks);
    report.set_verdict(&Verdict::reach(&ears, &sent));
    Ok(report)
}

impl Sender {
    async fn send_all(self) -> (Arc<Room>, Vec<Outcome<(Sent, u64)>>) {
        let end = Instant::now() + Duration::from_secs(self.options.max_seconds);
        let mut outcomes = Vec::new();
        for number in self.numbers.clone() {
            if Instant::now() >= end {
                outcomes.push(Err("out of time".into()));
                break;
            }
            outcomes.push(self.send_one(number).await);
        }
        (self.room, outcomes)
    }

    /// Sends a message, and some twice: every other of these while the first is still unanswered,
    /// the rest after its ack, as clients do that lost the ack.
    async fn send_one(&self, number: u64) -> Outcome<(Sent, u64)> {
        let client = &self.room.members[self.member];
        let body = json!({
            "conversationId": self.room.id,
            "content": self.clock.content(number, self.options.bytes),
            "clientId": format!("send-{number}"),
        })
        .to_string();
        let every = self.options.repeat_every;
        let repeated = every > 0 && number.is_multiple_of(every);
        let at_once = repeated && number.is_multiple_of(2 * every);

        let start = Instant::now();
        let first = client.emit("message:send", &body).await?;
        let mut second = None;
        if at_once {
            second = Some(client.emit("message:send", &body).await?);
        }
        let stored = ledger::read_ack(&first.answer().await?)?;
        let micros = start.elapsed().as_micros() as u64;
        if repeated && !at_once {
            second = Some(client.emit("message:send", &body).await?);
        }
        if let Some(second) = second
            && ledger::read_ack(&second.answer().await?)? != stored
        {
            return Err("a repeated clientId got another ack".into());
        }
        Ok((
            Sent {
                number,
                room: self.index,
                sender: self.member,
                stored,
            },
            micros,
        ))
    }
}
