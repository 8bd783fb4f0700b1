//! Writes `src/onnx/generated.rs` from `proto/onnx.proto`. Needs `protoc` on the path, or its place in `PROTOC`.

use std::error::Error;
use std::path::Path;

use buffa_build::{Config, PointerRepr};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::temp_dir().join(format!("onnx-messages-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    Config::new()
        .files(&[root.join("proto/onnx.proto")])
        .includes(&[root.join("proto")])
        .out_dir(&folder)
        .file_per_package(true)
        // What borrows from the bytes of the file has no use where a graph is changed and written again.
        .generate_views(false)
        // A field that is not set costs a pointer: an attribute has places for a tensor, a graph and a type at once.
        .box_type(PointerRepr::Box)
        .compile()?;
    std::fs::copy(folder.join("onnx.rs"), root.join("src/onnx/generated.rs"))?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
