//! Messages to rooms at a given rate, whatever the server makes of them: sending does not wait for
//! acks, so that a slow server cannot slow its own load down.

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
    Outcome,
    ledger::{self, Clock, Sent},
    report::Report,
    rooms::Room,
};

/// How much is sent.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Messages a second over all rooms.
    pub rate: u32,
    /// For how long.
    pub length: Duration,
    /// Characters in a message.
    pub bytes: usize,
    /// Which members send, in turn: the first of each so many.
    pub every: usize,
}

/// What the senders of a run share.
struct Run {
    clock: Arc<Clock>,
    numbers: AtomicU64,
    pace: Pace,
}

/// An acknowledged message and how long its ack took in microseconds, or why there is none.
type Acked = Outcome<(Sent, u64)>;

/// Sending under way.
pub struct Steady {
    run: Arc<Run>,
    senders: JoinSet<(Arc<Room>, Vec<Acked>)>,
}

/// What became of everything that was sent.
pub struct Ended {
    /// What was acknowledged.
    pub sent: Vec<Sent>,
    /// How long acks took, in microseconds.
    pub acks: Histogram<u64>,
    /// The rooms, whose members stay connected as long as they are kept.
    pub rooms: Vec<Arc<Room>>,
}

impl Steady {
    /// Starts to send.
    pub fn start(clock: Arc<Clock>, rooms: Vec<Room>, pace: Pace) -> Self {
        let run = Arc::new(Run {
            clock,
            numbers: AtomicU64::new(0),
            pace,
        });
        let count = rooms.len() as f64;
        let gap = Duration::from_secs_f64(count / f64::from(pace.rate.max(1)));
        let mut senders = JoinSet::new();
        for (index, room) in rooms.into_iter().map(Arc::new).enumerate() {
            let offset = gap.mul_f64(index as f64 / count);
            senders.spawn(run.clone().send_to(index, room, gap, offset));
        }
        Self { run, senders }
    }

    /// Messages sent so far; the next one has this number.
    pub fn sent(&self) -> u64 {
        self.run.numbers.load(Ordering::Relaxed)
    }

    /// Waits until all was sent and acknowledged. The report counts what was not.
    pub async fn end(self, report: &mut Report) -> Outcome<Ended> {
        let mut ended = Ended {
            sent: Vec::new(),
            acks: Histogram::new(3)?,
            rooms: Vec::new(),
        };
        for (room, outcomes) in self.senders.join_all().await {
            ended.rooms.push(room);
            for outcome in outcomes {
                match outcome {
                    Ok((message, micros)) => {
                        ended.acks.record(micros)?;
                        ended.sent.push(message);
                    }
                    Err(error) => report.fail(&*error),
                }
            }
        }
        Ok(ended)
    }
}

impl Run {
    /// Sends to one room every `gap`, its senders in turn, and returns every outcome with the room.
    async fn send_to(
        self: Arc<Self>,
        index: usize,
        room: Arc<Room>,
        gap: Duration,
        offset: Duration,
    ) -> (Arc<Room>, Vec<Acked>) {
        let end = Instant::now() + self.pace.length;
        tokio::time::sleep(offset).await;
        let mut ticks = interval(gap);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut acks = JoinSet::new();
        for sender in (0..room.members.len()).step_by(self.pace.every).cycle() {
            ticks.tick().await;
            if Instant::now() >= end {
                break;
            }
            acks.spawn(self.clone().send_one(index, room.clone(), sender));
        }
        (room, acks.join_all().await)
    }

    async fn send_one(self: Arc<Self>, index: usize, room: Arc<Room>, sender: usize) -> Acked {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let content = self.clock.content(number, self.pace.bytes);
        let client_id = format!("steady-{number}");
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
}
