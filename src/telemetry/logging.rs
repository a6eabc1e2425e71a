//! Logs: one line per event on standard error, as text or JSON.

use std::io::{self, IsTerminal};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::Registry,
    util::SubscriberInitExt,
};

use crate::config;

/// Where the gateway's own events come from; the rest is its dependencies'.
const OWN_TARGET: &str = "porchlight";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `log.level` cannot be read. `config::load` has said so already.
    #[error("log.level: {0}")]
    Level(String),
    /// This process logs somewhere already.
    #[error("logging is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends this process's logs to standard error.
///
/// # Errors
/// See [`LoggingError`].
pub fn init_logging(log: &config::Log) -> Result<(), LoggingError> {
    // https://no-color.org
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let colours = io::stderr().is_terminal() && !plain;
    subscriber(log, io::stderr, colours)?.try_init()?;
    Ok(())
}

/// What [`init_logging`] installs, writing to `writer`.
///
/// # Errors
/// [`LoggingError::Level`].
pub fn subscriber<W>(
    log: &config::Log,
    writer: W,
    colours: bool,
) -> Result<impl Subscriber + Send + Sync + use<W>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if log.json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(colours).boxed()
    };
    Ok(Registry::default().with(lines.with_filter(targets(&log.level)?)))
}

/// A level alone is the gateway's. Dependencies are never louder than `warn` unless a directive
/// names them: at `debug`, each of them would drown the gateway's own lines.
fn targets(level: &str) -> Result<Targets, LoggingError> {
    let directives = config::parse_directives(level).map_err(LoggingError::Level)?;
    let own = directives
        .iter()
        .find_map(|(target, level)| target.is_none().then_some(*level))
        .unwrap_or(LevelFilter::INFO);
    Ok(Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        .with_target(OWN_TARGET, own)
        // What it warns of, `redis` says in the gateway's own words.
        .with_target("fred", own.min(LevelFilter::ERROR))
        .with_targets(
            directives
                .into_iter()
                .filter_map(|(target, level)| Some((target?, level))),
        ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::Level;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, json: bool, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let config = config::Log {
            level: level.to_owned(),
            json,
        };
        let subscriber = subscriber(&config, move || writer.clone(), false).expect("a level");
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn dependencies_are_quiet_unless_named() {
        let enabled = |level: &str, target: &str, at: Level| {
            targets(level).expect("a level").would_enable(target, &at)
        };
        assert!(enabled("debug", "porchlight::store", Level::DEBUG));
        assert!(!enabled("debug", "sqlx::query", Level::INFO));
        assert!(enabled("debug", "sqlx::query", Level::WARN));
        assert!(enabled("info,sqlx=debug", "sqlx::query", Level::DEBUG));
        assert!(!enabled("error", "sqlx::query", Level::WARN));
        assert!(!enabled("off", "porchlight", Level::ERROR));
        assert!(enabled(
            "porchlight::bus=debug",
            "porchlight::store",
            Level::INFO
        ));
        assert!(matches!(targets("inof"), Err(LoggingError::Level(_))));
    }

    #[test]
    fn text_and_json() {
        let text = logged("info", false, || {
            tracing::info!(target: "porchlight", port = 4000, "listening");
            tracing::debug!(target: "porchlight", "unseen");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("listening port=4000"), "{text}");

        let json = logged("info", true, || {
            tracing::info!(target: "porchlight", port = 4000, "listening");
        });
        let line: serde_json::Value = serde_json::from_str(&json).expect("one JSON line");
        assert_eq!(line["message"], "listening");
        assert_eq!(line["port"], 4000);
        assert_eq!(line["level"], "INFO");
    }
}
