//! Every message sent and every message heard, and the verdict on them: lost, doubled, reordered or
//! wrong.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::{Outcome, client::Inbox};

/// What the members of one run share: the clock that is written into messages, and a count of all
/// that was heard.
pub struct Clock {
    start: Instant,
    heard: AtomicU64,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            heard: AtomicU64::new(0),
        })
    }

    /// Deliveries that arrived at all clients so far.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Content of `bytes` characters at least for the message `number`, sent now.
    pub fn content(&self, number: u64, bytes: usize) -> String {
        let stamp = format!("{number} {} ", self.micros());
        format!("{stamp:x<bytes$}")
    }

    fn micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

/// A message as it reached one client.
struct Receipt {
    seq: u64,
    number: u64,
    latency_us: u64,
}

/// The ear of one member: keeps what `message:new` brings.
pub struct Ear {
    clock: Arc<Clock>,
    conversation: String,
    bytes: usize,
    receipts: Mutex<Vec<Receipt>>,
    wrong: AtomicU64,
}

impl Ear {
    /// Listens for messages of `conversation` with content of `bytes` characters.
    pub fn new(clock: Arc<Clock>, conversation: String, bytes: usize) -> Self {
        Self {
            clock,
            conversation,
            bytes,
            receipts: Mutex::default(),
            wrong: AtomicU64::new(0),
        }
    }

    fn read(&self, body: &str) -> Option<Receipt> {
        let message: Message<'_> = serde_json::from_str(body).ok()?;
        let mut words = message.content.split(' ');
        let number = words.next()?.parse().ok()?;
        let sent: u64 = words.next()?.parse().ok()?;
        let whole = message.content.len() >= self.bytes;
        (whole && message.conversation_id == self.conversation).then(|| Receipt {
            seq: message.seq,
            number,
            latency_us: self.clock.micros().saturating_sub(sent),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow)]
    conversation_id: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
    seq: u64,
}

impl Inbox for Ear {
    fn event(&self, name: &str, body: &str) {
        if name != "message:new" {
            return;
        }
        match self.read(body) {
            Some(receipt) => {
                self.receipts.lock().push(receipt);
                self.clock.heard.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The ack of `message:send`.
#[derive(Deserialize)]
struct Ack {
    ok: bool,
    message: Option<Stored>,
}

/// What an ack says about the message.
#[derive(Deserialize, PartialEq, Eq, Clone)]
pub struct Stored {
    /// The server's id.
    pub id: String,
    /// Its place in the conversation.
    pub seq: u64,
}

/// Reads an ack; a refusal is an error with the server's words.
pub fn read_ack(body: &str) -> Outcome<Stored> {
    match serde_json::from_str(body) {
        Ok(Ack {
            ok: true,
            message: Some(stored),
        }) => Ok(stored),
        _ => Err(format!("not acknowledged: {body}").into()),
    }
}

/// A message that was acknowledged.
pub struct Sent {
    /// Its number in the run, which its content carries.
    pub number: u64,
    /// Index of the room.
    pub room: usize,
    /// Index of the sender in the room.
    pub sender: usize,
    /// What the ack said.
    pub stored: Stored,
}

/// What became of the messages of a run.
#[derive(Default)]
pub struct Verdict {
    /// Deliveries that acknowledged messages require.
    pub expected: u64,
    /// Of these, never arrived.
    pub lost: u64,
    /// Arrived at a client again.
    pub doubled: u64,
    /// Arrived after a later one.
    pub reordered: u64,
    /// Damaged, foreign, with another seq than acknowledged, or seqs of a conversation with a gap.
    pub wrong: u64,
}

impl Verdict {
    /// Compares what `ears` (by room and member) heard with what was acknowledged. Conversations
    /// must have been made for the run, so that their seqs are 1, 2, 3, ... .
    pub fn reach(ears: &[Vec<Arc<Ear>>], sent: &[Sent]) -> Self {
        let mut verdict = Self::default();
        for (room, ears) in ears.iter().enumerate() {
            let sent: Vec<&Sent> = sent.iter().filter(|sent| sent.room == room).collect();
            let seqs: HashMap<u64, u64> = sent
                .iter()
                .map(|sent| (sent.number, sent.stored.seq))
                .collect();
            let distinct: HashSet<u64> = seqs.values().copied().collect();
            verdict.wrong += (1..=sent.len() as u64)
                .filter(|seq| !distinct.contains(seq))
                .count() as u64;
            for (member, ear) in ears.iter().enumerate() {
                let heard = verdict.judge(ear, &seqs);
                for sent in sent.iter().filter(|sent| sent.sender != member) {
                    verdict.expected += 1;
                    verdict.lost += u64::from(!heard.contains(&sent.number));
                }
            }
        }
        verdict
    }

    fn judge(&mut self, ear: &Ear, seqs: &HashMap<u64, u64>) -> HashSet<u64> {
        self.wrong += ear.wrong.load(Ordering::Relaxed);
        let mut heard = HashSet::new();
        let mut last = 0;
        for receipt in ear.receipts.lock().iter() {
            if !heard.insert(receipt.number) {
                self.doubled += 1;
                continue;
            }
            self.reordered += u64::from(receipt.seq < last);
            last = last.max(receipt.seq);
            self.wrong += u64::from(
                seqs.get(&receipt.number)
                    .is_some_and(|seq| *seq != receipt.seq),
            );
        }
        heard
    }
}

/// Latencies of all deliveries to these from the message `first` on, in microseconds.
pub fn latencies<'a>(
    ears: impl IntoIterator<Item = &'a Arc<Ear>>,
    first: u64,
) -> Outcome<Histogram<u64>> {
    let mut histogram = Histogram::new(3)?;
    for ear in ears {
        for receipt in ear
            .receipts
            .lock()
            .iter()
            .filter(|receipt| receipt.number >= first)
        {
            histogram.record(receipt.latency_us)?;
        }
    }
    Ok(histogram)
}

/// Waits until `expected` deliveries were heard, then a little longer for any that should not come;
/// gives up when none has come for ten seconds.
pub async fn drain(clock: &Clock, expected: u64) {
    let mut last = (clock.heard(), Instant::now());
    while clock.heard() < expected && last.1.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if clock.heard() != last.0 {
            last = (clock.heard(), Instant::now());
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: u64, seq: u64) -> Sent {
        let stored = Stored {
            id: number.to_string(),
            seq,
        };
        Sent {
            number,
            room: 0,
            sender: 0,
            stored,
        }
    }

    /// The verdict on one room in which member 0 sent `sent` and member 1 heard `(number, seq)`.
    fn verdict(sent: &[Sent], heard: &[(u64, u64)]) -> [u64; 5] {
        let clock = Clock::start();
        let ears: Vec<_> = (0..2)
            .map(|_| Arc::new(Ear::new(clock.clone(), "c".to_owned(), 20)))
            .collect();
        for (number, seq) in heard {
            let content = clock.content(*number, 20);
            let body = serde_json::json!({"conversationId": "c", "seq": seq, "content": content});
            ears[1].event("message:new", &body.to_string());
        }
        let verdict = Verdict::reach(&[ears], sent);
        let Verdict {
            expected,
            lost,
            doubled,
            reordered,
            wrong,
        } = verdict;
        [expected, lost, doubled, reordered, wrong]
    }

    #[test]
    fn a_clean_run_is_clean() {
        assert_eq!(
            verdict(&[sent(7, 1), sent(9, 2)], &[(7, 1), (9, 2)]),
            [2, 0, 0, 0, 0]
        );
    }

    #[test]
    fn every_fault_is_counted_once() {
        let three = || [sent(1, 1), sent(2, 2), sent(3, 3)];
        assert_eq!(verdict(&three(), &[(1, 1), (3, 3)]), [3, 1, 0, 0, 0]);
        assert_eq!(
            verdict(&three(), &[(1, 1), (2, 2), (2, 2), (3, 3)]),
            [3, 0, 1, 0, 0]
        );
        assert_eq!(
            verdict(&three(), &[(1, 1), (3, 3), (2, 2)]),
            [3, 0, 0, 1, 0]
        );
        assert_eq!(
            verdict(&three(), &[(1, 1), (2, 2), (3, 4)]),
            [3, 0, 0, 0, 1]
        );
        assert_eq!(
            verdict(&[sent(1, 1), sent(2, 3)], &[(1, 1), (2, 3)]),
            [2, 0, 0, 0, 1]
        );
    }

    #[test]
    fn damaged_and_foreign_messages_are_wrong() {
        let ear = Ear::new(Clock::start(), "c".to_owned(), 20);
        for body in [
            r#"{"conversationId":"c","seq":1,"content":"1 2 short"}"#,
            r#"{"conversationId":"d","seq":1,"content":"1 2 xxxxxxxxxxxxxxxxxxxx"}"#,
            r#"{"conversationId":"c","content":"1 2 xxxxxxxxxxxxxxxxxxxx"}"#,
        ] {
            ear.event("message:new", body);
        }
        ear.event("typing:start", "{}");
        assert_eq!(ear.wrong.load(Ordering::Relaxed), 3);
    }
}
