//! The live page, history and metrics over HTTP: read-only.
