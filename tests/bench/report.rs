//! What a scenario found: named figures, for people and as JSON.

use std::{collections::BTreeMap, error::Error, fmt};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::ledger::Verdict;

/// The result of one scenario against one server.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// The server's name.
    pub server: String,
    /// `idle`, `joined`, `fanout`, `send`, or what a run of `cluster` is called.
    pub scenario: String,
    /// Figures by name; the unit is in the name.
    pub figures: BTreeMap<String, f64>,
    /// Sends that were not acknowledged as they should, and the first reason.
    pub failed: u64,
    /// The first reason.
    pub failure: Option<String>,
}

impl Report {
    /// An empty one.
    pub fn new(server: &str, scenario: &str) -> Self {
        Self {
            server: server.to_owned(),
            scenario: scenario.to_owned(),
            figures: BTreeMap::new(),
            failed: 0,
            failure: None,
        }
    }

    /// Adds a figure.
    pub fn set(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    /// Adds `<name>_p50_ms`, `_p99_ms` and `_max_ms` of a histogram in microseconds.
    pub fn set_latencies(&mut self, name: &str, micros: &Histogram<u64>) {
        for (suffix, value) in [
            ("p50", micros.value_at_quantile(0.5)),
            ("p99", micros.value_at_quantile(0.99)),
            ("max", micros.max()),
        ] {
            self.set(&format!("{name}_{suffix}_ms"), value as f64 / 1000.0);
        }
    }

    /// Adds the verdict's counts.
    pub fn set_verdict(&mut self, verdict: &Verdict) {
        self.set("deliveries_expected", verdict.expected as f64);
        self.set("lost", verdict.lost as f64);
        self.set("doubled", verdict.doubled as f64);
        self.set("reordered", verdict.reordered as f64);
        self.set("wrong", verdict.wrong as f64);
    }

    /// Counts a send that failed.
    pub fn fail(&mut self, reason: &(dyn Error + Send + Sync)) {
        self.failed += 1;
        self.failure.get_or_insert_with(|| reason.to_string());
    }

    /// Whether nothing failed, and nothing was lost, doubled, reordered or wrong.
    pub fn intact(&self) -> bool {
        let clean = |name: &&str| self.figures.get(*name).is_none_or(|count| *count == 0.0);
        self.failed == 0 && ["lost", "doubled", "reordered", "wrong"].iter().all(clean)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.server, self.scenario)?;
        for (name, value) in &self.figures {
            writeln!(f, "  {name:<30} {value:>12.2}")?;
        }
        match &self.failure {
            Some(reason) => writeln!(f, "  {} sends failed, the first: {reason}", self.failed),
            None => Ok(()),
        }
    }
}
