//! Whole bundles: opened, asked, damaged, and compared with another runtime.

#[expect(dead_code, reason = "other crates test with them too")]
mod bundles;
mod calibrated;
mod convolution;
mod damaged;
mod judged;
#[path = "../../../../tests/support/missing.rs"]
mod missing;
#[expect(dead_code, reason = "the tests of gradients need more")]
#[path = "../../../onnx-gradient/tests/gradients/networks.rs"]
mod networks;
mod optimised;
#[path = "../../../../tests/support/root.rs"]
mod root;
mod shipped;
mod verified;
