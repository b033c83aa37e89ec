//! The style sheet, the script and the icon. The hash in an address changes with what it names, so that browsers keep them.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// A file that pages load.
pub(super) struct Asset {
    kind: &'static str,
    bytes: &'static [u8],
    path: LazyLock<String, fn() -> String>,
}

macro_rules! asset {
    ($constant:ident, $file:literal, $name:literal, $extension:literal, $kind:literal) => {
        pub(super) static $constant: Asset = Asset {
            kind: $kind,
            bytes: include_bytes!($file),
            path: LazyLock::new(|| {
                let hash = blake3::hash(include_bytes!($file)).to_hex();
                format!("/assets/{}.{}.{}", $name, &hash[..12], $extension)
            }),
        };
    };
}

asset!(STYLE, "console.css", "console", "css", "text/css; charset=utf-8");
asset!(SCRIPT, "console.js", "console", "js", "text/javascript; charset=utf-8");
asset!(ICON, "icon.svg", "icon", "svg", "image/svg+xml");

impl Asset {
    /// Its address.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let known = [&STYLE, &SCRIPT, &ICON]
        .into_iter()
        .find(|asset| asset.path().strip_prefix("/assets/") == Some(&*name));
    match known {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
