//! The configuration: its schema, its sources, its mistakes.

mod mistakes;
mod schema;
mod secret;
mod sources;
mod uploads;

use std::path::PathBuf;

use porchlight::config::{ConfigErrors, Loaded, Sources, load};

/// Loads from these variables alone.
fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load(&Sources::new(None, variables.iter().copied()))
}

/// A file `porchlight.toml` with this text, and its folder.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("porchlight.toml");
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

/// Loads from a file with this text and these variables.
fn from_file(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let (_folder, path) = file(text);
    load(&Sources::new(Some(path), variables.iter().copied()))
}

/// What was found wrong, one finding a line, with the file's folder left out.
fn told(result: Result<Loaded, ConfigErrors>) -> Vec<String> {
    let errors = result.expect_err("mistakes");
    let told = errors.0.iter().map(|finding| {
        let text = finding.to_string();
        match (text.find('('), text.find("porchlight.toml")) {
            (Some(open), Some(name)) if open < name => {
                format!("{}{}", &text[..=open], &text[name..])
            }
            (_, Some(name)) => text[name..].to_owned(),
            _ => text,
        }
    });
    told.collect()
}

/// The one mistake.
fn only(result: Result<Loaded, ConfigErrors>) -> String {
    let mut told = told(result);
    assert_eq!(told.len(), 1, "{told:#?}");
    told.remove(0)
}

/// The warnings of a configuration without mistakes.
fn warned(result: Result<Loaded, ConfigErrors>) -> Vec<String> {
    let loaded = result.expect("no mistakes");
    loaded.warnings.iter().map(ToString::to_string).collect()
}

/// A secret that nothing is said about.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
