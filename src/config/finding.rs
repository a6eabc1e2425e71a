//! What is wrong with a configuration, told so that its reader can mend it without looking
//! anything up: which key, where the value came from, what is wrong, what is allowed.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The embedded default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One mistake or warning. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key, such as `server.listen` or `socket[1].path`; empty where the finding is about a
    /// whole file or a variable that stands for no key.
    pub key: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            origin,
            problem,
        } = self;
        if key.is_empty() {
            write!(f, "{origin}: {problem}")
        } else {
            write!(f, "{key} ({origin}): {problem}")
        }
    }
}

/// Every mistake of a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<Finding>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a mistake:")?,
            n => write!(f, "the configuration has {n} mistakes:")?,
        }
        for finding in &self.0 {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

/// The candidate that was probably meant: one that ends in what was written, or the most similar
/// one if it is similar enough. Parts are separated by `separator`.
pub(super) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    separator: char,
) -> Option<&'a str> {
    let last = |text: &'a str| text.rsplit_once(separator).map_or(text, |(_, leaf)| leaf);
    let leaf = written
        .rsplit_once(separator)
        .map_or(written, |(_, leaf)| leaf);
    candidates
        .into_iter()
        .map(|candidate| {
            let whole = distance(written, candidate);
            // The right name in the wrong section counts as one slip.
            let misplaced = 1 + distance(leaf, last(candidate)) * 2;
            (whole.min(misplaced), candidate)
        })
        .min_by_key(|(d, _)| *d)
        .filter(|(d, _)| *d <= (written.len() / 4).max(1))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance over bytes; keys are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near_or_absent() {
        let keys = ["server.listen", "limits.max_message_bytes", "log.level"];
        assert_eq!(
            did_you_mean("server.listn", keys, '.'),
            Some("server.listen")
        );
        assert_eq!(
            did_you_mean("server.max_message_bytes", keys, '.'),
            Some("limits.max_message_bytes")
        );
        assert_eq!(did_you_mean("level", keys, '.'), Some("log.level"));
        assert_eq!(did_you_mean("server.colour", keys, '.'), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "SAME"), 0);
    }
}
