//! What revocations know a token by, and how a token minted from another one stays within reach of
//! what is done to that one.
//!
//! A token has up to two names: its id (`jti`), and a digest of what its signature covers. Not of
//! the whole text: an ECDSA signature can be turned into another valid one by whoever holds it.
//!
//! A token minted here from another one says so in the claim [`MINTED_FROM`]: by which names the
//! first of the line is known, and when that was issued. What renews it keeps its `jti`, so that
//! the whole line ends with any of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{AuthError, Identity, claims::Claims};
use crate::chat::{Millis, Proof, TokenKey};

/// The claim of tokens that were minted from others.
const MINTED_FROM: &str = "minted_from";
/// More names than any token is given here.
const MAX_KEYS: usize = 4;

/// The first token of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Root {
    /// Its `iat` in milliseconds, if it has one.
    issued_at: Option<i64>,
    /// Its names.
    keys: Vec<String>,
}

/// What the claims of a token prove, and the first of its line if that is another one. The token is
/// of three or five parts.
pub(super) fn proof(
    token: &str,
    claims: &Claims,
    issued_at: Option<Millis>,
    id: Option<&str>,
) -> Result<(Proof, Option<Root>), AuthError> {
    let by_id = id.map(key_of_id);
    let Some(root) = root(claims)? else {
        let covered = token.rsplit_once('.').ok_or(AuthError::Malformed)?.0;
        let keys = [digest("token", covered)].into_iter().chain(by_id);
        let keys = keys.collect();
        return Ok((Proof { issued_at, keys }, None));
    };
    let inherited = root.keys.iter().map(|key| key.parse());
    let inherited: Vec<TokenKey> = inherited
        .collect::<Result<_, _>>()
        .map_err(|_| AuthError::Malformed)?;
    // Only what has an id can be renewed under it.
    let own = by_id.ok_or(AuthError::Malformed)?;
    let keys = [own].into_iter().chain(inherited).collect();
    let earlier = issued_at.zip(root.issued_at);
    let issued_at = earlier.map(|(own, root)| own.min(Millis(root)));
    Ok((Proof { issued_at, keys }, Some(root)))
}

/// What a token has to say that is minted for the holder of another one: its id if it renews that
/// one, and its root.
pub(super) fn minted_from(parent: &Identity) -> (Option<String>, Root) {
    match &parent.root {
        Some(root) => (parent.token_id.as_deref().map(str::to_owned), root.clone()),
        None => {
            let root = Root {
                issued_at: parent.proof.issued_at.map(|at| at.0),
                keys: parent.proof.keys.iter().map(TokenKey::to_string).collect(),
            };
            (None, root)
        }
    }
}

/// Adds the root to a token's claims.
pub(super) fn put_root(claims: &mut Claims, root: Root) -> Result<(), AuthError> {
    let root = serde_json::to_value(root).map_err(|_| AuthError::CannotMint)?;
    claims.insert(MINTED_FROM.to_owned(), root);
    Ok(())
}

/// The name of tokens with this `jti`.
pub(super) fn key_of_id(id: &str) -> TokenKey {
    digest("id", id)
}

fn root(claims: &Claims) -> Result<Option<Root>, AuthError> {
    match claims.get(MINTED_FROM) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => Root::deserialize(value)
            .ok()
            .filter(|root| root.keys.len() <= MAX_KEYS)
            .map(Some)
            .ok_or(AuthError::Malformed),
    }
}

fn digest(kind: &str, text: &str) -> TokenKey {
    let mut hash = Sha256::new();
    for part in [kind, "\0", text] {
        hash.update(part.as_bytes());
    }
    let [half, _] = *hash.finalize().as_chunks::<16>().0 else {
        unreachable!("SHA-256 gives twice 16 bytes")
    };
    TokenKey::new(half)
}
