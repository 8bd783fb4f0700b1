//! The endpoints.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};

use super::guard::{HostPolicy, guard};
use super::refusal::refusal;
use super::settings::ServerSettings;
use super::shared::Shared;
use super::sources::Sources;
use super::{assets, events};

/// Results in one page of history, at most: about 2 MB of JSON.
const HISTORY_LIMIT_MAX: usize = 500;
/// And where the request does not say.
const HISTORY_LIMIT: usize = 50;
/// Readers of the journal at a time; the writer has the disk for itself most of the time.
pub(super) const HISTORY_READERS: usize = 2;

pub(super) fn router(sources: Sources, settings: &ServerSettings, stop: watch::Receiver<bool>) -> Router {
    let shared = Shared {
        sources,
        stale_after: settings.stale_after,
        watchers: Arc::new(Semaphore::new(settings.watchers_max)),
        stop,
        history_readers: Arc::new(Semaphore::new(HISTORY_READERS)),
    };
    Router::new()
        .route("/api/v1/last", get(last))
        .route("/api/v1/history", get(history))
        .route("/api/v1/events", get(events::stream))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/", get(asset))
        .route("/{file}", get(asset))
        .route("/vendor/{file}", get(asset))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is nothing here"))
        .with_state(shared)
        .layer(middleware::from_fn_with_state(HostPolicy::new(settings), guard))
}

async fn asset(request: Request) -> Response {
    assets::respond(request.uri().path(), request.headers())
        .unwrap_or_else(|| refusal(StatusCode::NOT_FOUND, "there is nothing here"))
}

async fn last(State(shared): State<Shared>) -> Response {
    match shared.sources.live.last() {
        Some(last) => ([(header::CONTENT_TYPE, "application/json")], last.json().to_owned()).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "there is no result yet"),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    limit: Option<usize>,
    before: Option<u64>,
}

async fn history(State(shared): State<Shared>, query: Result<Query<HistoryQuery>, QueryRejection>) -> Response {
    let Query(HistoryQuery { limit, before }) = match query {
        Ok(query) => query,
        Err(rejection) => return refusal(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let limit = limit.unwrap_or(HISTORY_LIMIT);
    if !(1..=HISTORY_LIMIT_MAX).contains(&limit) {
        return refusal(StatusCode::BAD_REQUEST, &format!("limit must be in 1..={HISTORY_LIMIT_MAX}"));
    }
    let Ok(reader) = shared.history_readers.clone().acquire_owned().await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    };
    let source = shared.sources.history.clone();
    let read = tokio::task::spawn_blocking(move || {
        // Held by the reading itself: a request that was given up still occupies the disk.
        let _reader = reader;
        source.page(before, limit)
    });
    match read.await {
        Ok(Ok(results)) => {
            let full = results.len() >= limit;
            let next = results.last().and_then(|result| result.get("seq")).filter(|_| full).cloned();
            Json(serde_json::json!({ "results": results, "before": next })).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(error, "the history cannot be read");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the history cannot be read; see the log")
        }
        Err(error) => {
            tracing::error!(error = %error, "reading the history ended in a panic");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the history cannot be read; see the log")
        }
    }
}

async fn health(State(shared): State<Shared>) -> Response {
    let problems = shared.sources.health.problems();
    let (status, word) = match problems.as_slice() {
        [] => (StatusCode::OK, "ok"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    (status, Json(serde_json::json!({ "status": word, "problems": problems }))).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.sources.metrics.text() {
        Ok(text) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(error) => {
            tracing::error!(error = %error, "the metrics cannot be encoded");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded; see the log")
        }
    }
}
