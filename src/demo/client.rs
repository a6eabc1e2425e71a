//! The Socket.IO client library, served by the gateway itself as Node's server does
//! (`serveClient`): `<socket path>/socket.io.js`, `.../socket.io.min.js` for a script tag and
//! `.../socket.io.esm.min.js` for an import.
//!
//! The files in `assets/vendor` are those of the npm package `socket.io-client`, unchanged, under
//! the MIT licence beside them.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, header},
};

use super::asset::{Asset, JS};

pub(super) const MODULE: Asset = JS.of(include_bytes!("assets/vendor/socket.io.esm.min.js"));
const SCRIPT: Asset = JS.of(include_bytes!("assets/vendor/socket.io.min.js"));

/// The library's file of that name, for whoever asks: an app of another origin may load it.
/// `None` where there is no such file, and for every request of the transport itself.
pub fn serve(file: &str, request: &HeaderMap) -> Option<Response<Body>> {
    let asset = match file {
        // Node sends a build with comments under the first name. What it does is the same.
        "socket.io.js" | "socket.io.min.js" => SCRIPT,
        "socket.io.esm.min.js" => MODULE,
        _ => return None,
    };
    let mut response = asset.serve(request);
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    Some(response)
}
