//! Stopping in two stages: first no new work and what is under way finishes, then everything ends.
//! Where it ends because its time is over, the node still says what it owes to others; a second
//! signal ends that, too.
//!
//! A [`Shutdown`] belongs to one node; nothing is global but the process's signals, so that several
//! nodes can live in one process.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long tasks get to end once the hard stop told them to.
const AFTER_HARD_STOP: Duration = Duration::from_secs(1);

/// A node's stop. Clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    soft: CancellationToken,
    /// Cancelled with `now`, or when the time is over.
    hard: CancellationToken,
    now: CancellationToken,
    tasks: TaskTracker,
}

/// How a node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every task finished.
    Clean,
    /// The time ran out; tasks were told to end at once.
    Late {
        /// Tasks that did not even then.
        left: usize,
    },
    /// A second signal came; tasks were told to end at once.
    Forced {
        /// Tasks that did not even then.
        left: usize,
    },
}

impl Default for Shutdown {
    fn default() -> Self {
        let now = CancellationToken::new();
        Self {
            soft: CancellationToken::new(),
            hard: now.child_token(),
            now,
            tasks: TaskTracker::new(),
        }
    }
}

impl Shutdown {
    /// Of a node that runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled at the first stage: accept nothing new, finish what is under way.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled at the second stage: end now. Never cancelled before [`Self::soft`].
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Cancelled when nothing is to be waited for any more: by a second signal, with
    /// [`Self::hard`].
    pub fn now(&self) -> &CancellationToken {
        &self.now
    }

    /// The tasks that a stop waits for. Spawn on it what must not be cut off.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Begins the first stage; the second if the first has begun.
    pub fn trigger(&self) {
        if self.soft.is_cancelled() {
            self.now.cancel();
        } else {
            self.soft.cancel();
        }
    }

    /// Lets SIGTERM and SIGINT trigger: the first one softly, the second one hard.
    ///
    /// # Errors
    /// The process cannot listen to signals.
    pub fn listen_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (sender, signals) = mpsc::channel(1);
        // Neither task is tracked: a stop does not wait for the next signal.
        tokio::spawn(self.clone().obey(signals));
        let now = self.now.clone();
        tokio::spawn(now.run_until_cancelled_owned(async move {
            loop {
                let name = tokio::select! {
                    Some(()) = terminate.recv() => "SIGTERM",
                    Some(()) = interrupt.recv() => "SIGINT",
                    else => break,
                };
                if sender.send(name).await.is_err() {
                    break;
                }
            }
        }));
        Ok(())
    }

    async fn obey(self, mut signals: mpsc::Receiver<&'static str>) {
        while let Some(Some(name)) = self.now.run_until_cancelled(signals.recv()).await {
            if self.soft.is_cancelled() {
                tracing::warn!(signal = name, "stopping at once");
            } else {
                tracing::info!(signal = name, "stopping; another signal stops at once");
            }
            self.trigger();
        }
    }

    /// Waits for the first stage to begin and then for all tasks: for `patience` softly, then
    /// hard. Returns when the node has stopped.
    pub async fn stopped(&self, patience: Duration) -> Stopped {
        self.soft.cancelled().await;
        self.tasks.close();
        let softly = self.hard.run_until_cancelled(self.tasks.wait());
        let done = timeout(patience, softly).await;
        // Tasks that the hard stop ended may be seen to be done before the hard stop is.
        if let (Ok(Some(())), false) = (done, self.hard.is_cancelled()) {
            return Stopped::Clean;
        }
        self.hard.cancel();
        let _ = timeout(AFTER_HARD_STOP, self.tasks.wait()).await;
        let left = self.tasks.len();
        match self.now.is_cancelled() {
            true => Stopped::Forced { left },
            false => Stopped::Late { left },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Longer than any test may take.
    const AMPLE: Duration = Duration::from_secs(60);
    const BRIEF: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn waits_for_work_under_way() {
        let shutdown = Shutdown::new();
        let soft = shutdown.soft().clone();
        let work = shutdown.tasks().spawn(async move {
            soft.cancelled().await;
            tokio::time::sleep(BRIEF).await;
        });
        shutdown.trigger();
        assert_eq!(shutdown.stopped(AMPLE).await, Stopped::Clean);
        assert!(work.is_finished());
        assert!(!shutdown.hard().is_cancelled());
    }

    #[tokio::test]
    async fn goes_hard_when_patience_runs_out() {
        let shutdown = Shutdown::new();
        let hard = shutdown.hard().clone();
        shutdown
            .tasks()
            .spawn(async move { hard.cancelled().await });
        let endless = shutdown.tasks().spawn(std::future::pending::<()>());
        shutdown.trigger();
        let began = Instant::now();
        let stopped = shutdown.stopped(BRIEF).await;
        assert_eq!(stopped, Stopped::Late { left: 1 });
        assert!(!shutdown.now().is_cancelled());
        assert!(began.elapsed() >= BRIEF + AFTER_HARD_STOP);
        endless.abort();
    }

    #[tokio::test]
    async fn second_signal_goes_hard_at_once() {
        let shutdown = Shutdown::new();
        let (signals, received) = mpsc::channel(1);
        let obeying = tokio::spawn(shutdown.clone().obey(received));
        let hard = shutdown.hard().clone();
        shutdown
            .tasks()
            .spawn(async move { hard.cancelled().await });

        signals.send("SIGTERM").await.expect("obeyed");
        shutdown.soft().cancelled().await;
        assert!(!shutdown.hard().is_cancelled());
        signals.send("SIGINT").await.expect("obeyed");
        let stopped = timeout(AMPLE, shutdown.stopped(AMPLE * 2)).await;
        assert_eq!(stopped, Ok(Stopped::Forced { left: 0 }));
        obeying.await.expect("ends with the hard stop");
    }

    #[tokio::test]
    async fn runs_until_triggered_and_nodes_are_apart() {
        let (one, other) = (Shutdown::new(), Shutdown::new());
        assert!(timeout(BRIEF, one.stopped(AMPLE)).await.is_err());
        one.trigger();
        assert_eq!(one.stopped(AMPLE).await, Stopped::Clean);
        assert!(!other.soft().is_cancelled());
    }
}
