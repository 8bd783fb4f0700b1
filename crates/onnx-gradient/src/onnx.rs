//! The messages of an ONNX file, made from the format's own definition, `proto/onnx.proto`; `proto/README.md` says how.
//!
//! Every message keeps the fields that are not in the definition, as newer exporters write them, and writes them again after
//! its own. As everywhere in the third version of the protobuf language, a number of 0 and an empty text are not written: to
//! ONNX they mean the same as nothing.

#![expect(missing_docs, reason = "the comments of the format's definition are the documentation")]
#![allow(clippy::allow_attributes, clippy::all, reason = "a program wrote them")]

pub use buffa::{EnumValue, Enumeration, MessageField};

include!("onnx/generated.rs");
