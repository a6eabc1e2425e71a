//! Default, file and environment put together, checked, every mistake at once.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use super::{
    Config, ConfigErrors, Finding, Origin, check,
    draft::Draft,
    env::{CONFIG_FILE, Environment},
    schema::{self, Value},
    urls,
};

/// Where a configuration comes from. The process's own environment is only read by who makes
/// this, so that tests with different environments can run at the same time.
#[derive(Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Environment,
}

impl Sources {
    /// The file of `--config`, if given, and the environment's variables, such as
    /// `std::env::vars_os()`.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(
        file: Option<PathBuf>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = environment.into_iter();
        Self {
            file,
            environment: Environment::new(variables.map(|(n, v)| (n.into(), v.into()))),
        }
    }

    fn file(&self) -> Option<(PathBuf, Origin)> {
        match (&self.file, self.environment.raw(CONFIG_FILE)) {
            (Some(path), _) => Some((path.clone(), Origin::Variable("--config".to_owned()))),
            (None, Some(path)) => Some((path.into(), Origin::Variable(CONFIG_FILE.to_owned()))),
            (None, None) => None,
        }
    }
}

/// A checked configuration with what is worth knowing about it.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Finding>,
    /// Every value that is not the default, sorted by key.
    pub changed: Vec<Changed>,
    draft: Draft,
}

impl Loaded {
    /// A finding about a key (`socket[0].dialect`) by whoever checks further, with the origin of
    /// the key's value.
    pub fn finding(&self, key: &str, problem: impl Into<String>) -> Finding {
        Finding {
            key: key.to_owned(),
            origin: self.draft.origin(key),
            problem: problem.into(),
        }
    }
}

/// A value that is not the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The key.
    pub key: String,
    /// The value as TOML, with secrets and passwords replaced by `***`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("changed", &self.changed)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// Reads the default, the file and the environment, later ones over earlier ones, and checks the
/// result.
///
/// # Errors
/// Every mistake found, in the order file, environment, checks across keys. Reads files only to
/// see whether they are there.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut draft = Draft::new();
    let understood = match sources.file() {
        Some((path, named_by)) => super::file::read(&path, named_by, &mut draft),
        None => true,
    };
    sources.environment.read(&mut draft);
    let config = match draft.to_table().try_into::<Config>() {
        // Checks across keys say nothing sensible about half a file.
        Ok(config) if understood => Some(check::check(config, &mut draft)),
        Ok(_) => None,
        Err(e) => {
            let key = e.message().to_owned();
            draft.refuse("", Origin::Default, key);
            None
        }
    };
    match config {
        Some(config) if draft.mistakes.is_empty() => Ok(Loaded {
            config,
            warnings: std::mem::take(&mut draft.warnings),
            changed: changed(&draft),
            draft,
        }),
        _ => Err(ConfigErrors(draft.mistakes)),
    }
}

fn changed(draft: &Draft) -> Vec<Changed> {
    draft
        .settings()
        .iter()
        .filter(|(_, setting)| setting.origin != Origin::Default)
        .map(|(name, setting)| Changed {
            key: name.clone(),
            value: shown(name, &setting.value),
            origin: setting.origin.clone(),
        })
        .collect()
}

fn shown(name: &str, value: &Value) -> String {
    let key = schema::find(name);
    let secret = key.is_some_and(schema::Key::is_secret);
    let shown = match value {
        Value::Text(text) if secret && !text.is_empty() => Value::Text("***".to_owned()),
        Value::List(items) if secret => Value::List(vec!["***".to_owned(); items.len()]),
        Value::Text(text) if key.is_some_and(schema::Key::is_url) => {
            Value::Text(urls::without_secrets(text))
        }
        value => value.clone(),
    };
    shown.to_toml().to_string()
}

/// Whether a file is there, for messages: `Err` says what is wrong.
pub(super) fn file_exists(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(format!("{} is not a file", path.display())),
        Err(e) => Err(format!("cannot read {}: {e}", path.display())),
    }
}
