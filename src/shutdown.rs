//! Stopping in two stages: first no new work and what is under way finishes, then everything ends.
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
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

/// How a node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every task finished.
    Clean,
    /// The time ran out or a second signal came; tasks were told to end at once.
    Forced {
        /// Tasks that did not even then.
        left: usize,
    },
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

    /// The tasks that a stop waits for. Spawn on it what must not be cut off.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Begins the first stage; the second if the first has begun.
    pub fn trigger(&self) {
        if self.soft.is_cancelled() {
            self.hard.cancel();
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
        let hard = self.hard.clone();
        tokio::spawn(hard.run_until_cancelled_owned(async move {
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
        while let Some(Some(name)) = self.hard.run_until_cancelled(signals.recv()).await {
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
        if let Ok(Some(())) = timeout(patience, softly).await {
            return Stopped::Clean;
        }
        self.hard.cancel();
        let _ = timeout(AFTER_HARD_STOP, self.tasks.wait()).await;
        Stopped::Forced {
            left: self.tasks.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn waits_for_work_under_way() {
        let shutdown = Shutdown::new();
        let soft = shutdown.soft().clone();
        shutdown.tasks().spawn(async move {
            soft.cancelled().await;
            sleep(Duration::from_secs(3)).await;
        });
        shutdown.trigger();
        let began = Instant::now();
        assert_eq!(shutdown.stopped(PATIENCE).await, Stopped::Clean);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert!(!shutdown.hard().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn goes_hard_when_patience_runs_out() {
        let shutdown = Shutdown::new();
        let hard = shutdown.hard().clone();
        shutdown
            .tasks()
            .spawn(async move { hard.cancelled().await });
        let endless = shutdown.tasks().spawn(std::future::pending::<()>());
        shutdown.trigger();
        let began = Instant::now();
        assert_eq!(
            shutdown.stopped(PATIENCE).await,
            Stopped::Forced { left: 1 }
        );
        assert_eq!(began.elapsed(), PATIENCE + AFTER_HARD_STOP);
        endless.abort();
    }

    #[tokio::test(start_paused = true)]
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
        let began = Instant::now();
        signals.send("SIGINT").await.expect("obeyed");
        assert_eq!(
            shutdown.stopped(PATIENCE).await,
            Stopped::Forced { left: 0 }
        );
        assert_eq!(began.elapsed(), Duration::ZERO);
        obeying.await.expect("ends with the hard stop");
    }

    #[tokio::test(start_paused = true)]
    async fn runs_until_triggered_and_nodes_are_apart() {
        let (one, other) = (Shutdown::new(), Shutdown::new());
        let stopped = tokio::spawn({
            let one = one.clone();
            async move { one.stopped(PATIENCE).await }
        });
        sleep(Duration::from_secs(3600)).await;
        assert!(!stopped.is_finished());
        one.trigger();
        assert_eq!(stopped.await.expect("it stops"), Stopped::Clean);
        assert!(!other.soft().is_cancelled());
    }
}
