//! The secret that a node makes for itself when none is configured.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

const FILE: &str = "secret";
const BYTES: usize = 32;
/// Characters of [`BYTES`] in base64 without padding.
const CHARACTERS: usize = 43;

/// Where [`local_secret`] is kept.
pub fn local_secret_file(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// The node's own HS256 secret: the one in `data_dir/secret`, made now if there is none, so that
/// tokens stay valid over restarts. The file belongs to its owner alone (mode 0600). Processes
/// that start at the same time get the same secret.
///
/// # Errors
/// The folder or file cannot be read or made, or the file holds something else. The message names
/// the file and never what it holds.
pub fn local_secret(data_dir: &Path) -> io::Result<String> {
    let path = local_secret_file(data_dir);
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    match read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        found => return found.map_err(named),
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .and_then(|()| make(data_dir, &path))
        .and_then(|()| read(&path))
        .map_err(named)
}

fn read(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let secret = text.trim();
    if secret.len() != CHARACTERS || URL_SAFE_NO_PAD.decode(secret).is_err() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this is not a secret that Porchlight made; remove the file to get a new one (tokens \
             signed with the old one stop working), or set auth.jwt_secrets",
        ));
    }
    let permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(secret.to_owned())
}

/// Writes beside and then links: the file appears whole or not at all, and never over another.
fn make(data_dir: &Path, path: &Path) -> io::Result<()> {
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; BYTES]>());
    let beside = data_dir.join(format!("{FILE}.{}", uuid::Uuid::now_v7()));
    let written = write(&beside, &secret).and_then(|()| match fs::hard_link(&beside, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    });
    let removed = fs::remove_file(&beside);
    written.and(removed)?;
    File::open(data_dir)?.sync_all()
}

fn write(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}
