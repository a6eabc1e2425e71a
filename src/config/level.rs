//! `log.level`: a level, or a comma list of a level and `target=level` directives.

use tracing::level_filters::LevelFilter;

/// What is allowed, for messages.
const ALLOWED: &str = "allowed: off, error, warn, info, debug, trace, \
                       or directives such as \"info,porchlight::store=debug\"";

/// A target (a module path; `None` for everything else) with the level that it logs at.
pub type Directive = (Option<String>, LevelFilter);

/// Reads `log.level`. The error says what is wrong and what is allowed.
///
/// `tracing-subscriber` would take a misspelt level such as `inof` for a target that logs
/// everything; here it is a mistake.
pub fn parse_directives(text: &str) -> Result<Vec<Directive>, String> {
    let mut directives: Vec<Directive> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (target, name) = match part.split_once('=') {
            Some((target, name)) => (Some(target.trim().to_owned()), name.trim()),
            None => (None, part),
        };
        if target.as_deref() == Some("") {
            return Err(format!("\"{part}\" names no target; {ALLOWED}"));
        }
        let Some(level) = level(name) else {
            return Err(format!("\"{name}\" is not a level; {ALLOWED}"));
        };
        if directives.iter().any(|(t, _)| *t == target) {
            return Err(match target {
                Some(target) => format!("{target} is given two levels; give it one"),
                None => "two levels are given; give one, and further ones as target=level".into(),
            });
        }
        directives.push((target, level));
    }
    Ok(directives)
}

fn level(name: &str) -> Option<LevelFilter> {
    Some(match name.to_ascii_lowercase().as_str() {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return None,
    })
}

/// The level that a name of the npm, winston, pino or syslog families stands for, so that the
/// `LOG_LEVEL` of an app that the gateway moves in with works. Other texts stay as they are.
pub(super) fn translate_foreign(text: &str) -> &str {
    match text.trim().to_ascii_lowercase().as_str() {
        "emerg" | "emergency" | "alert" | "crit" | "critical" | "fatal" => "error",
        "warning" => "warn",
        "notice" | "log" => "info",
        "http" | "verbose" => "debug",
        "silly" | "all" => "trace",
        "silent" | "none" => "off",
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives() {
        assert_eq!(
            parse_directives("INFO, porchlight::store=debug"),
            Ok(vec![
                (None, LevelFilter::INFO),
                (Some("porchlight::store".into()), LevelFilter::DEBUG)
            ])
        );
        for wrong in [
            "inof",
            "",
            "info,",
            "porchlight=loud",
            "=info",
            "info,debug",
        ] {
            assert!(parse_directives(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
