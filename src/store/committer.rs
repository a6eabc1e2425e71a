//! The group committer: lanes that gather jobs into batches and commit them.
//!
//! While a batch is being committed the next one gathers by itself, so under load batches grow
//! without anybody waiting for them. All jobs of a conversation go through one lane.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    batch::{Batch, Job, Outcome, Reply},
    commit,
    core::Core,
    engine::Engine,
    failure::{Closed, Failure, Fault, unavailable},
};
use crate::{
    chat::{OutboxId, StoreResult},
    telemetry::{STORE_BATCH_SIZE, STORE_COMMIT_SECONDS},
};

/// How often a batch is tried again because somebody else was first.
const ATTEMPTS: u32 = 4;

/// The time between two tries while the database is down.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How long cleared outbox rows wait for a batch that takes them along, which saves a transaction.
/// A row must be gone before it is old enough for the sweepers, who take it for left behind.
const CLEAR_AFTER: Duration = Duration::from_secs(1);

/// How batches are formed.
#[derive(Clone, Copy)]
pub(super) struct Grouping {
    /// Batches that are committed at the same time.
    pub(super) lanes: usize,
    /// For how long after a batch the next one waits to become as large.
    pub(super) wait: Duration,
    /// Jobs in a batch at most.
    pub(super) max: usize,
}

/// The way into the lanes. Dropping it ends them once they have committed what is queued.
pub(super) struct Committer {
    lanes: Vec<mpsc::Sender<Job>>,
    tasks: TaskTracker,
    closing: CancellationToken,
    _close_on_drop: DropGuard,
}

impl Committer {
    /// Starts the lanes.
    pub(super) fn start<E: Engine>(core: &Arc<Core<E>>, grouping: Grouping) -> Self {
        let tasks = TaskTracker::new();
        let closing = CancellationToken::new();
        let lanes: Vec<_> = (0..grouping.lanes.max(1))
            .map(|_| {
                // Room for the next batches; whoever finds it full waits within the call's time.
                let (lane, jobs) = mpsc::channel(grouping.max.saturating_mul(4).max(1));
                let lane_task = Lane {
                    core: Arc::clone(core),
                    jobs,
                    closing: closing.clone(),
                    grouping,
                    previous: 0,
                    answered: Instant::now(),
                };
                tasks.spawn(lane_task.run());
                lane
            })
            .collect();
        tasks.spawn(clear_when_idle(
            Arc::clone(core),
            lanes[0].downgrade(),
            closing.clone(),
        ));
        tasks.close();
        Self {
            lanes,
            tasks,
            _close_on_drop: closing.clone().drop_guard(),
            closing,
        }
    }

    /// Queues a job in the lane of `key` and waits for its outcome.
    pub(super) async fn submit<T>(
        &self,
        key: &str,
        job: impl FnOnce(Reply<T>) -> Job + Send,
    ) -> StoreResult<T> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let lane = hasher.finish() % self.lanes.len() as u64;
        let (reply, outcome) = oneshot::channel();
        self.lanes[lane as usize]
            .send(job(reply))
            .await
            .map_err(|_| unavailable(Closed))?;
        outcome.await.map_err(|_| unavailable(Closed))?
    }

    /// Commits what is queued and ends the lanes.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

struct Lane<E: Engine> {
    core: Arc<Core<E>>,
    jobs: mpsc::Receiver<Job>,
    closing: CancellationToken,
    grouping: Grouping,
    /// The size of the previous batch.
    previous: usize,
    /// When its jobs were answered.
    answered: Instant,
}

impl<E: Engine> Lane<E> {
    async fn run(mut self) {
        while let Some(first) = self.next().await {
            let batch = self.gather(first).await;
            self.previous = batch.len();
            self.commit(batch).await;
            self.answered = Instant::now();
        }
        // What was cleared after the last batch.
        self.commit(Batch::default()).await;
    }

    /// The next job; `None` once the committer is closing and nothing is queued.
    async fn next(&mut self) -> Option<Job> {
        tokio::select! {
            biased;
            job = self.jobs.recv() => return job,
            () = self.closing.cancelled() => self.jobs.close(),
        }
        self.jobs.recv().await
    }

    async fn gather(&mut self, first: Job) -> Batch {
        let mut batch = Batch::default();
        batch.push(first);
        self.drain(&mut batch);
        // Those whom the previous batch answered are about to send again, if they do so at once.
        // One that was alone has no company to wait for.
        let wanted = self.previous.min(self.grouping.max);
        let until = self.answered + self.grouping.wait;
        while wanted > 1 && batch.len() < wanted && Instant::now() < until {
            match timeout_at(until, self.jobs.recv()).await {
                Ok(Some(job)) => batch.push(job),
                Ok(None) | Err(_) => break,
            }
            self.drain(&mut batch);
        }
        batch
    }

    fn drain(&mut self, batch: &mut Batch) {
        while batch.len() < self.grouping.max
            && let Ok(job) = self.jobs.try_recv()
        {
            batch.push(job);
        }
    }

    async fn commit(&self, mut batch: Batch) {
        batch.drop_abandoned();
        let cleared = self.core.cleared.take();
        if batch.len() == 0 && cleared.is_empty() {
            return;
        }
        match self.attempt(&mut batch, &cleared).await {
            Ok(outcome) => batch.answer(outcome),
            Err(failure) => {
                self.core.cleared.put_back(cleared);
                if batch.len() > 1 && matches!(failure.fault, Fault::Refused | Fault::Taken) {
                    // One of them is at fault: find out which by committing each alone.
                    for mut single in batch.split() {
                        match self.attempt(&mut single, &[]).await {
                            Ok(outcome) => single.answer(outcome),
                            Err(failure) => single.fail(failure),
                        }
                    }
                } else {
                    tracing::warn!(
                        jobs = batch.len(),
                        error = %failure.error,
                        cause = std::error::Error::source(&failure.error).map(tracing::field::display),
                        "group commit failed"
                    );
                    batch.fail(failure);
                }
            }
        }
    }

    /// Tries for as long as a call may take. What surely was not committed is tried again.
    async fn attempt(&self, batch: &mut Batch, cleared: &[OutboxId]) -> Result<Outcome, Failure> {
        let deadline = Instant::now() + self.core.timeout;
        let mut attempts = 0;
        loop {
            let started = Instant::now();
            let failure = match timeout_at(deadline, commit::commit(&self.core, batch, cleared))
                .await
            {
                Ok(Ok(outcome)) => {
                    metrics::histogram!(STORE_COMMIT_SECONDS).record(started.elapsed());
                    if !batch.appends.is_empty() {
                        metrics::histogram!(STORE_BATCH_SIZE).record(batch.appends.len() as f64);
                    }
                    return Ok(outcome);
                }
                Ok(Err(failure)) => failure,
                Err(elapsed) => Failure {
                    fault: Fault::InDoubt,
                    error: unavailable(elapsed),
                },
            };
            attempts += 1;
            match failure.fault {
                Fault::Taken | Fault::Again if attempts < ATTEMPTS => {}
                Fault::Down if Instant::now() + RETRY_PAUSE < deadline => {
                    self.core.members.clear();
                    sleep(RETRY_PAUSE).await;
                }
                _ => return Err(failure),
            }
        }
    }
}

/// Deletes cleared outbox rows when no batch comes along to do it.
async fn clear_when_idle<E: Engine>(
    core: Arc<Core<E>>,
    lane: mpsc::WeakSender<Job>,
    closing: CancellationToken,
) {
    let clear = async {
        loop {
            core.cleared.added().await;
            sleep(CLEAR_AFTER).await;
            let Some(lane) = lane.upgrade() else { return };
            if !core.cleared.is_empty() && lane.send(Job::Clear).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = clear => {}
        () = closing.cancelled() => {}
    }
}
