//! The set of dialects: those built in, and those of a folder.

use std::{fs, path::Path, sync::Arc};

use super::{Dialect, compile::compile, source::DialectError};

/// A file of `config/dialects` with its name.
macro_rules! built_in {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../config/dialects/", $name, ".toml")),
        )
    };
}

/// The files embedded in the binary; the first is the default.
const BUILT_IN: &[(&str, &str)] = &[
    built_in!("standard"),
    built_in!("platform"),
    built_in!("threads"),
    built_in!("inkspot"),
    built_in!("direct"),
];

/// Every dialect that connections can choose.
pub struct Dialects {
    list: Vec<Arc<Dialect>>,
    /// Whether a folder was named.
    has_folder: bool,
}

impl Dialects {
    /// Compiles the built-in dialects and the `*.toml` files of a folder; one of the same name
    /// replaces the built-in.
    ///
    /// # Errors
    /// Every mistake in every file.
    pub fn load(dir: Option<&Path>) -> Result<Self, Vec<DialectError>> {
        let mut files: Vec<(String, String, String)> = BUILT_IN
            .iter()
            .map(|(name, text)| {
                let file = format!("config/dialects/{name}.toml");
                ((*name).to_owned(), file, (*text).to_owned())
            })
            .collect();
        let mut errors = Vec::new();
        match dir.map(read_folder).transpose() {
            Ok(found) => {
                for result in found.unwrap_or_default() {
                    match result {
                        Ok(file) => match files.iter_mut().find(|(name, ..)| *name == file.0) {
                            Some(built_in) => *built_in = file,
                            None => files.push(file),
                        },
                        Err(e) => errors.push(e),
                    }
                }
            }
            Err(e) => errors.push(e),
        }
        let mut list = Vec::new();
        for (name, file, text) in &files {
            match compile(name, file, text) {
                Ok((dialect, _)) => list.push(Arc::new(Dialect {
                    index: list.len(),
                    ..dialect
                })),
                Err(found) => errors.extend(found),
            }
        }
        match errors.is_empty() {
            true => Ok(Self {
                list,
                has_folder: dir.is_some(),
            }),
            false => Err(errors),
        }
    }

    /// The dialect of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Dialect>> {
        self.list.iter().find(|d| d.name == name).map(Arc::clone)
    }

    /// The names, by [`Dialect::index`].
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|d| d.name.as_str())
    }

    /// The names for whoever gave another, and where those of a folder would be.
    pub fn known(&self) -> String {
        let names = self.names().collect::<Vec<_>>().join(", ");
        match self.has_folder {
            true => names,
            false => format!(
                "{names}; for files of your own set dialects.dir, in the configuration file or as \
                 PORCHLIGHT_DIALECTS_DIR"
            ),
        }
    }

    /// The dialects, by [`Dialect::index`].
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Dialect>> {
        self.list.iter()
    }
}

/// Checks one dialect file.
///
/// # Errors
/// Every mistake in it.
pub fn check_file(path: &Path) -> Result<Checked, Vec<DialectError>> {
    let (name, file, text) = read_file(path).map_err(|e| vec![e])?;
    let (dialect, mut remarks) = compile(&name, &file, &text)?;
    if BUILT_IN.iter().any(|(built_in, _)| *built_in == name) {
        remarks.push(format!(
            "in dialects.dir it replaces the built-in \"{name}\""
        ));
    }
    Ok(Checked { dialect, remarks })
}

/// A dialect file without mistakes.
pub struct Checked {
    /// What is in it.
    pub dialect: Dialect,
    /// What may or may not be meant so.
    pub remarks: Vec<String>,
}

/// Name, file and text of a dialect, or why it cannot be read.
type Read = Result<(String, String, String), DialectError>;

fn read_folder(dir: &Path) -> Result<Vec<Read>, DialectError> {
    let failed = |e: std::io::Error| whole(dir, format!("the folder cannot be read: {e}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    // Whatever order the file system has, dialects keep theirs.
    paths.sort();
    Ok(paths.iter().map(|path| read_file(path)).collect())
}

fn read_file(path: &Path) -> Read {
    let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
    let fits = (1..=32).contains(&name.len());
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if !fits || !name.bytes().all(allowed) {
        let message = "a dialect's file is named by 1 to 32 characters from a-z 0-9 - _";
        return Err(whole(path, message.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|e| whole(path, e.to_string()))?;
    Ok((name.to_owned(), path.display().to_string(), text))
}

fn whole(path: &Path, message: String) -> DialectError {
    DialectError {
        file: path.display().to_string(),
        line: 0,
        key: String::new(),
        message,
    }
}
