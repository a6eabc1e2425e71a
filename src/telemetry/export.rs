//! Metrics in Prometheus' text format.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{CATALOGUE, Kind, STORE_BATCH_SIZE, process};

/// Bounds of every duration, in seconds: 100 µs to 10 s.
const SECONDS: [f64; 16] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Bounds of [`STORE_BATCH_SIZE`], in messages.
const MESSAGES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How often recorded values are folded into their histograms. Until then they take memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// The one recorder that a process can have.
static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

/// Why metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up")]
pub struct InstallError(#[from] BuildError);

/// Everything recorded in this process.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<PrometheusHandle>);

impl Metrics {
    /// What was recorded, and the state of the process under the usual names `process_*`, in
    /// Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        process::render(&mut text);
        text
    }

    /// Keeps memory bounded while nobody scrapes, until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.run_upkeep();
        }
    }
}

/// Records the metrics of this process from now on. Further calls return the same as the first.
///
/// # Errors
/// Somebody else's recorder is installed in this process, or the buckets are refused.
pub fn install_metrics() -> Result<Metrics, InstallError> {
    let mut installed = INSTALLED.lock();
    if let Some(metrics) = &*installed {
        return Ok(metrics.clone());
    }
    let (recorder, handle) = metrics_recorder()?;
    metrics::set_global_recorder(recorder).map_err(BuildError::from)?;
    start();
    Ok(installed.insert(handle).clone())
}

/// A recorder with the gateway's buckets and descriptions, for `metrics::with_local_recorder`.
///
/// # Errors
/// The buckets are refused.
pub fn metrics_recorder() -> Result<(PrometheusRecorder, Metrics), InstallError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Full(STORE_BATCH_SIZE.to_owned()), &MESSAGES)?
        .build_recorder();
    let metrics = Metrics(Arc::new(recorder.handle()));
    metrics::with_local_recorder(&recorder, describe);
    Ok((recorder, metrics))
}

fn describe() {
    for metric in CATALOGUE {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Shows what is known to be zero: a series that appears with its first event has no increase.
fn start() {
    for metric in CATALOGUE.iter().filter(|metric| metric.labels.is_empty()) {
        match metric.kind {
            Kind::Counter => metrics::counter!(metric.name).increment(0),
            Kind::Gauge => metrics::gauge!(metric.name).set(0.0),
            Kind::Histogram => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{ACK_SECONDS, MESSAGES_IN_TOTAL};

    #[test]
    fn every_metric_is_described_and_histograms_have_buckets() {
        let (recorder, metrics) = metrics_recorder().expect("a recorder");
        metrics::with_local_recorder(&recorder, || {
            for metric in CATALOGUE {
                let labels: Vec<_> = metric.labels.iter().map(|l| (*l, "x")).collect();
                match metric.kind {
                    Kind::Counter => metrics::counter!(metric.name, &labels).increment(1),
                    Kind::Gauge => metrics::gauge!(metric.name, &labels).set(1.0),
                    Kind::Histogram => metrics::histogram!(metric.name, &labels).record(1.0),
                }
            }
        });
        let text = metrics.render();
        for metric in CATALOGUE {
            let help = format!("# HELP {} {}\n", metric.name, metric.help);
            assert!(text.contains(&help), "no {help} in\n{text}");
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let kind = format!("# TYPE {} {kind}\n", metric.name);
            assert!(text.contains(&kind), "no {kind} in\n{text}");
        }
        for bucket in [
            format!("{ACK_SECONDS}_bucket{{command=\"x\",le=\"0.0001\"}} 0"),
            format!("{ACK_SECONDS}_bucket{{command=\"x\",le=\"10\"}} 1"),
            format!("{STORE_BATCH_SIZE}_bucket{{le=\"1\"}} 1"),
            format!("{STORE_BATCH_SIZE}_bucket{{le=\"512\"}} 1"),
        ] {
            assert!(text.contains(&bucket), "no {bucket} in\n{text}");
        }
    }

    #[test]
    fn installing_again_is_the_same() {
        let first = install_metrics().expect("a recorder");
        let second = install_metrics().expect("the same recorder");
        assert!(Arc::ptr_eq(&first.0, &second.0));
        assert!(second.render().contains(MESSAGES_IN_TOTAL));
    }

    #[tokio::test]
    async fn upkeep_ends_with_its_token() {
        let (_, metrics) = metrics_recorder().expect("a recorder");
        let stop = CancellationToken::new();
        let kept = tokio::spawn(metrics.keep(stop.clone()));
        tokio::task::yield_now().await;
        assert!(!kept.is_finished());
        stop.cancel();
        kept.await.expect("it ends");
    }
}
