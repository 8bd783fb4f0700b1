//! What packages of pure computation must not touch, by whatever name and out of whatever group of imports.

use std::collections::BTreeSet;

use super::imports::PASSED_ON_MAX;
use super::tree::{Module, Package};

/// Packages of pure computation.
pub(super) const PURE: &[&str] = &["ocean-binary-protocol", "onnx-gradient", "ramand-core"];

/// What reads a clock: time is an argument there.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

/// What is input and output, a thread, or belongs to a program.
const IMPURE: &[&str] =
    &["std::fs::", "std::net::", "std::thread::", "std::process::", "std::env::", "serde::", "tracing::", "tokio::"];

/// What a package touches that is not pure.
pub(super) fn impurities(package: &Package) -> Vec<String> {
    let mut faults = Vec::new();
    for module in package.modules.values() {
        let (code, paths) = (module.code(), full_paths(module));
        // The arguments of attributes are not parsed: there the text tells.
        let reads = |word: &str| code.contains(word) || paths.iter().any(|path| path.contains(word));
        let touches = |word: &str| code.contains(word) || paths.iter().any(|path| path.starts_with(word));
        let clocks = CLOCKS.iter().filter(|word| reads(word));
        for word in clocks.chain(IMPURE.iter().filter(|word| touches(word))) {
            faults.push(format!("{}: {word} in a pure package", module.file.display()));
        }
    }
    faults
}

/// Everything a module names or imports, from the crate on where an import says which, each with `::` behind it.
fn full_paths(module: &Module) -> BTreeSet<String> {
    let full = |path: &Vec<String>| {
        let mut path = path.clone();
        for _ in 0..PASSED_ON_MAX {
            let Some(target) = path.first().and_then(|first| module.imported.get(first)) else { break };
            if target.first() == path.first() {
                break;
            }
            path.splice(..1, target.iter().cloned());
        }
        path.join("::") + "::"
    };
    module.paths.iter().chain(module.imported.values()).chain(&module.globs).map(full).collect()
}

#[test]
fn planted_impurities_are_found_however_they_are_imported() {
    let count = |code: &str| impurities(&super::imports::planted(&[("lib.rs", code)])).len();
    for code in [
        "use std::fs;",
        "use std::{collections::BTreeMap, fs};",
        "use std::{io, {fs::{self, File}}};",
        "pub use std::thread::*;",
        "use std as s; fn f() { s::process::exit(0) }",
        "use std::{self as s}; use s::net as n; fn f() { n::TcpStream::connect(()) }",
        "fn f() { let read = ::std::env::var; }",
        "#[derive(serde::Serialize)] struct S;",
        "fn f() { assert!(tokio::spawn(())) }",
        "use std::time::{Duration, Instant}; fn f() { Instant::now() }",
        "use std::time::{SystemTime as Wall}; fn f() { Wall::now() }",
        "mod inner { use std::{fs}; }",
    ] {
        assert_eq!(count(code), 1, "{code}");
    }
    for code in [
        "use std::{fmt, time::Duration}; fn f(now: std::time::Instant) {}",
        "#[cfg(test)] mod tests { use std::{fs, thread}; }",
        "mod thread; use self::thread::Thread;",
        "use core::net::Ipv4Addr;",
    ] {
        assert_eq!(count(code), 0, "{code}");
    }
}
