//! The page's files, part of the binary: `web/page` as written, `web/dist` as vendored by `web/build.mjs`.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ramand_core::hex::hex;
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "web/page"]
struct Page;

#[derive(Embed)]
#[folder = "web/dist"]
struct Vendored;

/// The file at `path` (`/` is the page itself); `None` where there is none.
pub(super) fn respond(path: &str, request: &HeaderMap) -> Option<Response> {
    let path = path.strip_prefix('/')?;
    let path = if path.is_empty() { "index.html" } else { path };
    let file = match path.strip_prefix("vendor/") {
        Some(path) => Vendored::get(path)?,
        None => Page::get(path)?,
    };
    Some(file_response(path, file, request))
}

fn file_response(path: &str, file: EmbeddedFile, request: &HeaderMap) -> Response {
    let etag = hex(&file.metadata.sha256_hash()[..16]);
    let etag = HeaderValue::from_str(&format!("\"{etag}\"")).expect("hexadecimal digits are a header value");
    // The page of an updated binary must not run with scripts of the old one: always ask, answer briefly.
    let caching = [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")), (header::ETAG, etag.clone())];
    if request.get(header::IF_NONE_MATCH) == Some(&etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let body = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    (caching, [(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)))], Body::from(body)).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
